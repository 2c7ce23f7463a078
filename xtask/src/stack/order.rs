//! The order in which services start, from what they wait for. Must never ask an engine.

use super::desired::Config;

impl Config {
    /// Every service after those that it waits for; those that wait for as many go by name.
    pub fn in_start_order(&self) -> Vec<&str> {
        let mut ordered: Vec<&str> = Vec::new();
        while ordered.len() < self.services.len() {
            let waits = |name: &str| {
                let needed = self.services[name].depends_on.keys();
                needed
                    .filter(|it| self.services.contains_key(*it) && !ordered.contains(&it.as_str()))
                    .count()
            };
            let left = self.services.keys().map(String::as_str);
            let left = left.filter(|name| !ordered.contains(name));
            // Compose refuses a circle; in one, whoever waits for the fewest goes first.
            let fewest: Vec<(usize, &str)> = left.map(|name| (waits(name), name)).collect();
            let least = fewest.iter().map(|(count, _)| *count).min().unwrap_or(0);
            let next = fewest.iter().filter(|(count, _)| *count == least);
            ordered.extend(next.map(|(_, name)| *name));
        }
        ordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(services: &[(&str, &[&str])], wanted: &[&str]) {
        let service = |(name, needs): &(&str, &[&str])| {
            let condition = |need: &&str| format!("{need}: {{condition: service_healthy}}");
            let needs: Vec<String> = needs.iter().map(condition).collect();
            format!("  {name}: {{depends_on: {{{}}}}}\n", needs.join(", "))
        };
        let services: String = services.iter().map(service).collect();
        let config = Config::parse(&format!("name: x\nservices:\n{services}")).unwrap();
        assert_eq!(config.in_start_order(), wanted);
    }

    #[test]
    fn a_service_comes_after_what_it_waits_for() {
        check(
            &[
                ("migrate", &["init"]),
                ("init", &["postgres"]),
                ("app", &["migrate", "redis"]),
                ("postgres", &[]),
                ("redis", &[]),
            ],
            &["postgres", "redis", "init", "migrate", "app"],
        );
    }

    #[test]
    fn a_circle_and_a_service_that_is_not_there_have_an_order_too() {
        check(&[("a", &["b"]), ("b", &["a", "gone"])], &["a", "b"]);
    }
}
