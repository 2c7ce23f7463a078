//! Where tasks may run, where they do, and what stops with a node. [pure]

use std::collections::{BTreeMap, BTreeSet};

use super::inspect::{Service, Task};
use super::nodes::Node;
use super::rollout::{Before, Progress};
use super::status::Report;

/// The services of a stack by name, with all their tasks and all nodes.
pub struct Placement {
    pub services: BTreeMap<String, Service>,
    pub tasks: Vec<Task>,
    pub nodes: Vec<Node>,
}

impl Placement {
    /// The services with a task on a node that runs or is to run, each as often as it has one there.
    pub fn on(&self, node: &Node) -> Vec<&str> {
        let named = self.services.iter();
        let all = named.flat_map(|(name, service)| {
            let here = self.wanted(service).filter(|it| it.node == node.id);
            here.map(|_| name.as_str())
        });
        all.collect()
    }

    /// The services of which nothing is left if a node stops: they run on it, on no other, and no other may
    /// run them.
    pub fn stopped_with(&self, node: &Node) -> Vec<&str> {
        let mut names: BTreeSet<&str> = self.on(node).into_iter().collect();
        names.retain(|name| {
            let service = &self.services[*name];
            let runs = |other: &Node| self.wanted(service).any(|task| task.node == other.id);
            let can = |other: &Node| other.takes_tasks() && may_run(service, other);
            let mut others = self.nodes.iter().filter(|other| other.id != node.id);
            !others.any(|other| can(other) || (other.is_ready() && runs(other)))
        });
        names.into_iter().collect()
    }

    /// The services with a task on a node that has not ended, whatever is wanted of it.
    pub fn left_on(&self, node: &Node) -> BTreeSet<&str> {
        let lives = |service: &Service| {
            let mut tasks = self.tasks.iter();
            tasks.any(|it| it.service == service.id && it.node == node.id && !it.has_ended())
        };
        let left = self.services.iter().filter(|(_, service)| lives(service));
        left.map(|(name, _)| name.as_str()).collect()
    }

    /// The services that are not as they should be, each with what is known of why.
    pub fn ill(&self) -> BTreeMap<String, String> {
        let report = Report::of(&self.services, &self.tasks, &self.nodes);
        report.ill().into_iter().collect()
    }

    /// The services that are replaced without a pause and have all their tasks on one node: with it, they would
    /// be away until they have been started elsewhere.
    pub fn alone_on(&self, node: &Node) -> Vec<&str> {
        let is_alone = |(_, service): &(&String, &Service)| {
            let runs = self.wanted(service).filter(|task| task.runs());
            let nodes: BTreeSet<&str> = runs.map(|task| &*task.node).collect();
            service.is_started_first() && nodes.len() == 1 && nodes.contains(&*node.id)
        };
        let alone = self.services.iter().filter(is_alone);
        alone.map(|(name, _)| name.as_str()).collect()
    }

    /// The services that would be spread better if their tasks were placed anew: one node has at least two more
    /// than another that may have them too. Only those that can be moved without a pause.
    pub fn crowded(&self) -> Vec<&str> {
        let is_crowded = |(_, service): &(&String, &Service)| {
            let counts: Vec<usize> = self.spread(service).into_values().collect();
            let (most, fewest) = (counts.iter().max(), counts.iter().min());
            let differ = most.zip(fewest).is_some_and(|(most, few)| most - few >= 2);
            service.is_started_first() && service.replicas().is_some() && differ
        };
        let crowded = self.services.iter().filter(is_crowded);
        crowded.map(|(name, _)| name.as_str()).collect()
    }

    /// How many tasks each node has that may have some of a service.
    fn spread(&self, service: &Service) -> BTreeMap<&str, usize> {
        let may = |node: &&Node| node.takes_tasks() && may_run(service, node);
        let count = |node: &Node| self.wanted(service).filter(|it| it.node == node.id).count();
        let nodes = self.nodes.iter().filter(may);
        nodes.map(|node| (node.hostname(), count(node))).collect()
    }

