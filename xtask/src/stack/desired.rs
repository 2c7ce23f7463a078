//! The resolved configuration: what `docker compose config` says, as far as we use it.
//!
//! It holds every secret in its environments; this type keeps none of them.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::docker::inspect::Container;

#[derive(Debug, Deserialize)]
pub struct Config {
    /// The project's name; Compose labels everything that it makes with it.
    pub name: String,
    pub services: BTreeMap<String, Service>,
    #[serde(default)]
    pub networks: BTreeMap<String, Named>,
    #[serde(default)]
    pub volumes: BTreeMap<String, Named>,
}

/// A network or a volume.
#[derive(Debug, Deserialize)]
pub struct Named {
    #[serde(default)]
    pub name: String,
    /// Whether it is somebody else's, which the stack only uses.
    #[serde(default)]
    pub external: bool,
}

#[derive(Debug, Deserialize)]
pub struct Service {
    #[serde(default)]
    pub image: String,
    pub container_name: Option<String>,
    /// How it is built, where it is.
    pub build: Option<IgnoredAny>,
    #[serde(default)]
    pub pull_policy: String,
    pub platform: Option<String>,
    #[serde(default)]
    mem_limit: serde_yaml::Value,
    #[serde(default)]
    pub volumes: Vec<Mount>,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    pub environment: Names,
    /// By their keys in the compose file.
    #[serde(default)]
    pub networks: BTreeMap<String, IgnoredAny>,
    #[serde(default)]
    deploy: Deploy,
    scale: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct Deploy {
    replicas: Option<u64>,
}

/// The names in a service's environment that we use; whatever else it holds is not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Names {
    pub postgres_user: Option<String>,
    /// As whom and by which database to come in.
    pub pguser: Option<String>,
    pub postgres_db: Option<String>,
    /// Of a PostgreSQL that is not a service of the stack.
    #[serde(default)]
    pub pghost: String,
    #[serde(default)]
    pub pgport: String,
    #[serde(default)]
    pub pgsslmode: String,
    pub umami_database: Option<String>,
    pub glitchtip_database: Option<String>,
    /// Where PostgreSQL keeps its data, if it is not where the image says.
    pub pgdata: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Port {
    /// The port in the container.
    #[serde(default)]
    pub target: u16,
    #[serde(default)]
    pub host_ip: String,
    #[serde(default)]
    pub published: String,
}

#[derive(Debug, Deserialize)]
pub struct Mount {
    #[serde(rename = "type", default)]
    pub kind: String,
    /// A volume's key, or a path of this machine.
    #[serde(default)]
    pub source: String,
    /// The path in the container.
    #[serde(default)]
    pub target: String,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub condition: String,
}

impl Service {
    /// Bytes; 0 is no limit.
    pub fn memory_limit(&self) -> u64 {
        self.mem_limit
            .as_u64()
            .or_else(|| self.mem_limit.as_str()?.parse().ok())
            .unwrap_or(0)
    }

    /// Whether it is to have no container at all.
    fn is_absent(&self) -> bool {
        self.deploy.replicas.or(self.scale) == Some(0)
    }
}

impl Config {
    /// Reads the YAML that `docker compose config` prints (Compose 2.26, 2026-11-22). A service that is to
    /// have no container is left out: nobody waits for it.
    pub fn parse(yaml: &str) -> anyhow::Result<Config> {
        let reading = "reading the output of `docker compose config`";
        let mut config: Config = serde_yaml::from_str(yaml).context(reading)?;
        let absent = config.services.iter().filter(|(_, it)| it.is_absent());
        let absent: Vec<String> = absent.map(|(name, _)| name.clone()).collect();
        config.services.retain(|name, _| !absent.contains(name));
        for service in config.services.values_mut() {
            service.depends_on.retain(|name, _| !absent.contains(name));
        }
        Ok(config)
    }

    /// What a service is there for.
    pub fn role(&self, service: &str) -> Role {
        if self.is_one_shot(service) {
            Role::OneShot
        } else {
            Role::LongRunning
        }
    }

    /// The services, and all that they need: Compose starts those too.
    pub fn with_dependencies(&self, services: &[&str]) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&str> = services.to_vec();
        while let Some(name) = open.pop() {
            if all.insert(name.to_owned()) {
                let service = self.services.get(name).into_iter();
                open.extend(service.flat_map(|it| it.depends_on.keys().map(String::as_str)));
            }
        }
        all
    }

    /// The names of all images, each as often as a service has it.
    pub fn images(&self) -> impl Iterator<Item = &str> {
        self.services.values().map(|service| service.image.as_str())
    }

