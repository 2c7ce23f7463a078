//! What `status` says of production: a service a row. [pure]

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::inspect::{Service, Task};
use super::nodes::Node;
use super::patroni::{Cluster, Member, Role};
use super::release::Release;
use super::rollout::{Before, Progress};
use crate::terminal::text::{render_bytes, render_table};

/// The version of what `--json` prints: it grows when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// All that `--json` prints; deploy/production/README.md explains it.
#[derive(Serialize)]
pub struct Report {
    version: u32,
    stack: String,
    /// The newest release that was seen to work; none before the first.
    release: Option<u64>,
    released_at: Option<String>,
    released_by: Option<String>,
    /// Whether every node and every service is as it should be.
    pub healthy: bool,
    nodes: Vec<NodeRow>,
    services: Vec<Row>,
    /// Where the database is on three nodes: its members and etcd.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<Members>,
}

/// The members of the database.
#[derive(Serialize)]
struct Members {
    /// Whether any one machine may die.
    healthy: bool,
    leader: Option<String>,
    /// Whether enough etcd agree.
    quorum: bool,
    #[serde(flatten)]
    cluster: Option<Cluster>,
    /// Why nothing is known of them.
    note: Option<String>,
}

#[derive(Serialize)]
struct NodeRow {
    node: String,
    /// ready, down, or why it takes no tasks.
    state: String,
}

#[derive(Serialize)]
struct Row {
    service: String,
    healthy: bool,
    /// Tasks that run, of those that should.
    running: usize,
    wanted: usize,
    /// Where they run.
    nodes: Vec<String>,
    image: String,
    /// What the last update says of itself; none where there was none.
    update: Option<String>,
    /// What is wrong, or what it waits for.
    note: Option<String>,
}

impl Report {
    pub fn of(services: &BTreeMap<String, Service>, tasks: &[Task], nodes: &[Node]) -> Report {
        let before = Before::new(services, tasks);
        let rows: Vec<Row> = services
            .iter()
            .map(|(name, service)| {
                let progress = before.progress(name, service, tasks);
                row(name, service, &progress, &Surroundings { tasks, nodes })
            })
            .collect();
        let node = |node: &Node| NodeRow {
            node: node.hostname().to_owned(),
            state: node.state().to_owned(),
        };
        let are_well = rows.iter().all(|row| row.healthy);
        Report {
            version: VERSION,
            stack: String::new(),
            release: None,
            released_at: None,
            released_by: None,
            healthy: are_well && !rows.is_empty() && nodes.iter().all(Node::is_ready),
            nodes: nodes.iter().map(node).collect(),
            services: rows,
            database: None,
        }
    }

    /// Says how the members of the database stand, or why nobody knows.
    pub fn add_members(&mut self, cluster: Result<Cluster, String>) {
        let known = cluster.as_ref().ok();
        let healthy = known.is_some_and(Cluster::is_well);
        self.healthy &= healthy;
        self.database = Some(Members {
            healthy,
            leader: known.and_then(|it| it.leader().map(|leader| leader.name.clone())),
            quorum: known.is_some_and(Cluster::has_quorum),
            note: cluster.as_ref().err().cloned(),
            cluster: cluster.ok(),
        });
    }

    /// The services that are not as they should be, each with what is known of why.
    pub fn ill(&self) -> Vec<(String, String)> {
        let ill = self.services.iter().filter(|row| !row.healthy);
        let named = ill.map(|row| {
            let count = format!("{} of {} run", row.running, row.wanted);
            (row.service.clone(), row.note.clone().unwrap_or(count))
        });
        named.collect()
    }

    /// Says what runs.
    pub fn name_release(&mut self, stack: &str, release: Option<&Release>) {
        self.stack = stack.to_owned();
        self.release = release.map(|it| it.number);
        self.released_at = release.map(|it| it.at.clone());
        self.released_by = release.map(|it| it.by.clone());
    }