    /// Whether a service has all its tasks, of its present version alone. The swarm watches on for a while.
    pub fn is_placed(&self, name: &str) -> bool {
        let Some(service) = self.services.get(name) else {
            return false;
        };
        let runs = self.wanted(service).filter(|task| task.runs());
        let current = runs.filter(|task| service.is_of_this_version(task)).count();
        let own = self.tasks.iter().filter(|task| task.service == service.id);
        let old = own.filter(|task| !task.has_ended() && !service.is_of_this_version(task));
        service.replicas() == Some(current as u64) && old.count() == 0
    }

    /// Why a service will not get well by itself.
    pub fn failure(&self, name: &str, before: &Before) -> Option<String> {
        let service = self.services.get(name)?;
        match before.progress(name, service, &self.tasks) {
            Progress::Failed(cause) => Some(cause.reason),
            Progress::Waiting(_) | Progress::Stuck(_) | Progress::Ready => None,
        }
    }

    /// Where a service runs, for people: `n1 2, n2 0`.
    pub fn render_spread(&self, name: &str) -> String {
        let service = self.services.get(name);
        let spread = service.map_or_else(BTreeMap::new, |it| self.spread(it));
        let nodes = spread.iter().map(|(node, count)| format!("{node} {count}"));
        nodes.collect::<Vec<_>>().join(", ")
    }

    /// The tasks of a service that have a node and are to stay on it.
    fn wanted(&self, service: &Service) -> impl Iterator<Item = &Task> {
        let id = service.id.clone();
        self.tasks
            .iter()
            .filter(move |task| task.service == id && task.desired_state == "running")
    }
}

/// Whether a node is as a service wants it. What a constraint means that is not known here is taken as not met:
/// nobody shall rely on it.
pub fn may_run(service: &Service, node: &Node) -> bool {
    service.constraints().all(|it| is_met(it, node))
}

/// The syntax and its meaning are those of swarmkit's `constraint` (2026-11-25): letters of either case are equal,
/// and a label that is not there is empty.
fn is_met(constraint: &str, node: &Node) -> bool {
    let (parts, is_wanted) = match constraint.split_once("!=") {
        Some(parts) => (Some(parts), false),
        None => (constraint.split_once("=="), true),
    };
    let Some((attribute, wanted)) = parts else {
        return false;
    };
    let value = node.attribute(attribute.trim());
    value.is_some_and(|value| value.eq_ignore_ascii_case(wanted.trim()) == is_wanted)
}

#[cfg(test)]
mod tests {
    use super::super::inspect::{parse_services, parse_tasks};
    use super::super::nodes::parse;
    use super::*;

    const DATA: &str = "node.labels.analytics.data == true";

