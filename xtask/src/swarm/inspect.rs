//! Services and tasks of a swarm, as docker prints them. [pure]
//!
//! Engine 26.1, seen 2026-11-25.

use anyhow::Context;
use serde::Deserialize;
use serde_json::Value;

/// A service.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Service {
    #[serde(rename = "ID")]
    pub id: String,
    pub spec: ServiceSpec,
    #[serde(default)]
    pub update_status: Option<UpdateStatus>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ServiceSpec {
    /// With the stack's name in front.
    pub name: String,
    /// What its tasks are made of: equal for equal tasks.
    pub task_template: Value,
    mode: Mode,
    #[serde(default)]
    update_config: UpdateConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct UpdateConfig {
    order: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mode {
    replicated: Option<Replicated>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replicated {
    replicas: Option<u64>,
}

/// What makes two tasks different for whoever deploys. The swarm fills in more by itself.
const CONTAINER_PARTS: [&str; 9] = [
    "Image",
    "Command",
    "Args",
    "Env",
    "Hostname",
    "Secrets",
    "Configs",
    "Mounts",
    "Healthcheck",
];

/// How the last update goes, or went.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UpdateStatus {
    /// updating, paused, completed, rollback_started, rollback_paused, rollback_completed; empty for none.
    pub state: String,
    pub message: String,
}

impl Service {
    /// How many tasks it is to have; `None` where every node has one.
    pub fn replicas(&self) -> Option<u64> {
        let replicated = self.spec.mode.replicated.as_ref()?;
        Some(replicated.replicas.unwrap_or(1))
    }

    /// Whether its tasks are replaced without a pause: the new one answers before the old one ends.
    pub fn is_started_first(&self) -> bool {
        self.spec.update_config.order == "start-first"
    }

    /// What a node must be like to run it: `node.labels.analytics.data == true`.
    pub fn constraints(&self) -> impl Iterator<Item = &str> {
        let constraints = &self.spec.task_template["Placement"]["Constraints"];
        constraints
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
    }

    /// Whether a task is one of this version of the service.
    pub fn is_of_this_version(&self, task: &Task) -> bool {
        let (own, other) = (&self.spec.task_template, &task.spec);
        let force = |spec: &Value| spec["ForceUpdate"].as_u64().unwrap_or(0);
        let parts = |spec: &Value, part: &str| spec["ContainerSpec"][part].clone();
        force(own) == force(other)
            && own["Resources"]["Limits"] == other["Resources"]["Limits"]
            && CONTAINER_PARTS
                .iter()
                .all(|part| parts(own, part) == parts(other, part))
    }

    pub fn image(&self) -> &str {
        self.spec.task_template["ContainerSpec"]["Image"]
            .as_str()
            .unwrap_or_default()
    }

    /// What the update says of itself; empty where there was none.
    pub fn update_state(&self) -> &str {
        let status = self.update_status.as_ref();
        status.map_or("", |status| &status.state)
    }
}

/// One task of a service: a container on some node, or the wish for one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    #[serde(rename = "ID")]
    pub id: String,
    #[serde(rename = "ServiceID")]
    pub service: String,
    #[serde(rename = "NodeID", default)]
    pub node: String,
    #[serde(default)]
    pub spec: Value,
    pub status: TaskStatus,
    /// RFC 3339, by the clock of the managers' leader.
    #[serde(default)]
    pub updated_at: String,
    /// What the swarm wants of it: running, shutdown, remove, complete.
    pub desired_state: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskStatus {
    /// RFC 3339, of the last change, by the clock of the task's node.
    pub timestamp: String,
    /// pending, preparing, starting, running, complete, failed, rejected, shutdown, …
    pub state: String,
    pub message: String,
    /// Why it failed, or is not placed.
    pub err: String,
}

impl Task {
    /// Whether it runs, is healthy, and is to stay.
    pub fn runs(&self) -> bool {
        self.status.state == "running" && self.desired_state == "running"
    }

    /// Whether nothing of it is left to end.
    pub fn has_ended(&self) -> bool {
        let states = [
            "complete", "shutdown", "failed", "rejected", "remove", "orphaned",
        ];
        states.contains(&self.status.state.as_str())
    }

    /// Whether it ended with an error, or never could begin.
    pub fn has_failed(&self) -> bool {
        matches!(self.status.state.as_str(), "failed" | "rejected")
    }

    /// Why it failed, in docker's words.
    pub fn reason(&self) -> &str {
        let words = [&self.status.err, &self.status.message];
        words
            .into_iter()
            .find(|it| !it.is_empty())
            .map_or("", |it| it)
    }
}

/// Reads what `docker inspect --type service` prints.
///
/// # Errors
/// When it is something else.
pub fn parse_services(json: &str) -> anyhow::Result<Vec<Service>> {
    serde_json::from_str(json).context("reading the output of `docker service inspect`")
}

/// Reads what `docker inspect --type task` prints.
///
/// # Errors
/// When it is something else.
pub fn parse_tasks(json: &str) -> anyhow::Result<Vec<Task>> {
    serde_json::from_str(json).context("reading the output of `docker inspect --type task`")
}
