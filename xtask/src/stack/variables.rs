//! Which variable of `.env` changes what of a service. Compose says it: each variable is given a value that
//! nothing else has, and where that value turns up, the variable is meant. Must never ask itself.

use std::collections::BTreeMap;

use super::desired::{Config, Service};
use crate::env::template::{Template, Variable};

/// The variables of `.env` by which a service can be changed; empty where there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variables {
    pub image: String,
    pub limit: String,
    pub port: String,
}

/// A value for each variable that Compose must be told, and that can be recognized.
pub struct Marks(BTreeMap<String, String>);

impl Marks {
    /// For all that the stack knows.
    pub fn of(template: &Template) -> Marks {
        let variables = template.variables().iter().enumerate();
        let mark = |(number, it): (usize, &Variable)| Some((it.key.clone(), mark(number, it)?));
        Marks(variables.filter_map(mark).collect())
    }

    /// What to tell Compose, in its environment.
    pub fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Where the marks are in what Compose makes of them, by service.
    pub fn find(&self, config: &Config) -> BTreeMap<String, Variables> {
        let services = config.services.iter();
        services
            .map(|(name, service)| (name.clone(), self.of_service(service)))
            .collect()
    }

    fn of_service(&self, service: &Service) -> Variables {
        let port = service.ports.first();
        Variables {
            image: self.variable(&service.image),
            limit: self.variable(&service.memory_limit().to_string()),
            port: self.variable(port.map_or("", |port| &port.published)),
        }
    }

    fn variable(&self, value: &str) -> String {
        let found = self.0.iter().find(|(_, mark)| *mark == value);
        found.map(|(key, _)| key.clone()).unwrap_or_default()
    }
}

/// A value of the kind that a variable has; none where any will do.
fn mark(number: usize, variable: &Variable) -> Option<String> {
    let kind = variable.key.rsplit('_').next().unwrap_or_default();
    match kind {
        "IMAGE" => Some(format!("mark.invalid/{number}")),
        "MEMORY" => Some(((64 << 20) + number).to_string()),
        "PORT" => Some((20_000 + number).to_string()),
        // Compose refuses to do without it.
        _ => variable.placeholder().map(|_| "marked".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_variables_that_change_a_service() {
        let template = "# UMAMI_PORT=3001\n# UMAMI_IMAGE=a/b:3\nUMAMI_MEMORY=512M\n\
                        UMAMI_APP_SECRET=change_this\nSITE_NAME=a\n";
        let marks = Marks::of(&Template::parse(template).unwrap());
        let mark = |key: &str| marks.0[key].clone();
        let yaml = format!(
            "name: x\nservices:\n  umami:\n    image: {}\n    mem_limit: '{}'\n    \
             ports: [{{target: 3000, published: '{}'}}]\n  redis: {{image: 'redis:7'}}\n",
            mark("UMAMI_IMAGE"),
            mark("UMAMI_MEMORY"),
            mark("UMAMI_PORT")
        );

        let found = marks.find(&Config::parse(&yaml).unwrap());

        let umami = Variables {
            image: "UMAMI_IMAGE".to_owned(),
            limit: "UMAMI_MEMORY".to_owned(),
            port: "UMAMI_PORT".to_owned(),
        };
        assert_eq!(found["umami"], umami);
        assert_eq!(found["redis"], Variables::default());
        let told: Vec<&str> = marks.values().map(|(key, _)| key).collect();
        let needed = [
            "UMAMI_APP_SECRET",
            "UMAMI_IMAGE",
            "UMAMI_MEMORY",
            "UMAMI_PORT",
        ];
        assert_eq!(told, needed);
    }
}
