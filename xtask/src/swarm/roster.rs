//! What `nodes` says: a node a row. [pure]

use std::collections::BTreeMap;

use serde::Serialize;

use super::nodes::{EngineTrouble, Node};
use super::placement::Placement;
use crate::problem::Problem;
use crate::terminal::text::render_table;

/// The version of what `--json` prints: it grows when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// All that `--json` prints; deploy/production/README.md explains it.
#[derive(Serialize)]
pub struct Roster {
    version: u32,
    stack: String,
    managers: usize,
    reachable_managers: usize,
    /// How many more managers may fail before nothing can be changed any more.
    managers_to_spare: usize,
    nodes: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    node: String,
    id: String,
    address: String,
    /// worker, manager or leader.
    role: String,
    /// ready, down, unknown or disconnected.
    state: String,
    /// active, pause or drain.
    availability: String,
    engine: String,
    /// What is known against this version of the engine.
    engine_warning: Option<String>,
    /// Without `analytics.` in front.
    labels: BTreeMap<String, String>,
    /// The services with a task there, as often as they have one.
    tasks: Vec<String>,
    /// The services of which nothing is left without it.
    stops_with_it: Vec<String>,
    #[serde(skip)]
    label_words: String,
}

impl Roster {
    pub fn of(stack: &str, placement: &Placement) -> Roster {
        let quorum = Quorum::of(&placement.nodes);
        let mut nodes: Vec<Row> = placement
            .nodes
            .iter()
            .map(|node| row(node, placement))
            .collect();
        nodes.sort_by(|a, b| (&a.node, &a.id).cmp(&(&b.node, &b.id)));
        Roster {
            version: VERSION,
            stack: stack.to_owned(),
            managers: quorum.managers,
            reachable_managers: quorum.reachable,
            managers_to_spare: quorum.spare(),
            nodes,
        }
    }

    /// What is known against engines.
    pub fn warnings(placement: &Placement) -> Vec<Problem> {
        let troubles = placement.nodes.iter().filter_map(Node::engine_trouble);
        troubles.map(|trouble| trouble.problem().clone()).collect()
    }

    pub fn render(&self) -> String {
        let titles = [
            "NODE",
            "ROLE",
            "STATE",
            "AVAILABILITY",
            "ENGINE",
            "LABELS",
            "TASKS",
            "STOPS WITH IT",
        ];
        let mut table = vec![titles.map(str::to_owned).to_vec()];
        table.extend(self.nodes.iter().map(Row::cells));
        let spare = match self.managers_to_spare {
            0 => "none of them may fail".to_owned(),
            spare => format!("{spare} of them may fail"),
        };
        format!(
            "{}\n{} of {} managers are reachable; {spare}\n",
            render_table(&table),
            self.reachable_managers,
            self.managers,
        )
    }
}

impl Row {
    fn cells(&self) -> Vec<String> {
        let or_none = |text: String| {
            if text.is_empty() {
                "-".to_owned()
            } else {
                text
            }
        };
        vec![
            self.node.clone(),
            self.role.clone(),
            self.state.clone(),
            self.availability.clone(),
            self.engine.clone(),
            or_none(self.label_words.clone()),
            self.tasks.len().to_string(),
            or_none(self.stops_with_it.join(",")),
        ]
    }
}

fn row(node: &Node, placement: &Placement) -> Row {
    let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    let labels = node.labels().into_iter();
    let trouble = node.engine_trouble();
    Row {
        node: node.hostname().to_owned(),
        id: node.id.clone(),
        address: node.address().to_owned(),
        role: node.role().word().to_owned(),
        state: node.reached().to_owned(),
        availability: node.availability().to_owned(),
        engine: node.engine_version().to_owned(),
        engine_warning: trouble.as_ref().map(EngineTrouble::what),
        labels: labels
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        tasks: owned(placement.on(node)),
        stops_with_it: owned(placement.stopped_with(node)),
        label_words: node.render_labels(),
    }
}

/// Which of the managers still work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    pub managers: usize,
    pub reachable: usize,
}

impl Quorum {
    pub fn of(nodes: &[Node]) -> Quorum {
        let count = |is: fn(&Node) -> bool| nodes.iter().filter(|node| is(node)).count();
        Quorum {
            managers: count(Node::is_manager),
            reachable: count(Node::is_reachable_manager),
        }
    }

    /// How many more may fail: the swarm can be changed as long as more than half are there.
    pub fn spare(self) -> usize {
        self.reachable.saturating_sub(self.managers / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::inspect::{parse_services, parse_tasks};
    use super::super::nodes::parse;
    use super::*;

    fn example() -> Roster {
        let nodes = r#"[
            {"ID":"b","Spec":{"Labels":{},"Availability":"drain"},"Description":{"Hostname":"n2",
             "Engine":{"EngineVersion":"29.1.0"}},"Status":{"State":"down","Addr":"10.0.0.2"}},
            {"ID":"a","Spec":{"Labels":{"analytics.data":"true","analytics.edge":"true"},"Availability":"active"},
             "Description":{"Hostname":"n1","Engine":{"EngineVersion":"26.1.5"}},"Status":{"State":"ready","Addr":"10.0.0.1"},
             "ManagerStatus":{"Leader":true,"Reachability":"reachable","Addr":"10.0.0.1:2377"}}]"#;
        let service = r#"[{"ID":"s","Spec":{"Name":"a_postgres","TaskTemplate":{"Placement":{"Constraints":
            ["node.labels.analytics.data == true"]}},"Mode":{"Replicated":{"Replicas":1}}}}]"#;
        let task = r#"[{"ID":"t","ServiceID":"s","NodeID":"a","DesiredState":"running","Status":{"State":"running"}}]"#;
        let service = parse_services(service).unwrap().remove(0);
        let placement = Placement {
            services: BTreeMap::from([("postgres".to_owned(), service)]),
            tasks: parse_tasks(task).unwrap(),
            nodes: parse(nodes).unwrap(),
        };
        Roster::of("a", &placement)
    }

    #[test]
    fn a_node_is_a_row() {
        assert_eq!(
            example().render(),
            "\
NODE  ROLE    STATE  AVAILABILITY  ENGINE  LABELS     TASKS  STOPS WITH IT
n1    leader  ready  active        26.1.5  data,edge  1      postgres
n2    worker  down   drain         29.1.0  -          0      -

1 of 1 managers are reachable; none of them may fail
"
        );
    }

    #[test]
    fn programs_read_the_same_with_what_is_known_against_an_engine() {
        let json = serde_json::to_value(example()).unwrap();
        assert_eq!(json["version"], 1);
        assert_eq!(json["managers_to_spare"], 0);
        assert_eq!(json["nodes"][0]["labels"]["data"], "true");
        assert_eq!(json["nodes"][0]["tasks"][0], "postgres");
        assert_eq!(json["nodes"][0]["stops_with_it"][0], "postgres");
        let warning = json["nodes"][1]["engine_warning"].as_str().unwrap();
        assert!(warning.contains("29.1.0 of n2 loses names"), "{warning}");
    }

    #[test]
    fn more_than_half_of_the_managers_decide() {
        let spare = |managers, reachable| {
            let quorum = Quorum {
                managers,
                reachable,
            };
            quorum.spare()
        };
        assert_eq!(
            [
                spare(1, 1),
                spare(2, 2),
                spare(3, 3),
                spare(3, 2),
                spare(5, 5)
            ],
            [0, 0, 1, 0, 2]
        );
    }
}
