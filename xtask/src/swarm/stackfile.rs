//! A stack file as docker renders it, made whole: images pinned, configs by their names in the swarm. [pure]
//!
//! What comes out needs no file beside it, so it can be kept and deployed again.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_yaml::{Mapping, Value};

/// A stack file without variables.
#[derive(Clone, Debug, PartialEq)]
pub struct StackFile(Mapping);

/// A config that a stack file takes from a file.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Its name within the stack file.
    pub key: String,
    pub path: String,
}

impl StackFile {
    /// Reads what `docker stack config` prints: `$` stands for itself in it.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(rendered: &str) -> anyhow::Result<StackFile> {
        let mut file: Mapping =
            serde_yaml::from_str(rendered).context("reading a rendered stack file")?;
        file.retain(|key, _| !key.as_str().is_some_and(|key| key.starts_with("x-")));
        Ok(StackFile(file))
    }

    /// Reads what [`StackFile::render`] wrote.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse_release(text: &str) -> anyhow::Result<StackFile> {
        let mut file = StackFile::parse(text)?;
        change_texts(&mut file.0, &|text| text.replace("$$", "$"));
        Ok(file)
    }

    /// As `docker stack deploy` takes it, which resolves variables.
    pub fn render(&self) -> String {
        let mut file = self.0.clone();
        change_texts(&mut file, &|text| text.replace('$', "$$"));
        serde_yaml::to_string(&file).unwrap_or_default()
    }

    /// The names of its services, in its order.
    pub fn services(&self) -> Vec<&str> {
        let services = self.section("services");
        services.map_or_else(Vec::new, |it| it.keys().filter_map(Value::as_str).collect())
    }

    /// What it says of a service.
    pub fn service(&self, name: &str) -> Option<&Value> {
        self.section("services")?.get(name)
    }

    /// What it says of a service, with the names in the swarm of the secrets and configs that it reads.
    pub fn resolved(&self, name: &str) -> Option<Value> {
        let mut service = self.service(name)?.clone();
        for section in ["secrets", "configs"] {
            let uses = service.get_mut(section).and_then(Value::as_sequence_mut);
            for used in uses.into_iter().flatten() {
                let key = used["source"].as_str().unwrap_or_default();
                let named = self.section(section).and_then(|it| it.get(key));
                if let Some(name) = named.map(|thing| thing["name"].clone()) {
                    used["source"] = name;
                }
            }
        }
        Some(service)
    }

    /// The same with some of its services only.
    pub fn only(&self, names: &[&str]) -> StackFile {
        let mut file = self.clone();
        if let Some(services) = file.0.get_mut("services").and_then(Value::as_mapping_mut) {
            services.retain(|name, _| name.as_str().is_some_and(|name| names.contains(&name)));
        }
        file
    }

    /// Leaves out the services of which another file says that there are to be none: the database on one node.
    pub fn drop_replaced(&mut self) {
        if let Some(services) = self.0.get_mut("services").and_then(Value::as_mapping_mut) {
            let is_replaced = |name: &Value, service: &Value| {
                let may_be = matches!(name.as_str(), Some("postgres" | "backup"));
                may_be && service["deploy"]["replicas"].as_u64() == Some(0)
            };
            services.retain(|name, service| !is_replaced(name, service));
        }
    }

    /// The service that runs PostgreSQL, or the first of three.
    pub fn database(&self) -> &'static str {
        match self.service("postgres") {
            Some(_) => "postgres",
            None => "postgres-1",
        }
    }

    /// Whether the databases are on three nodes.
    pub fn has_members(&self) -> bool {
        self.service("postgres-1").is_some()
    }

    /// The services that open PostgreSQL's socket, which only the node has where it runs.
    pub fn is_beside_database(&self, service: &str) -> bool {
        let volumes = self.service(service).map(|it| &it["volumes"]);
        let volumes = volumes.and_then(Value::as_sequence).into_iter().flatten();
        let mut sources = volumes.filter_map(|it| it["source"].as_str());
        sources.any(|source| source == "postgres_socket")
    }

    /// Puts a service on the nodes of this constraint alone.
    pub fn place(&mut self, service: &str, constraint: &str) {
        let services = self.0.get_mut("services").and_then(Value::as_mapping_mut);
        if let Some(service) = services.and_then(|it| it.get_mut(service)) {
            let constraints = Value::from(vec![constraint]);
            service["deploy"]["placement"]["constraints"] = constraints;
        }
    }

    /// The images of all services.
    pub fn images(&self) -> BTreeSet<String> {
        let services = self
            .section("services")
            .into_iter()
            .flat_map(Mapping::values);
        let images = services.filter_map(|service| service["image"].as_str());
        images.map(str::to_owned).collect()
    }

    /// Puts other names in the place of images.
    pub fn replace_images(&mut self, names: &BTreeMap<String, String>) {
        let services = self.0.get_mut("services").and_then(Value::as_mapping_mut);
        for (_, service) in services.into_iter().flatten() {
            let image = service["image"].as_str().unwrap_or_default();
            if let Some(name) = names.get(image) {
                service["image"] = Value::from(name.as_str());
            }
        }
    }

    /// From now on every service has the image that a service of `other` has.
    pub fn take_image(&mut self, other: &StackFile, service: &str) {
        let Some(image) = other.service(service).map(|it| it["image"].clone()) else {
            return;
        };
        let services = self.0.get_mut("services").and_then(Value::as_mapping_mut);
        for (_, service) in services.into_iter().flatten() {
            service["image"] = image.clone();
        }
    }

    /// The configs that are made from files.
    pub fn config_files(&self) -> Vec<ConfigFile> {
        let configs = self.section("configs").into_iter().flatten();
        let file = |(key, config): (&Value, &Value)| {
            Some(ConfigFile {
                key: key.as_str()?.to_owned(),
                path: config["file"].as_str()?.to_owned(),
            })
        };
        configs.filter_map(file).collect()
    }

    /// From now on a secret, or config, is the one of this name in the swarm.
    pub fn take(&mut self, section: &str, key: &str, name: &str) {
        let taken = Mapping::from_iter([
            (Value::from("name"), Value::from(name)),
            (Value::from("external"), Value::from(true)),
        ]);
        if let Some(things) = self.0.get_mut(section).and_then(Value::as_mapping_mut) {
            things.insert(Value::from(key), Value::from(taken));
        }
    }

    /// From now on each secret and config is the one that `other` has under the same key, where it has one.
    pub fn take_from(&mut self, other: &StackFile) {
        for section in ["secrets", "configs"] {
            let own: Vec<Value> = self
                .section(section)
                .map_or_else(Vec::new, |it| it.keys().cloned().collect());
            for key in own.iter().filter_map(Value::as_str) {
                let known = other.section(section).and_then(|it| it.get(key));
                if let Some(name) = known.and_then(|thing| thing["name"].as_str()) {
                    self.take(section, key, name);
                }
            }
        }
    }

    /// The names in the swarm of all secrets, or configs, that it needs.
    pub fn needed(&self, section: &str) -> BTreeSet<String> {
        let things = self.section(section).into_iter().flat_map(Mapping::values);
        let names = things.filter_map(|thing| thing["name"].as_str());
        names.map(str::to_owned).collect()
    }

    fn section(&self, name: &str) -> Option<&Mapping> {
        self.0.get(name)?.as_mapping()
    }
}