    /// Options of `docker run` by which a container of PostgreSQL's image finds the data as the service does;
    /// `$PGDATA` is where it lies. The path differs between images: since PostgreSQL 18 it has the version in
    /// it. `None` where the service keeps its data in no volume.
    pub fn postgres_data(&self, access: Access) -> Option<PostgresData> {
        let service = self.services.get("postgres")?;
        let mount = service
            .volumes
            .iter()
            .find(|it| it.source == "postgres_data")?;
        let volume = &self.volumes.get("postgres_data")?.name;
        let access = match access {
            Access::Read => ":ro",
            Access::Write => "",
        };
        let mut options = vec!["--volume".to_owned()];
        options.push(format!("{volume}:{}{access}", mount.target));
        if let Some(folder) = &service.environment.pgdata {
            options.extend(["--env".to_owned(), format!("PGDATA={folder}")]);
        }
        Some(PostgresData {
            options,
            mount: mount.target.clone(),
        })
    }

    /// Whether a container of this service holds another volume than it is to, or is not in a network: one that
    /// has got another name since. Compose does not see that (2.26).
    pub fn is_misplaced(&self, service: &str, container: &Container) -> bool {
        self.has_other_volume(service, container) || self.lacks_network(service, container)
    }

    fn lacks_network(&self, service: &str, container: &Container) -> bool {
        let present: Vec<&String> = container.networks().collect();
        let keys = self.services.get(service).into_iter();
        let keys = keys.flat_map(|service| service.networks.keys());
        let mut names = keys.filter_map(|key| self.networks.get(key));
        // An engine that tells of no network at all cannot be asked.
        !present.is_empty() && names.any(|network| !present.contains(&&network.name))
    }

    fn has_other_volume(&self, service: &str, container: &Container) -> bool {
        let mounts = self
            .services
            .get(service)
            .into_iter()
            .flat_map(|service| &service.volumes);
        mounts.filter(|mount| mount.kind == "volume").any(|mount| {
            let name = self.volumes.get(&mount.source).map(|volume| &volume.name);
            let mounted = container
                .mounts
                .iter()
                .find(|mounted| mounted.destination == mount.target);
            mounted.is_some_and(|mounted| name.is_some_and(|name| mounted.name != *name))
        })
    }

    /// Whether a service ends by itself before others start: some service waits for its success.
    pub fn is_one_shot(&self, service: &str) -> bool {
        self.services.values().any(|other| {
            other
                .depends_on
                .get(service)
                .is_some_and(|dependency| dependency.condition == "service_completed_successfully")
        })
    }
}

/// Where PostgreSQL's data is, for a container of its image.
#[derive(Debug)]
pub struct PostgresData {
    /// Options of `docker run`.
    pub options: Vec<String>,
    /// Where the volume is.
    pub mount: String,
}

/// What a helper container may do with a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// What a service is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It is to run until it is stopped.
    LongRunning,
    /// It is to end by itself, before those that wait for it start.
    OneShot,
}

/// Reads `docker compose config --hash "*"`: a line a service, its name and the hash of its configuration.
pub fn parse_hashes(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(service, hash)| (service.to_owned(), hash.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As of a container in these networks.
    fn container(networks: &serde_json::Value) -> Container {
        let container = serde_json::json!({
            "Id": "1", "Name": "/app", "Image": "2", "State": {"Status": "running"},
            "Config": {"Image": "app"}, "HostConfig": {}, "NetworkSettings": {"Networks": networks},
        });
        serde_json::from_value(container).unwrap()
    }

    #[test]
    fn a_container_that_lacks_a_network_is_misplaced() {
        let yaml = "name: x\nservices: {app: {networks: {own: null, other: null}}}\n\
                    networks: {own: {name: own-network}, other: {name: directus, external: true}}";
        let config = Config::parse(yaml).unwrap();
        for (networks, is_misplaced) in [
            (
                serde_json::json!({"own-network": {}, "directus": {}}),
                false,
            ),
            // By hand, in one more.
            (
                serde_json::json!({"own-network": {}, "directus": {}, "bridge": {}}),
                false,
            ),
            (serde_json::json!({"own-network": {}, "earlier": {}}), true),
            (serde_json::json!({"own-network": {}}), true),
            (serde_json::json!({}), false),
            (serde_json::Value::Null, false),
        ] {
            let is = config.is_misplaced("app", &container(&networks));
            assert_eq!(is, is_misplaced, "{networks}");
        }
    }

    #[test]
    fn a_service_without_containers_is_left_out_and_nobody_waits_for_it() {
        let waiting = "{depends_on: {server: {condition: service_healthy}}}";
        for absent in ["{scale: 0}", "{deploy: {replicas: 0}}"] {
            let yaml = format!("name: x\nservices: {{server: {absent}, app: {waiting}}}");
            let config = Config::parse(&yaml).unwrap();
            assert_eq!(config.in_start_order(), ["app"]);
            assert!(config.services["app"].depends_on.is_empty());
        }
        let yaml = format!("name: x\nservices: {{server: {{scale: 1}}, app: {waiting}}}");
        assert_eq!(Config::parse(&yaml).unwrap().services.len(), 2);
    }
}
