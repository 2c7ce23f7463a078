//! Changes of the nodes of a swarm, and of where tasks are. The caller holds the lock; must never decide whether
//! something may be done.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde_json::{Value, json};

use super::Swarm;
use super::nodes::{Node, OURS, Role};
use super::placement::Placement;
use crate::docker::Docker;
use crate::docker::invocation::stderr_of;

/// What the swarm may do with a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    Active,
    /// What it has stays, and nothing comes.
    Pause,
    /// What it has goes elsewhere.
    Drain,
}

impl Availability {
    fn word(self) -> &'static str {
        match self {
            Availability::Active => "active",
            Availability::Pause => "pause",
            Availability::Drain => "drain",
        }
    }
}

/// How a machine becomes a node.
pub struct Join<'a> {
    pub role: Role,
    /// Where the others are to reach it; by its engine's own choice where it is none.
    pub address: Option<&'a str>,
    /// Managers that let it in.
    pub managers: Vec<String>,
}

impl Swarm {
    /// The services with their tasks, and the nodes.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn placement(&self) -> anyhow::Result<Placement> {
        Ok(Placement {
            services: self.services()?,
            tasks: self.tasks()?,
            nodes: self.nodes()?,
        })
    }

    /// # Errors
    /// When the swarm refuses it.
    pub fn set_availability(&self, node: &Node, availability: Availability) -> anyhow::Result<()> {
        let set = ["node", "update", "--availability", availability.word()];
        let update = self.docker.docker().args(set).arg(&node.id);
        update.text().map(drop)
    }

    /// Gives a node labels, by their names without what ours have in common.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn give_labels(&self, node: &Node, labels: &BTreeMap<&str, &str>) -> anyhow::Result<()> {
        if labels.is_empty() {
            return Ok(());
        }
        let mut update = self.docker.docker().args(["node", "update"]);
        for (name, value) in labels {
            update = update.args(["--label-add", &format!("{OURS}{name}={value}")]);
        }
        update.arg(&node.id).text().map(drop)
    }

    /// # Errors
    /// When the swarm refuses it.
    pub fn promote(&self, node: &Node) -> anyhow::Result<()> {
        let promote = self.docker.docker().args(["node", "promote", &node.id]);
        promote.text().map(drop)
    }

    /// Makes a manager a worker. The others drop it from their number a moment later.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn demote(&self, node: &Node) -> anyhow::Result<()> {
        let demote = self.docker.docker().args(["node", "demote", &node.id]);
        demote.text().map(drop)
    }

    /// Takes a dead node off the swarm; one that has gone is no error. While it still counts as a manager, the
    /// swarm refuses.
    ///
    /// # Errors
    /// In the swarm's words.
    pub fn remove_node(&self, node: &Node) -> anyhow::Result<()> {
        let remove = ["node", "rm", "--force", &node.id];
        match self.docker.docker().args(remove).text() {
            Ok(_) => Ok(()),
            Err(error) if stderr_of(&error).contains("not found") => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets the swarm replace all tasks of a service, in the way in which the service is updated, and place them
    /// anew.
    ///
    /// Not by `docker service update --force`: that writes mounts down in another order, so that the next
    /// deployment would take the service for another one and restart it once more (docker 26.1, 2026-11-25).
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn place_anew(&self, service: &str) -> anyhow::Result<()> {
        // `docker service inspect` shows defaults where there is nothing, and those would be a change too.
        let shown = self
            .docker
            .ask("GET", &format!("/services/{}_{service}", self.name), "")?;
        let doing = "reading what the engine says of a service";
        let shown: Value = serde_json::from_str(&shown).context(doing)?;
        let (id, version) = (&shown["ID"], &shown["Version"]["Index"]);
        let (id, version) = id.as_str().zip(version.as_u64()).context(doing)?;
        let spec = forced(shown["Spec"].clone());
        let path = format!("/services/{id}/update?version={version}&registryAuthFrom=spec");
        self.docker.ask("POST", &path, &spec.to_string()).map(drop)
    }

    /// Lets the machine of another engine into the swarm. The token that opens it goes over the engines' own
    /// connections: it is in no argument and is shown to nobody.
    ///
    /// # Errors
    /// When the other engine refuses, or does not reach a manager: in its words.
    pub fn join(&self, other: &Docker, join: &Join) -> anyhow::Result<()> {
        let role = match join.role {
            Role::Worker => "worker",
            Role::Manager | Role::Leader => "manager",
        };
        let token = ["swarm", "join-token", "--quiet", role];
        let token = self.docker.docker().args(token).text()?;
        let body = json!({
            "ListenAddr": "0.0.0.0:2377",
            "AdvertiseAddr": join.address.unwrap_or_default(),
            "RemoteAddrs": join.managers,
            "JoinToken": token.trim(),
            "Availability": "active",
        });
        let joined = other.ask("POST", "/swarm/join", &body.to_string());
        if let Err(error) = joined {
            // It is in no env file, so nothing else would hide it.
            bail!("{}", format!("{error:#}").replace(token.trim(), "…"));
        }
        Ok(())
    }
}

/// The same service, to be started anew.
fn forced(mut spec: Value) -> Value {
    let force = &mut spec["TaskTemplate"]["ForceUpdate"];
    *force = Value::from(force.as_u64().unwrap_or(0) + 1);
    spec
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_service_changes_but_that_it_is_started_anew() {
        let spec = json!({"Name": "a", "TaskTemplate": {"Unknown": [2, 1]}});
        let once = json!({"Name": "a", "TaskTemplate": {"Unknown": [2, 1], "ForceUpdate": 1}});
        assert_eq!(forced(spec), once);
        assert_eq!(forced(once)["TaskTemplate"]["ForceUpdate"], 2);
    }
}
