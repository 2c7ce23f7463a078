//! Production: the stack on a Docker Swarm. Looks and changes; must never decide what a verb is about, and
//! never put a secret where the swarm shows it.

pub mod database;
pub mod edge;
pub mod files;
pub mod images;
pub mod inspect;
pub mod jobs;
pub mod lock;
pub mod logs;
pub mod look;
pub mod machines;
pub mod membership;
pub mod nodes;
pub mod objects;
pub mod operation;
pub mod patroni;
pub mod placement;
pub mod preview;
pub mod release;
pub mod removal;
pub mod rollout;
pub mod roster;
pub mod rotation;
pub mod secrets;
pub mod settings;
pub mod stackfile;
pub mod status;
pub mod watch;

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::endpoint::Target;
use crate::problem::Problem;
use inspect::{Service, Task};
use nodes::Node;
use rollout::{Before, Progress};
use stackfile::StackFile;

/// The label by which Swarm finds what belongs to a stack.
const STACK_LABEL: &str = "com.docker.stack.namespace";

/// The stack in production, and the engine that is asked about it: a manager of the swarm.
pub struct Swarm {
    /// Of production.
    pub checkout: Checkout,
    pub docker: Docker,
    /// The stack's name.
    pub name: String,
}

/// What `docker info` says of the engine's swarm (Engine 26, 2026-11-30).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Membership {
    /// The id of the engine's own node.
    #[serde(rename = "NodeID")]
    pub node: String,
    /// inactive, pending, active, error or locked.
    pub local_node_state: String,
    /// Whether it is a manager.
    pub control_available: bool,
    /// Why a manager cannot answer for the swarm.
    #[serde(default)]
    pub error: String,
    #[serde(default)]
    pub remote_managers: Option<Vec<RemoteManager>>,
}

/// A manager that an engine knows, itself included.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoteManager {
    pub addr: String,
}

impl Membership {
    /// # Errors
    /// When the engine does not answer.
    pub fn of(docker: &Docker) -> anyhow::Result<Membership> {
        let format = ["info", "--format", "{{json .Swarm}}"];
        let text = docker.docker().args(format).text()?;
        serde_json::from_str(&text).context("reading the output of `docker info`")
    }

    /// Why nothing can be asked of a swarm whose managers do not agree on a leader.
    fn without_leader(&self) -> Problem {
        let known = self.remote_managers.iter().flatten();
        let known: Vec<&str> = known.map(|manager| manager.addr.as_str()).collect();
        let what = "the swarm has no leader: more than half of its managers must be reachable";
        Problem::new(what)
            .evidence(format!(
                "managers: {}\n{}",
                known.join(", "),
                self.error.trim()
            ))
            .hint(
                "what runs goes on running, and this passes by itself within a minute if one manager has failed; \
                 if more have, bring their machines back, or read `Half of the managers are gone` in \
                 deploy/production/README.md",
            )
    }
}

impl Swarm {
    /// The stack that the env file of production names. `checkout` may be that of any deployment.
    ///
    /// # Errors
    /// When there is no such file yet, or it cannot be read.
    pub fn of(checkout: &Checkout) -> anyhow::Result<Swarm> {
        let checkout = checkout.production();
        if !checkout.env_file().exists() {
            let name = checkout.display(&checkout.env_file());
            bail!(
                Problem::new(format!("there is no {name} yet"))
                    .hint("make it with `cargo xtask production setup`")
            );
        }
        let docker = Docker::new(&checkout)?;
        let target = Target::parse(&docker.values().text("TARGET"));
        Ok(Swarm {
            name: docker.values().text("STACK"),
            docker: docker.at(target),
            checkout,
        })
    }

    /// Checks that a manager of a swarm answers, and returns its node's id.
    ///
    /// # Errors
    /// When none does, with the command that makes one.
    pub fn check(&self) -> anyhow::Result<String> {
        self.docker.check_engine()?;
        let membership = Membership::of(&self.docker)?;

        let init = self.docker.target().render_command("swarm init");
        match membership.local_node_state.as_str() {
            "active" if membership.control_available && !membership.error.is_empty() => {
                bail!(membership.without_leader())
            }
            "active" if membership.control_available => Ok(membership.node),
            "active" => bail!(
                Problem::new(
                    "the engine is a worker of its swarm, and only a manager can be asked"
                )
                .hint("set TARGET in deploy/production/.env to a manager")
            ),
            "locked" => bail!(Problem::new("the engine's swarm is locked").hint(format!(
                "unlock it with `{}`",
                self.docker.target().render_command("swarm unlock")
            ))),
            _ => bail!(
                Problem::new("the engine is not part of a swarm")
                    .hint(format!("make it a swarm of one node with `{init}`"))
            ),
        }
    }

    /// The DNS records that lead to the edge, as a zone file has them. Where the swarm does not answer yet,
    /// the address is the one that TARGET names, or left to the reader.
    pub fn dns_records(&self) -> String {
        let nodes = self.nodes().unwrap_or_default();
        let has_edge = |node: &&Node| node.has_label(nodes::EDGE) || nodes.len() == 1;
        let known = nodes
            .iter()
            .filter(has_edge)
            .map(|node| node.address().to_owned());
        let mut addresses: Vec<String> = known.collect();
        if addresses.is_empty() {
            let host = self
                .docker
                .target()
                .host()
                .unwrap_or("ADDRESS-OF-YOUR-SERVER");
            addresses.push(host.to_owned());
        }
        let edge = settings::Edge::of(self.docker.values());
        settings::render_records(&edge, &addresses)
    }

