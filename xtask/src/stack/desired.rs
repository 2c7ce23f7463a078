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
}

/// The names in a service's environment that we use; whatever else it holds is not kept.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub struct Names {
    pub postgres_user: Option<String>,
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
}

impl Config {
    /// Reads the YAML that `docker compose config` prints (Compose 2.26, 2026-11-22).
    pub fn parse(yaml: &str) -> anyhow::Result<Config> {
        serde_yaml::from_str(yaml).context("reading the output of `docker compose config`")
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

    /// Whether a container of this service holds another volume than it is to: one that has got another name
    /// since. Compose does not see that (2.26).
    pub fn has_other_volume(&self, service: &str, container: &Container) -> bool {
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

/// The variables of `.env` by which a service can be changed; empty where there is none.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Variables {
    pub image: String,
    pub limit: String,
    pub port: String,
}

/// Reads `docker compose config --no-interpolate`, which leaves `${NAME:-default}` as it stands.
pub fn parse_variables(yaml: &str) -> BTreeMap<String, Variables> {
    #[derive(Deserialize)]
    struct File {
        services: BTreeMap<String, serde_yaml::Value>,
    }
    let name = |text: Option<&str>| {
        // A port's own variable stands after the address's.
        let after = text
            .and_then(|text| text.rsplit_once("${"))
            .map_or("", |(_, after)| after);
        after
            .split([':', '}', '?', '-'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let variables = |service: &serde_yaml::Value| {
        let port = &service["ports"][0];
        Variables {
            image: name(service["image"].as_str()),
            limit: name(service["mem_limit"].as_str()),
            port: name(port.as_str().or_else(|| port["published"].as_str())),
        }
    };
    let file: Option<File> = serde_yaml::from_str(yaml).ok();
    file.into_iter()
        .flat_map(|file| file.services)
        .map(|(name, service)| (name, variables(&service)))
        .collect()
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

    #[test]
    fn knows_the_variables_that_change_a_service() {
        let yaml = "services:\n  umami:\n    image: ${UMAMI_IMAGE:-a/b:3}\n    mem_limit: ${UMAMI_MEMORY:-512M}\n    \
                    ports: ['${BIND_ADDRESS:-127.0.0.1}:${UMAMI_PORT:-3001}:3000']\n  redis: {image: 'redis:7'}\n";
        let variables = parse_variables(yaml);
        let expected = ["UMAMI_IMAGE", "UMAMI_MEMORY", "UMAMI_PORT"].map(str::to_owned);
        assert_eq!(
            [
                &variables["umami"].image,
                &variables["umami"].limit,
                &variables["umami"].port
            ],
            expected.each_ref()
        );
        assert_eq!(variables["redis"], Variables::default());
    }
}