    pub fn render(&self) -> String {
        let titles = ["SERVICE", "TASKS", "NODES", "UPDATE", "IMAGE", "NOTE"];
        let mut table = vec![titles.map(str::to_owned).to_vec()];
        table.extend(self.services.iter().map(Row::cells));
        let healthy = self.services.iter().filter(|row| row.healthy).count();
        let release = match (self.release, &self.released_at) {
            (Some(number), Some(at)) => format!("release {number} of {at}"),
            _ => "no release yet".to_owned(),
        };
        let nodes = self
            .nodes
            .iter()
            .map(|it| format!("{} {}", it.node, it.state));
        let members = self
            .database
            .as_ref()
            .map_or_else(String::new, Members::render);
        format!(
            "{}\n{members}{healthy} of {} services are healthy; {release}; nodes: {}\n",
            render_table(&table),
            self.services.len(),
            nodes.collect::<Vec<_>>().join(", ")
        )
    }
}

impl Members {
    fn render(&self) -> String {
        let Some(cluster) = &self.cluster else {
            let note = self.note.as_deref().unwrap_or_default();
            return format!("nothing is known of the members of the database: {note}\n");
        };
        let titles = ["MEMBER", "ROLE", "STATE", "STREAMS", "LAG", "TIMELINE"];
        let mut table = vec![titles.map(str::to_owned).to_vec()];
        table.extend(cluster.members.iter().map(cells_of));
        let healthy = cluster.etcd.iter().filter(|etcd| etcd.healthy).count();
        let leader = match (&self.leader, self.quorum) {
            (Some(leader), _) => format!("{leader} leads"),
            (None, true) => "the database has no primary".to_owned(),
            (None, false) => "no primary, since etcd has no quorum".to_owned(),
        };
        format!(
            "{}\n{leader}; {healthy} of {} etcd are healthy\n",
            render_table(&table),
            cluster.etcd.len()
        )
    }
}

fn cells_of(member: &Member) -> Vec<String> {
    let known = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let lag = member.lag.map_or_else(|| "-".to_owned(), render_bytes);
    let streams = match (member.role, member.streams) {
        (Role::Primary, _) => "-",
        (_, true) => "yes",
        (_, false) => "no",
    };
    vec![
        member.name.clone(),
        member.role.word().to_owned(),
        member.state.clone(),
        streams.to_owned(),
        lag,
        known(member.timeline),
    ]
}

impl Row {
    fn cells(&self) -> Vec<String> {
        vec![
            self.service.clone(),
            format!("{}/{}", self.running, self.wanted),
            self.nodes.join(","),
            self.update.clone().unwrap_or_else(|| "-".to_owned()),
            short_image(&self.image).to_owned(),
            self.note.clone().unwrap_or_default(),
        ]
    }
}

/// What a service is looked at with.
struct Surroundings<'a> {
    tasks: &'a [Task],
    nodes: &'a [Node],
}

fn row(name: &str, service: &Service, progress: &Progress, around: &Surroundings) -> Row {
    let own = || around.tasks.iter().filter(|it| it.service == service.id);
    // What a dead node ran, it may run no longer.
    let node_of = |task: &Task| around.nodes.iter().find(|node| node.id == task.node);
    let runs = |task: &&Task| task.runs() && node_of(task).is_none_or(Node::is_ready);
    let running = own().filter(runs).count();
    let wanted = service.replicas().map_or_else(
        || own().filter(|task| task.desired_state == "running").count(),
        |replicas| replicas as usize,
    );
    let nodes: BTreeSet<String> = own()
        .filter(runs)
        .filter_map(node_of)
        .map(|node| node.hostname().to_owned())
        .collect();
    let note = match progress {
        Progress::Ready => None,
        Progress::Waiting(state) | Progress::Stuck(state) => Some(state.clone()),
        Progress::Failed(cause) => Some(cause.reason.clone()),
    };
    let update = Some(service.update_state()).filter(|it| !it.is_empty());
    Row {
        service: name.to_owned(),
        healthy: *progress == Progress::Ready && running >= wanted,
        running,
        wanted,
        nodes: nodes.into_iter().collect(),
        image: service.image().to_owned(),
        update: update.map(str::to_owned),
        note,
    }
}