    /// `n1` has the data, and all but the dead `n4` are ready.
    fn nodes() -> Vec<Node> {
        let node = |name: &str, labels: &str, state: &str| {
            format!(
                r#"{{"ID":"{name}","Spec":{{"Labels":{labels},"Availability":"active"}},
                    "Description":{{"Hostname":"{name}","Platform":{{"OS":"linux","Architecture":"x86_64"}}}},
                    "Status":{{"State":"{state}"}}}}"#
            )
        };
        let all = [
            node("n1", r#"{"analytics.data":"true"}"#, "ready"),
            node("n2", "{}", "ready"),
            node("n3", "{}", "ready"),
            node("n4", "{}", "down"),
        ];
        parse(&format!("[{}]", all.join(","))).unwrap()
    }

    fn service(name: &str, order: &str, constraint: &str) -> Service {
        let json = format!(
            r#"[{{"ID":"{name}","Spec":{{"Name":"a_{name}","TaskTemplate":{{"Placement":{{"Constraints":
                ["{constraint}"]}}}},"Mode":{{"Replicated":{{"Replicas":2}}}},"UpdateConfig":{{"Order":"{order}"}}}}}}]"#
        );
        parse_services(&json).unwrap().remove(0)
    }

    /// Tasks of umami and postgres on these nodes.
    fn look(umami: &[&str], see: impl Fn(&Placement)) {
        let task = |service: &str, node: &str| {
            format!(
                r#"{{"ID":"{service}-{node}","ServiceID":"{service}","NodeID":"{node}","DesiredState":"running",
                    "Status":{{"State":"running"}}}}"#
            )
        };
        let mut tasks: Vec<String> = umami.iter().map(|node| task("umami", node)).collect();
        tasks.push(task("postgres", "n1"));
        let services = [
            service("umami", "start-first", "node.platform.os == linux"),
            service("postgres", "stop-first", DATA),
        ];
        see(&Placement {
            services: services.map(|it| (it.id.clone(), it)).into(),
            tasks: parse_tasks(&format!("[{}]", tasks.join(","))).unwrap(),
            nodes: nodes(),
        });
    }

    #[test]
    fn constraints_are_met_as_the_swarm_means_them() {
        let node = &nodes()[0];
        for (constraint, expected) in [
            (DATA, true),
            ("node.labels.analytics.data==TRUE", true),
            ("node.labels.analytics.data != true", false),
            ("node.labels.other != true", true),
            ("node.labels.other == true", false),
            ("node.platform.os == linux", true),
            ("node.role == worker", true),
            ("node.hostname != n1", false),
            ("node.ip == 10.0.0.1", false),
            ("nonsense", false),
        ] {
            assert_eq!(is_met(constraint, node), expected, "{constraint}");
        }
    }

    #[test]
    fn what_no_other_node_may_run_stops_with_its_node() {
        look(&["n1", "n2"], |placement| {
            assert_eq!(placement.on(&placement.nodes[0]), ["postgres", "umami"]);
            assert_eq!(placement.stopped_with(&placement.nodes[0]), ["postgres"]);
            assert!(placement.stopped_with(&placement.nodes[1]).is_empty());
            assert!(placement.on(&placement.nodes[2]).is_empty());
        });
    }

    #[test]
    fn a_service_is_placed_when_its_old_tasks_have_ended() {
        look(&["n1", "n2"], |placement| {
            assert!(placement.is_placed("umami"));
            let with = |change: &dyn Fn(&mut Task)| {
                let mut tasks = placement.tasks.clone();
                change(&mut tasks[0]);
                let now = Placement {
                    services: placement.services.clone(),
                    tasks,
                    nodes: nodes(),
                };
                now.is_placed("umami")
            };
            assert!(!with(&|task| task.status.state = "starting".to_owned()));
            assert!(!with(&|task| task.desired_state = "shutdown".to_owned()));
        });
    }

    #[test]
    fn a_task_is_left_until_it_has_ended_whatever_is_wanted_of_it() {
        look(&["n2"], |placement| {
            let node = &placement.nodes[1];
            let mut tasks = placement.tasks.clone();
            tasks[0].desired_state = "shutdown".to_owned();
            let left = |state: &str| {
                let mut tasks = tasks.clone();
                tasks[0].status.state = state.to_owned();
                let now = Placement {
                    services: placement.services.clone(),
                    tasks,
                    nodes: nodes(),
                };
                now.left_on(node).len()
            };
            assert_eq!(
                [left("running"), left("shutdown"), left("failed")],
                [1, 0, 0]
            );
        });
    }

    #[test]
    fn what_runs_on_one_node_alone_is_moved_before_it_goes() {
        look(&["n1", "n2"], |placement| {
            assert!(placement.alone_on(&placement.nodes[0]).is_empty());
        });
        look(&["n2", "n2"], |placement| {
            assert_eq!(placement.alone_on(&placement.nodes[1]), ["umami"]);
            assert!(placement.alone_on(&placement.nodes[0]).is_empty());
        });
    }

    #[test]
    fn replicas_are_crowded_when_another_node_could_have_one_of_them() {
        look(&["n1", "n2"], |placement| {
            assert!(placement.crowded().is_empty());
        });
        look(&["n1", "n1"], |placement| {
            assert_eq!(placement.crowded(), ["umami"]);
            assert_eq!(placement.render_spread("umami"), "n1 2, n2 0, n3 0");
        });
    }
}