    /// Every node of the swarm.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn nodes(&self) -> anyhow::Result<Vec<Node>> {
        let ids = self.docker.docker().args(["node", "ls", "--quiet"]);
        nodes::parse(&self.inspect_all("node", &ids.text()?)?)
    }

    /// Gives a node a label, written with its value.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn label(&self, node: &Node, label: &str) -> anyhow::Result<()> {
        let update = ["node", "update", "--label-add", label, &node.id];
        self.docker.docker().args(update).text().map(drop)
    }

    /// Whether each service of a stack file is there and well, in this version or another.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn is_well(&self, file: &StackFile) -> anyhow::Result<bool> {
        let services = self.services()?;
        let tasks = self.tasks_among(&services)?;
        let before = Before::new(&services, &tasks);
        let is_ready = |name: &str| {
            let service = services.get(name);
            service.is_some_and(|it| before.progress(name, it, &tasks) == Progress::Ready)
        };
        Ok(file.services().into_iter().all(is_ready))
    }

    /// The services of the stack, by their names within it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn services(&self) -> anyhow::Result<BTreeMap<String, Service>> {
        self.services_of(&self.name)
    }

    /// The services of a stack, by their names within it.
    fn services_of(&self, stack: &str) -> anyhow::Result<BTreeMap<String, Service>> {
        let filter = format!("label={STACK_LABEL}={stack}");
        let list = ["service", "ls", "--quiet", "--filter", &filter];
        let ids = self.docker.docker().args(list).text()?;
        let services = inspect::parse_services(&self.inspect_all("service", &ids)?)?;
        let prefix = format!("{stack}_");
        let named = services.into_iter().map(|service| {
            let name = service.spec.name.trim_start_matches(&prefix).to_owned();
            (name, service)
        });
        Ok(named.collect())
    }

    /// Whether a task of a service runs on a node.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn runs_on(&self, service: &str, node: &str) -> anyhow::Result<bool> {
        let tasks = self.tasks_of(&[format!("{}_{service}", self.name)])?;
        let runs = |task: &Task| task.node == node && task.status.state == "running";
        Ok(tasks.iter().any(runs))
    }

    /// The id of a container of a service on the engine that is asked.
    ///
    /// # Errors
    /// When it has none.
    pub fn container_of(&self, service: &str) -> anyhow::Result<String> {
        let filter = format!(
            "label=com.docker.swarm.service.name={}_{service}",
            self.name
        );
        let list = ["ps", "--quiet", "--no-trunc", "--filter", &filter];
        let ids = self.docker.docker().args(list).text()?;
        let id = ids.lines().next().with_context(|| {
            Problem::new(format!(
                "{service} does not run on the engine that is asked"
            ))
            .hint("`cargo xtask production status` shows where it runs")
        })?;
        Ok(id.to_owned())
    }

    /// Checks, on the engine that is asked, that no volume by the stack's name is one of a Compose project: the
    /// stack of a single machine has the same names, and two servers on one volume destroy what is in it.
    ///
    /// # Errors
    /// When there is one.
    pub fn check_volumes(&self) -> anyhow::Result<()> {
        let prefix = format!("{}_", self.name);
        let (name, label) = (format!("name={prefix}"), "label=com.docker.compose.project");
        let list = [
            "volume", "ls", "--quiet", "--filter", &name, "--filter", label,
        ];
        let volumes = self.docker.docker().args(list).text()?;
        let Some(volume) = volumes.lines().find(|it| it.starts_with(&prefix)) else {
            return Ok(());
        };
        let what =
            format!("the volume {volume} on this engine belongs to the stack of a single machine");
        bail!(Problem::new(what).hint(
            "give production names of its own, with STACK=production in deploy/production/.env; the data comes over \
             with the file that `cargo xtask backup` makes, which production imports"
        ))
    }

    /// All that `docker service inspect` shows of the stack to whoever may ask the swarm.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn services_as_shown(&self) -> anyhow::Result<String> {
        let filter = format!("label={STACK_LABEL}={}", self.name);
        let list = ["service", "ls", "--quiet", "--filter", &filter];
        let ids = self.docker.docker().args(list).text()?;
        self.inspect_all("service", &ids)
    }

    /// Every task of the stack that the swarm still knows.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn tasks(&self) -> anyhow::Result<Vec<Task>> {
        self.tasks_among(&self.services()?)
    }

    /// Every task of these services that the swarm still knows. Whoever has them spares two questions.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn tasks_among(&self, services: &BTreeMap<String, Service>) -> anyhow::Result<Vec<Task>> {
        let names = services.values().map(|service| service.spec.name.clone());
        self.tasks_of(&names.collect::<Vec<_>>())
    }

    /// Every task of some services, by their full names.
    fn tasks_of(&self, services: &[String]) -> anyhow::Result<Vec<Task>> {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let list = ["service", "ps", "--quiet", "--no-trunc"];
        // It fails for a service that has gone, and has printed the others.
        let output = self.docker.docker().args(list).args(services).output()?;
        let ids = String::from_utf8_lossy(&output.stdout).into_owned();
        inspect::parse_tasks(&self.inspect_all("task", &ids)?)
    }

    /// What `docker inspect` prints of things with these ids, a line each. One that has gone meanwhile is left
    /// out.
    fn inspect_all(&self, kind: &str, ids: &str) -> anyhow::Result<String> {
        if ids.trim().is_empty() {
            return Ok("[]".to_owned());
        }
        let output = self
            .docker
            .docker()
            .args(["inspect", "--type", kind])
            .args(ids.lines())
            .output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.trim().is_empty() {
            let stderr = self.docker.redact(&String::from_utf8_lossy(&output.stderr));
            bail!("the swarm does not answer: {}", stderr.trim());
        }
        Ok(text)
    }
}
