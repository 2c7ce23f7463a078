//! The nodes of a swarm: what `docker node inspect` prints. [pure]

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

use crate::problem::Problem;

/// The label of the one node that has the volumes of the databases.
pub const DATA: &str = "analytics.data";
/// The label of the nodes that public names lead to.
pub const EDGE: &str = "analytics.edge";

/// A node, as far as it matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Node {
    #[serde(rename = "ID")]
    pub id: String,
    spec: Spec,
    description: Description,
    status: Status,
    /// Only a manager has it.
    #[serde(default)]
    manager_status: Option<ManagerStatus>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ManagerStatus {
    #[serde(default)]
    reachability: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Spec {
    #[serde(default)]
    labels: BTreeMap<String, String>,
    availability: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    hostname: String,
    #[serde(default)]
    resources: Resources,
    #[serde(default)]
    engine: Engine,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Resources {
    memory_bytes: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Engine {
    engine_version: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Status {
    state: String,
    #[serde(default)]
    addr: String,
}

impl Node {
    pub fn hostname(&self) -> &str {
        &self.description.hostname
    }

    /// The address under which the other nodes know it.
    pub fn address(&self) -> &str {
        &self.status.addr
    }

    /// Bytes of memory of its machine; 0 where it does not say.
    pub fn memory(&self) -> u64 {
        self.description.resources.memory_bytes
    }

    /// The version of its engine, as it writes it.
    pub fn engine_version(&self) -> &str {
        &self.description.engine.engine_version
    }

    pub fn is_manager(&self) -> bool {
        self.manager_status.is_some()
    }

    /// Whether the other managers reach it as one of them.
    pub fn is_reachable_manager(&self) -> bool {
        let status = self.manager_status.as_ref();
        status.is_some_and(|status| status.reachability == "reachable")
    }

    pub fn has_label(&self, label: &str) -> bool {
        self.spec.labels.get(label).is_some_and(|it| it == "true")
    }

    /// Whether the swarm reaches it.
    pub fn is_ready(&self) -> bool {
        self.status.state == "ready"
    }

    /// Whether tasks may be placed on it.
    pub fn takes_tasks(&self) -> bool {
        self.is_ready() && self.spec.availability == "active"
    }

    /// `ready`, `down`, or why it takes no tasks.
    pub fn state(&self) -> &str {
        match self.spec.availability.as_str() {
            "active" => &self.status.state,
            other => other,
        }
    }
}

/// Reads what `docker inspect --type node` prints (Engine 26, 2026-11-25).
///
/// # Errors
/// When it is something else.
pub fn parse(json: &str) -> anyhow::Result<Vec<Node>> {
    serde_json::from_str(json).context("reading the output of `docker node inspect`")
}

/// The labels that are missing, by node, where there is only one place for them.
///
/// # Errors
/// When a person must decide which nodes get them.
pub fn missing_labels(nodes: &[Node]) -> Result<Vec<(&Node, &'static str)>, Problem> {
    let having = |label| nodes.iter().filter(move |node| node.has_label(label));
    let lacking: Vec<&'static str> = [DATA, EDGE]
        .into_iter()
        .filter(|label| having(label).next().is_none())
        .collect();
    if having(DATA).count() > 1 {
        let names: Vec<&str> = having(DATA).map(Node::hostname).collect();
        let what = format!(
            "{} nodes have the label {DATA}=true, and only one can have the data: {}",
            names.len(),
            names.join(", ")
        );
        let hint = format!(
            "remove it from those without the data: `docker node update --label-rm {DATA} {}`",
            names[names.len() - 1]
        );
        return Err(Problem::new(what).hint(hint));
    }
    match (nodes, lacking.as_slice()) {
        (_, []) => Ok(Vec::new()),
        ([node], lacking) => Ok(lacking.iter().map(|label| (node, *label)).collect()),
        (nodes, lacking) => {
            let options: Vec<String> = lacking
                .iter()
                .map(|label| format!("--label-add {label}=true"))
                .collect();
            let names: Vec<&str> = nodes.iter().map(Node::hostname).collect();
            let what = format!("no node has the label {}=true", lacking.join("=true and "));
            let hint = format!(
                "choose one of {} and give it: `docker node update {} {}`",
                names.join(", "),
                options.join(" "),
                names.first().copied().unwrap_or("NODE")
            );
            Err(Problem::new(what).hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, labels: &str) -> String {
        format!(
            r#"{{"ID":"{name}-id","Spec":{{"Labels":{labels},"Role":"manager","Availability":"active"}},
                "Description":{{"Hostname":"{name}"}},"Status":{{"State":"ready","Addr":"10.0.0.1"}}}}"#
        )
    }

    fn nodes(nodes: &[String]) -> Vec<Node> {
        parse(&format!("[{}]", nodes.join(","))).unwrap()
    }

    #[test]
    fn a_single_node_gets_the_labels_that_it_lacks() {
        let one = nodes(&[node("n1", "{}")]);
        let missing = missing_labels(&one).unwrap();
        let missing: Vec<_> = missing
            .iter()
            .map(|(it, label)| (it.hostname(), *label))
            .collect();
        assert_eq!(missing, [("n1", DATA), ("n1", EDGE)]);
        let labelled = nodes(&[node(
            "n1",
            r#"{"analytics.data":"true","analytics.edge":"true"}"#,
        )]);
        assert!(missing_labels(&labelled).unwrap().is_empty());
    }

    #[test]
    fn several_nodes_are_labelled_by_a_person() {
        let two = nodes(&[node("n1", r#"{"analytics.edge":"true"}"#), node("n2", "{}")]);
        let problem = missing_labels(&two).unwrap_err();
        assert_eq!(problem.what, "no node has the label analytics.data=true");
        let hint = problem.hint.unwrap();
        assert!(
            hint.contains("`docker node update --label-add analytics.data=true n1`"),
            "{hint}"
        );
        let data = r#"{"analytics.data":"true"}"#;
        let both = nodes(&[node("n1", data), node("n2", data)]);
        assert!(missing_labels(&both).unwrap_err().what.contains("n1, n2"));
    }
}
