//! The nodes of a swarm: what `docker node inspect` prints. [pure]

use std::collections::BTreeMap;

use anyhow::Context;
use serde::Deserialize;

use super::patroni::MEMBERS;
use super::settings::Database;
use crate::docker::versions::Version;
use crate::problem::Problem;

/// What the labels that matter here begin with.
pub const OURS: &str = "analytics.";
/// The label of the one node that has the volumes of the databases.
pub const DATA: &str = "analytics.data";
/// The label of the three nodes with a member of the database each: 1, 2 or 3.
pub const MEMBER: &str = "analytics.member";
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
    leader: bool,
    #[serde(default)]
    reachability: String,
    /// Where the other managers reach it.
    #[serde(default)]
    addr: String,
}

/// What a node is in its swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Worker,
    Manager,
    /// The manager that decides.
    Leader,
}

impl Role {
    pub fn word(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Manager => "manager",
            Role::Leader => "leader",
        }
    }
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
    platform: Platform,
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
struct Platform {
    architecture: String,
    #[serde(rename = "OS")]
    os: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Engine {
    engine_version: String,
    labels: BTreeMap<String, String>,
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

    pub fn role(&self) -> Role {
        match &self.manager_status {
            None => Role::Worker,
            Some(status) if status.leader => Role::Leader,
            Some(_) => Role::Manager,
        }
    }

    /// Where another node asks it to be let into the swarm; none of a worker.
    pub fn manager_address(&self) -> Option<&str> {
        let status = self.manager_status.as_ref()?;
        Some(status.addr.as_str()).filter(|it| !it.is_empty())
    }

    /// Its labels that matter here, without what they have in common in front, and their values.
    pub fn labels(&self) -> BTreeMap<&str, &str> {
        let labels = self.spec.labels.iter();
        let ours = labels.filter_map(|(name, value)| Some((name.strip_prefix(OURS)?, &**value)));
        ours.collect()
    }

    /// The same, as a person writes them: `data`, and `member=2` for one that says more than that it is there.
    pub fn render_labels(&self) -> String {
        let labels = self.labels().into_iter();
        let words = labels.map(|(name, value)| match value {
            "true" => name.to_owned(),
            value => format!("{name}={value}"),
        });
        words.collect::<Vec<_>>().join(",")
    }

    /// What a condition of a placement is about, `node.role` and the like; nothing where it is not known here.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        match name {
            "node.id" => Some(&self.id),
            "node.hostname" => Some(self.hostname()),
            "node.role" if self.is_manager() => Some("manager"),
            "node.role" => Some("worker"),
            "node.platform.os" => Some(&self.description.platform.os),
            "node.platform.arch" => Some(&self.description.platform.architecture),
            _ => {
                if let Some(label) = name.strip_prefix("node.labels.") {
                    return Some(value_of(&self.spec.labels, label));
                }
                let label = name.strip_prefix("engine.labels.")?;
                Some(value_of(&self.description.engine.labels, label))
            }
        }
    }

    /// What is known against its engine, 2026-11-25.
    pub fn engine_trouble(&self) -> Option<EngineTrouble> {
        let (name, written) = (self.hostname(), self.engine_version());
        let version = Version::parse(written)?;
        if version < Version(25, 0, 0) {
            let what = format!("the engine {written} of {name} is older than 25.0");
            let hint = "install a newer Docker Engine on it";
            return Some(EngineTrouble::TooOld(Problem::new(what).hint(hint)));
        }
        if version >= Version(29, 0, 0) && version < Version(29, 7, 3) {
            let what = format!(
                "the engine {written} of {name} loses names for ever when it was cut off for some seconds"
            );
            let hint = "install a later version; until then `docker service update --force analytics_umami` heals a service, as here umami";
            return Some(EngineTrouble::LosesNames(Problem::new(what).hint(hint)));
        }
        None
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

    /// The number of the member of the database that it has.
    pub fn member(&self) -> Option<&str> {
        self.spec.labels.get(MEMBER).map(String::as_str)
    }

    /// Whether the swarm reaches it.
    pub fn is_ready(&self) -> bool {
        self.status.state == "ready"
    }

    /// active, pause or drain: whether its tasks are to stay, and new ones may come.
    pub fn availability(&self) -> &str {
        &self.spec.availability
    }

    /// ready, down, unknown or disconnected: what the swarm knows of it.
    pub fn reached(&self) -> &str {
        &self.status.state
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

fn value_of<'a>(labels: &'a BTreeMap<String, String>, label: &str) -> &'a str {
    labels.get(label).map_or("", String::as_str)
}

/// Why an engine is not to be relied on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineTrouble {
    TooOld(Problem),
    /// moby#53141, in 29.0 to 29.7.2.
    LosesNames(Problem),
}

impl EngineTrouble {
    pub fn problem(&self) -> &Problem {
        match self {
            EngineTrouble::TooOld(problem) | EngineTrouble::LosesNames(problem) => problem,
        }
    }

    pub fn what(&self) -> String {
        self.problem().what.clone()
    }
}

