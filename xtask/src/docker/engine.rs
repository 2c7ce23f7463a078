//! What an engine says of itself and of all that is on it, as text, types out.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::Deserialize;

/// A container, network or volume on the engine, by what its labels say.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Thing {
    pub name: String,
    /// The Compose project that made it; empty for none.
    pub project: String,
    /// The folder that project was started from; containers have it.
    pub folder: String,
    /// The ports of the host that it takes.
    pub ports: BTreeSet<u16>,
    /// A container's: created, running, restarting, …
    pub state: String,
    /// The Swarm service that a container is a task of; empty for none.
    pub service: String,
}

impl Thing {
    /// What ends a container, as a user would type it. Swarm starts a task that was stopped anew.
    pub fn way_to_end(&self) -> String {
        match self.service.as_str() {
            "" => format!("`docker stop {}`", self.name),
            service => format!("`docker service rm {service}`"),
        }
    }
}

/// The columns that [`parse_things`] reads; networks and volumes have but the first two.
pub const THING_FORMAT: &str = "{{.Name}}\t{{.Label \"com.docker.compose.project\"}}";
pub const CONTAINER_FORMAT: &str = "{{.Names}}\t{{.Label \"com.docker.compose.project\"}}\t\
                                    {{.Label \"com.docker.compose.project.working_dir\"}}\t{{.Ports}}\t{{.State}}\t\
                                    {{.Label \"com.docker.swarm.service.name\"}}";

/// Reads a list that was made with one of the formats above.
pub fn parse_things(text: &str) -> Vec<Thing> {
    let thing = |line: &str| {
        let mut columns = line.split('\t').map(str::to_owned);
        let mut next = || columns.next().unwrap_or_default();
        Thing {
            name: next(),
            project: next(),
            folder: next(),
            ports: parse_ports(&next()),
            state: next(),
            service: next(),
        }
    };
    text.lines().map(thing).collect()
}

/// The host's ports in `127.0.0.1:3001->3000/tcp, [::]:80-81->80-81/tcp, 5432/tcp`.
fn parse_ports(text: &str) -> BTreeSet<u16> {
    let ports = |part: &str| -> Option<_> {
        let published = part.split_once("->")?.0.rsplit(':').next()?.to_owned();
        let (first, last) = published
            .split_once('-')
            .unwrap_or((&published, &published));
        Some(first.parse::<u16>().ok()?..=last.parse().ok()?)
    };
    text.split(", ").filter_map(ports).flatten().collect()
}

/// Everything on the engine that could be in our way.
#[derive(Debug, Default)]
pub struct Engine {
    /// `unix:///var/run/docker.sock`, `ssh://…`, `tcp://…`.
    pub address: String,
    pub containers: Vec<Thing>,
    pub networks: Vec<Thing>,
    pub volumes: Vec<Thing>,
}

impl Engine {
    /// Whether it publishes ports on another machine than ours.
    pub fn is_remote(&self) -> bool {
        self.address.starts_with("ssh://") || self.address.starts_with("tcp://")
    }

    /// Whether a container of the project is between two starts: then its port shows with nobody, and may be taken.
    pub fn has_restarting(&self, project: &str) -> bool {
        self.containers
            .iter()
            .any(|it| it.project == project && it.state == "restarting")
    }

    /// Whether `port` is free, ours or another container's: `None` if the engine does not hold it.
    pub fn port_owner(&self, port: u16, project: &str) -> Option<Result<(), &Thing>> {
        let holders = || {
            self.containers
                .iter()
                .filter(|container| container.ports.contains(&port))
        };
        match holders().find(|container| container.project == project) {
            Some(_) => Some(Ok(())),
            None => holders().next().map(Err),
        }
    }
}

/// What `docker info` says of an engine.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Info {
    pub server_version: String,
    pub operating_system: String,
    /// As the kernel names it: x86_64, aarch64.
    pub architecture: String,
    #[serde(default)]
    pub memory_limit: bool,
    #[serde(default)]
    pub mem_total: u64,
    #[serde(default)]
    pub security_options: Option<Vec<String>>,
    /// RFC 3339, by the clock of its machine.
    #[serde(default)]
    pub system_time: String,
}

impl Info {
    /// Reads `docker info --format '{{json .}}'` (Engine 26, 2026-11-22).
    pub fn parse(json: &str) -> anyhow::Result<Info> {
        serde_json::from_str(json).context("reading the output of `docker info`")
    }

    /// As images name it.
    pub fn image_architecture(&self) -> &str {
        match self.architecture.as_str() {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        }
    }

    /// Whether no process of a container may gain rights, whatever the container says.
    pub fn has_no_new_privileges(&self) -> bool {
        self.security_options
            .iter()
            .flatten()
            .any(|option| option.contains("no-new-privileges"))
    }

    pub fn is_rootless(&self) -> bool {
        self.security_options
            .iter()
            .flatten()
            .any(|option| option.contains("rootless"))
    }
}
