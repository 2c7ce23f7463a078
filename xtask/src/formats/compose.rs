//! The resolved configuration: what `docker compose config` says, as far as we use it.
//!
//! It holds every secret in its environments; this type keeps none of them.

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct Config {
    /// The project's name; Compose labels everything that it makes with it.
    pub name: String,
    pub services: BTreeMap<String, Service>,
}

#[derive(Debug, Deserialize)]
pub struct Service {
    #[serde(default)]
    pub image: String,
    #[serde(default)]
    pub ports: Vec<Port>,
    #[serde(default)]
    pub depends_on: BTreeMap<String, Dependency>,
}

#[derive(Debug, Deserialize)]
pub struct Port {
    #[serde(default)]
    pub host_ip: String,
    #[serde(default)]
    pub published: String,
}

#[derive(Debug, Deserialize)]
pub struct Dependency {
    pub condition: String,
}

impl Config {
    /// Reads the YAML that `docker compose config` prints (Compose 2.26, 2026-11-22).
    pub fn parse(yaml: &str) -> anyhow::Result<Config> {
        serde_yaml::from_str(yaml).context("reading the output of `docker compose config`")
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

    /// The URL at which a service answers on this machine.
    ///
    /// # Errors
    /// When the configuration publishes no port of it.
    pub fn endpoint(&self, service: &str) -> anyhow::Result<String> {
        let endpoint = self.endpoints().into_iter().find(|(name, _)| *name == service);
        Ok(endpoint.with_context(|| format!("the compose file publishes no port of {service}"))?.1)
    }

    /// Each service with a published port, and the URL at which it answers on this machine.
    pub fn endpoints(&self) -> Vec<(&str, String)> {
        let url = |port: &Port| {
            let host = match port.host_ip.as_str() {
                "" | "0.0.0.0" | "127.0.0.1" | "::" | "::1" => "localhost",
                address => address,
            };
            format!("http://{host}:{}", port.published)
        };
        self.services.iter().filter_map(|(name, service)| Some((name.as_str(), url(service.ports.first()?)))).collect()
    }
}

/// Reads `docker compose config --hash "*"`: a line a service, its name and the hash of its configuration.
pub fn parse_hashes(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(service, hash)| (service.to_owned(), hash.to_owned()))
        .collect()
}