/// Finds a node by its name, or by its id or the beginning of that.
///
/// # Errors
/// When there is none, or several have the name.
pub fn find<'a>(nodes: &'a [Node], wanted: &str) -> Result<&'a Node, Problem> {
    let is_named = |node: &&Node| node.hostname() == wanted;
    let has_id = |node: &&Node| wanted.len() >= 5 && node.id.starts_with(wanted);
    let found: Vec<&Node> = match nodes.iter().filter(is_named).collect::<Vec<_>>() {
        named if named.is_empty() => nodes.iter().filter(has_id).collect(),
        named => named,
    };
    match found.as_slice() {
        [node] => Ok(node),
        [] => {
            let names: Vec<&str> = nodes.iter().map(Node::hostname).collect();
            let problem = Problem::new(format!("the swarm has no node {wanted}"));
            Err(problem.hint(format!("name one of {}", names.join(", "))))
        }
        several => {
            let ids = several
                .iter()
                .map(|node| format!("{} ({})", node.id, node.state()));
            let ids: Vec<String> = ids.collect();
            let what = format!("{} nodes are called {wanted}", several.len());
            Err(Problem::new(what).hint(format!("name it by its id: {}", ids.join(", "))))
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

/// A label with its value, as `docker node update --label-add` takes it.
pub type Label = String;

/// The labels that are missing, by node, where there is only one place for them.
///
/// # Errors
/// When a person must decide which nodes get them.
pub fn missing_labels(nodes: &[Node], database: Database) -> Result<Vec<(&Node, Label)>, Problem> {
    let having = |label| nodes.iter().filter(move |node| node.has_label(label));
    if having(DATA).count() > 1 {
        return Err(too_many_with_data(&having(DATA).collect::<Vec<_>>()));
    }
    let mut lacking: Vec<&'static str> = [DATA, EDGE]
        .into_iter()
        .filter(|label| having(label).next().is_none())
        .collect();
    let mut missing = Vec::new();
    if database == Database::Ha {
        let members = missing_members(nodes)?;
        // Wherever the first member is, is a place for the rest that is on one node.
        let first = |node: &&Node| node.member() == Some("1") || is_given(&members, node, "1");
        if let Some(node) = nodes.iter().find(first)
            && lacking.contains(&DATA)
        {
            missing.push((node, format!("{DATA}=true")));
            lacking.retain(|label| *label != DATA);
        }
        missing.extend(members);
    }
    match (nodes, lacking.as_slice()) {
        (_, []) => Ok(missing),
        ([node], lacking) => {
            missing.extend(lacking.iter().map(|label| (node, format!("{label}=true"))));
            Ok(missing)
        }
        (nodes, lacking) => Err(nobody_has(nodes, lacking)),
    }
}

/// The members of the database that have no node yet, where three nodes leave no choice. The first is where the data
/// is that is there already.
fn missing_members(nodes: &[Node]) -> Result<Vec<(&Node, Label)>, Problem> {
    let mut free: Vec<&Node> = nodes.iter().filter(|it| it.member().is_none()).collect();
    free.sort_by_key(|node| (!node.has_label(DATA), node.hostname()));
    let mut missing = Vec::new();
    for number in ["1", "2", "3"] {
        let having: Vec<&Node> = nodes
            .iter()
            .filter(|node| node.member() == Some(number))
            .collect();
        match having.as_slice() {
            [_] => {}
            [] if nodes.len() == MEMBERS && !free.is_empty() => {
                missing.push((free.remove(0), format!("{MEMBER}={number}")));
            }
            [] => {
                let names: Vec<&str> = free.iter().map(|node| node.hostname()).collect();
                let what = format!(
                    "DATABASE=ha needs three nodes with a member each, and none has the label {MEMBER}={number}"
                );
                let hint = format!(
                    "choose one of {} and give it: `docker node update --label-add {MEMBER}={number} {}`",
                    names.join(", "),
                    names.first().copied().unwrap_or("NODE")
                );
                return Err(Problem::new(what).hint(hint));
            }
            [_, second, ..] => {
                let name = second.hostname();
                let what = format!("several nodes have the label {MEMBER}={number}");
                let hint = format!(
                    "remove it from those without its data: `docker node update --label-rm {MEMBER} {name}`"
                );
                return Err(Problem::new(what).hint(hint));
            }
        }
    }
    Ok(missing)
}

fn is_given(members: &[(&Node, Label)], node: &Node, number: &str) -> bool {
    let label = format!("{MEMBER}={number}");
    members
        .iter()
        .any(|(it, given)| it.id == node.id && *given == label)
}

fn too_many_with_data(nodes: &[&Node]) -> Problem {
    let names: Vec<&str> = nodes.iter().map(|node| node.hostname()).collect();
    let what = format!(
        "{} nodes have the label {DATA}=true, and only one can have the data: {}",
        names.len(),
        names.join(", ")
    );
    let hint = format!(
        "remove it from those without the data: `docker node update --label-rm {DATA} {}`",
        names[names.len() - 1]
    );
    Problem::new(what).hint(hint)
}

fn nobody_has(nodes: &[Node], lacking: &[&str]) -> Problem {
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
    Problem::new(what).hint(hint)
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

    #[track_caller]
    fn given(nodes: &[Node], database: Database) -> Vec<String> {
        let missing = missing_labels(nodes, database).unwrap().into_iter();
        let line = |(node, label): (&Node, Label)| format!("{} {label}", node.hostname());
        missing.map(line).collect()
    }

    #[test]
    fn three_nodes_get_a_member_each_the_first_where_the_data_is() {
        let edge = r#"{"analytics.edge":"true"}"#;
        let data = r#"{"analytics.data":"true"}"#;
        let fresh = nodes(&[node("n3", "{}"), node("n1", edge), node("n2", "{}")]);
        let expected = [
            "n1 analytics.data=true",
            "n1 analytics.member=1",
            "n2 analytics.member=2",
            "n3 analytics.member=3",
        ];
        assert_eq!(given(&fresh, Database::Ha), expected);
        let grown = nodes(&[node("n1", edge), node("n2", data), node("n3", "{}")]);
        let expected = [
            "n2 analytics.member=1",
            "n1 analytics.member=2",
            "n3 analytics.member=3",
        ];
        assert_eq!(given(&grown, Database::Ha), expected);
        let replaced = nodes(&[
            node("n1", r#"{"analytics.edge":"true","analytics.member":"1"}"#),
            node("n2", r#"{"analytics.data":"true","analytics.member":"3"}"#),
            node("n4", "{}"),
        ]);
        assert_eq!(given(&replaced, Database::Ha), ["n4 analytics.member=2"]);
    }

    #[test]
    fn members_are_placed_by_a_person_where_there_is_a_choice() {
        let edge = r#"{"analytics.edge":"true","analytics.data":"true"}"#;
        let two = nodes(&[node("n1", edge), node("n2", "{}")]);
        let problem = missing_labels(&two, Database::Ha).unwrap_err();
        assert!(
            problem.what.contains("analytics.member=1"),
            "{}",
            problem.what
        );
        assert!(
            problem
                .hint
                .unwrap()
                .contains("--label-add analytics.member=1 n1`")
        );
        let member = r#"{"analytics.member":"1"}"#;
        let twice = nodes(&[node("n1", member), node("n2", member), node("n3", edge)]);
        let problem = missing_labels(&twice, Database::Ha).unwrap_err();
        assert!(
            problem
                .hint
                .unwrap()
                .contains("--label-rm analytics.member n2`")
        );
    }

    #[test]
    fn a_single_node_gets_the_labels_that_it_lacks() {
        let one = nodes(&[node("n1", "{}")]);
        assert_eq!(
            given(&one, Database::Single),
            ["n1 analytics.data=true", "n1 analytics.edge=true"]
        );
        let labelled = nodes(&[node(
            "n1",
            r#"{"analytics.data":"true","analytics.edge":"true"}"#,
        )]);
        assert!(given(&labelled, Database::Single).is_empty());
    }

    #[test]
    fn a_node_is_found_by_its_name_or_else_by_its_id() {
        let some = nodes(&[node("n1", "{}"), node("n2", "{}"), node("n2", "{}")]);
        assert_eq!(find(&some, "n1").unwrap().hostname(), "n1");
        assert_eq!(find(&some, "n1-id").unwrap().hostname(), "n1");
        let problem = find(&some, "n9").unwrap_err();
        assert_eq!(problem.what, "the swarm has no node n9");
        let problem = find(&some, "n2").unwrap_err();
        assert_eq!(problem.what, "2 nodes are called n2");
        assert!(problem.hint.unwrap().contains("n2-id (ready)"));
    }

    #[test]
    fn labels_are_ours_alone_and_say_what_they_say() {
        let labels = r#"{"analytics.edge":"true","analytics.member":"2","other":"true"}"#;
        let some = nodes(&[node("n1", labels)]);
        assert_eq!(some[0].render_labels(), "edge,member=2");
        assert_eq!(some[0].attribute("node.labels.other"), Some("true"));
        assert_eq!(some[0].attribute("node.labels.none"), Some(""));
        assert_eq!(some[0].attribute("node.ip"), None);
    }

    #[test]
    fn several_nodes_are_labelled_by_a_person() {
        let two = nodes(&[node("n1", r#"{"analytics.edge":"true"}"#), node("n2", "{}")]);
        let problem = missing_labels(&two, Database::Single).unwrap_err();
        assert_eq!(problem.what, "no node has the label analytics.data=true");
        let hint = problem.hint.unwrap();
        assert!(
            hint.contains("`docker node update --label-add analytics.data=true n1`"),
            "{hint}"
        );
        let data = r#"{"analytics.data":"true"}"#;
        let both = nodes(&[node("n1", data), node("n2", data)]);
        assert!(
            missing_labels(&both, Database::Single)
                .unwrap_err()
                .what
                .contains("n1, n2")
        );
    }
}