/// An image without most of its digest.
fn short_image(image: &str) -> &str {
    match image.find("@sha256:") {
        Some(at) => image.get(..at + 20).unwrap_or(image),
        None => image,
    }
}

#[cfg(test)]
mod tests {
    use super::super::inspect::{parse_services, parse_tasks};
    use super::super::nodes;
    use super::*;

    fn example(node_state: &str) -> Report {
        let service = r#"[{"ID":"s","Spec":{"Name":"a_umami","TaskTemplate":{"ContainerSpec":
            {"Image":"umami@sha256:0123456789abcdef"}},"Mode":{"Replicated":{"Replicas":1}}},
            "UpdateStatus":{"State":"completed"}}]"#;
        let task = r#"[{"ID":"t","ServiceID":"s","NodeID":"n","DesiredState":"running","Spec":{"ContainerSpec":
            {"Image":"umami@sha256:0123456789abcdef"}},"Status":{"State":"running"}}]"#;
        let node = format!(
            r#"[{{"ID":"n","Spec":{{"Availability":"active"}},"Description":{{"Hostname":"n1"}},
                "Status":{{"State":"{node_state}","Addr":"10.0.0.1"}}}}]"#
        );
        let service = parse_services(service).unwrap().remove(0);
        let services = BTreeMap::from([("umami".to_owned(), service)]);
        let mut report = Report::of(
            &services,
            &parse_tasks(task).unwrap(),
            &nodes::parse(&node).unwrap(),
        );
        report.name_release("a", None);
        report
    }

    #[test]
    fn a_service_is_a_row() {
        assert_eq!(
            example("ready").render(),
            "\
SERVICE  TASKS  NODES  UPDATE     IMAGE                      NOTE
umami    1/1    n1     completed  umami@sha256:0123456789ab

1 of 1 services are healthy; no release yet; nodes: n1 ready
"
        );
    }

    #[test]
    fn a_member_is_a_row_and_one_that_does_not_stream_is_not_well() {
        let printed = r#"{"members":{"postgres-1":{"state":"running","role":"master","timeline":3,"xlog":{"location":4096},"replication":[{"application_name":"postgres-2","state":"streaming"}]},"postgres-2":{"state":"running","role":"replica","timeline":3,"sync_standby":true,"xlog":{"received_location":4096}},"postgres-3":{"state":"running","role":"replica","timeline":2,"xlog":{"received_location":2048}}},"etcd":{"etcd-1":true,"etcd-2":true,"etcd-3":false}}"#;
        let mut report = example("ready");
        report.add_members(Ok(Cluster::parse(printed).unwrap()));
        let text = report.render();
        let expected = "\
MEMBER      ROLE     STATE    STREAMS  LAG    TIMELINE
postgres-1  primary  running  -        -      3
postgres-2  sync     running  yes      0 KiB  3
postgres-3  standby  running  no       2 KiB  2

postgres-1 leads; 2 of 3 etcd are healthy
";
        assert!(text.contains(expected), "{text}");
        assert!(!report.healthy);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["database"]["members"][1]["role"], "sync");
        assert_eq!(json["database"]["quorum"], true);
        report.add_members(Err("no engine".to_owned()));
        assert!(
            report
                .render()
                .contains("nothing is known of the members of the database: no engine")
        );
    }

    #[test]
    fn what_a_dead_node_ran_does_not_count() {
        let report = example("down");
        assert!(!report.healthy);
        assert_eq!(report.services[0].running, 0);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["nodes"][0]["state"], "down");
        assert_eq!(json["version"], 1);
    }
}
