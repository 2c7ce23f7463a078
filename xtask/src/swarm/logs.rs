//! The logs of services, or of those of their tasks that can be asked.

use std::collections::BTreeMap;
use std::process::ExitStatus;
use std::sync::Arc;
use std::thread;

use anyhow::bail;

use super::Swarm;
use super::inspect::Service;
use super::nodes::Node;
use crate::docker::Docker;
use crate::problem::Problem;
use crate::system::interrupt::Interrupt;

/// What of the logs is shown.
pub struct Wanted {
    pub follow: bool,
    /// Only the last lines of each source.
    pub tail: Option<u64>,
    /// Only what is newer.
    pub since: Option<String>,
}

impl Swarm {
    /// # Errors
    /// When a name is none of a service: with those that are.
    pub fn check_names(
        &self,
        services: &BTreeMap<String, Service>,
        names: &[String],
    ) -> anyhow::Result<()> {
        let Some(unknown) = names.iter().find(|name| !services.contains_key(*name)) else {
            return Ok(());
        };
        let known: Vec<&str> = services.keys().map(String::as_str).collect();
        bail!(
            Problem::new(format!("{unknown} is no service of {}", self.name))
                .hint(format!("name one of {}", known.join(", ")))
        )
    }

    /// What is to be asked for logs: each service that is named, or all; but single tasks while a node is
    /// down, since docker asks every node of a service and fails with the first that is silent.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn log_sources(
        &self,
        services: &BTreeMap<String, Service>,
        names: &[String],
    ) -> anyhow::Result<Vec<String>> {
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let chosen: Vec<&Service> = services
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(_, service)| service)
            .collect();
        let nodes = self.nodes()?;
        if nodes.iter().all(Node::is_ready) {
            return Ok(chosen.iter().map(|it| it.spec.name.clone()).collect());
        }
        let is_ready = |id: &str| nodes.iter().any(|node| node.id == id && node.is_ready());
        let tasks = self.tasks()?.into_iter();
        let can_be_asked = tasks.filter(|task| {
            is_ready(&task.node) && chosen.iter().any(|service| service.id == task.service)
        });
        Ok(can_be_asked.map(|task| task.id).collect())
    }

    /// Shows the logs of all sources at once, each line with its task in front.
    ///
    /// # Errors
    /// When docker fails for one of them; it has said why.
    pub fn show_logs(&self, sources: &[String], wanted: &Wanted) -> anyhow::Result<()> {
        let interrupt = Interrupt::catch()?;
        let (values, target) = (self.docker.values(), self.docker.target());
        let checkout = &self.checkout;
        let show = |source: &str| {
            // Docker cannot be shared between threads.
            let docker = Docker::with(checkout, Arc::clone(values))?;
            show_one(&docker.at(target.clone()), source, wanted)
        };
        let shown = thread::scope(|threads| {
            let show = &show;
            let running: Vec<_> = sources
                .iter()
                .map(|source| threads.spawn(move || show(source)))
                .collect();
            let ended = running.into_iter().map(|thread| thread.join());
            ended.collect::<Vec<_>>()
        });
        for result in shown {
            let status = result.expect("showing logs ends in a result, never in a panic")?;
            if !status.success() && !interrupt.is_pressed() {
                bail!("`docker service logs` ended with {status}; its own message is above");
            }
        }
        Ok(())
    }
}

fn show_one(docker: &Docker, source: &str, wanted: &Wanted) -> anyhow::Result<ExitStatus> {
    let mut logs = docker.docker().args(["service", "logs"]);
    if wanted.follow {
        logs = logs.arg("--follow");
    }
    if let Some(lines) = wanted.tail {
        logs = logs.args(["--tail", &lines.to_string()]);
    }
    if let Some(since) = &wanted.since {
        logs = logs.args(["--since", since]);
    }
    logs.arg(source).shown()
}