/// The names of the services of a stack file as it is written, in the order in which they stand.
///
/// # Errors
/// When it is no stack file.
pub fn parse_order(written: &str) -> anyhow::Result<Vec<String>> {
    let file: Value = serde_yaml::from_str(written).context("reading a stack file")?;
    let services = file["services"]
        .as_mapping()
        .context("it has no services")?;
    let names = services.keys().filter_map(Value::as_str);
    Ok(names.map(str::to_owned).collect())
}

/// Changes every text that is a value, not those that are names.
fn change_texts(mapping: &mut Mapping, change: &dyn Fn(&str) -> String) {
    for (_, value) in mapping.iter_mut() {
        change_text(value, change);
    }
}

fn change_text(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Sequence(values) => values.iter_mut().for_each(|it| change_text(it, change)),
        Value::Mapping(mapping) => change_texts(mapping, change),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str = "
services:
  edge:
    image: caddy:2.11
  umami:
    image: umami:3
    healthcheck: {test: [CMD-SHELL, 'echo $answer']}
configs:
  caddyfile: {name: a_caddyfile_1, file: /x/Caddyfile}
  kept: {name: a_kept_1, external: true}
secrets:
  umami: {name: a_umami_1, external: true}
x-health: {retries: 3}
";

    fn example() -> StackFile {
        StackFile::parse(RENDERED).unwrap()
    }

    #[test]
    fn what_is_rendered_is_read_back_and_keeps_its_dollars() {
        let text = example().render();
        assert!(text.contains("echo $$answer"), "{text}");
        assert!(!text.contains("x-health"), "{text}");
        assert_eq!(StackFile::parse_release(&text).unwrap(), example());
    }

    #[test]
    fn a_release_names_images_and_configs_as_the_swarm_has_them() {
        let mut file = example();
        let path = "/x/Caddyfile".to_owned();
        let key = "caddyfile".to_owned();
        assert_eq!(file.config_files(), [ConfigFile { key, path }]);
        file.take("configs", "caddyfile", "a_caddyfile_2");
        assert!(file.config_files().is_empty());
        assert_eq!(
            file.needed("configs").into_iter().collect::<Vec<_>>(),
            ["a_caddyfile_2", "a_kept_1"]
        );
        let pinned = BTreeMap::from([("umami:3".to_owned(), "umami@sha256:1".to_owned())]);
        file.replace_images(&pinned);
        let images: Vec<String> = file.images().into_iter().collect();
        assert_eq!(images, ["caddy:2.11", "umami@sha256:1"]);
    }

    #[test]
    fn a_part_has_the_services_that_were_asked_for() {
        let part = example().only(&["edge"]);
        assert_eq!(part.services(), ["edge"]);
        assert_eq!(part.needed("secrets").len(), 1);
    }

    #[test]
    fn what_opens_the_socket_is_placed_where_the_primary_is() {
        let mut file = StackFile::parse(
            "services: {init: {volumes: [{type: volume, source: postgres_socket, target: /s}],
               deploy: {placement: {constraints: [a == b]}}}, other: {image: x}, postgres: {deploy: {replicas: 0}}}",
        )
        .unwrap();
        file.drop_replaced();
        assert_eq!(file.services(), ["init", "other"]);
        assert!(file.is_beside_database("init") && !file.is_beside_database("other"));
        file.place("init", "node.labels.analytics.member == 2");
        let constraints = &file.service("init").unwrap()["deploy"]["placement"]["constraints"];
        assert_eq!(constraints[0], "node.labels.analytics.member == 2");
    }

    #[test]
    fn jobs_have_the_order_in_which_they_are_written() {
        let written = "services:\n  second: {image: b}\n  first: {image: a}\n";
        assert_eq!(parse_order(written).unwrap(), ["second", "first"]);
    }
}
