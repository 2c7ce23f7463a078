//! The nodes of the swarm: reached, enough of them, labelled, with engines that are known to work. Only looks.

use crate::checks::finding::Finding;
use crate::problem::Problem;
use crate::swarm::nodes::{DATA, EngineTrouble, Node, missing_labels};
use crate::swarm::settings::Database;

/// Everything on one node takes 2.4 GiB, and a task more while it is replaced.
const ENOUGH_MEMORY: u64 = 3_500_000_000;

pub fn check(nodes: &[Node], database: Database) -> Vec<Finding> {
    let mut findings = vec![check_managers(nodes)];
    findings.extend(nodes.iter().filter_map(check_state));
    findings.extend(nodes.iter().filter_map(check_engine));
    findings.extend(nodes.iter().filter_map(check_memory));
    findings.push(match missing_labels(nodes, database) {
        Ok(missing) if missing.is_empty() => Finding::good("labels", "every label has its node"),
        Ok(_) => Finding::good(
            "labels",
            "`deploy` gives the nodes the labels that they lack",
        ),
        Err(problem) => Finding::error("labels", problem),
    });
    findings
}

fn check_managers(nodes: &[Node]) -> Finding {
    let managers = nodes.iter().filter(|node| node.is_manager()).count();
    let reachable = nodes
        .iter()
        .filter(|node| node.is_reachable_manager())
        .count();
    let what = format!("{reachable} of {managers} managers are reachable");
    // The swarm can be changed as long as more than half are.
    let spare = reachable.saturating_sub(managers / 2 + 1);
    let consequence = match spare {
        0 => "none of them may fail".to_owned(),
        spare => format!("{spare} more may fail"),
    };
    if reachable < managers {
        let problem = Problem::new(format!("{what}: {consequence}"));
        let hint = "start the one that is missing; if it is gone for good, `docker node demote NODE`, then `docker node \
                    promote` another; `docker node ls` shows them";
        return Finding::error("swarm", problem.hint(hint));
    }
    if managers.is_multiple_of(2) {
        let problem = Problem::new(format!("{what}: {consequence}, as with one manager less"));
        let hint = "make their number odd, and three at least; `docker node ls` shows which can be promoted";
        return Finding::warning("swarm", problem.hint(hint));
    }
    Finding::good("swarm", what)
}

fn check_state(node: &Node) -> Option<Finding> {
    if node.takes_tasks() {
        return None;
    }
    let (name, state) = (node.hostname(), node.state());
    let problem = Problem::new(format!("the node {name} is {state}"));
    let hint = match state {
        "drain" | "pause" => {
            format!("let it take tasks again: `cargo xtask production nodes activate {name}`")
        }
        _ => "look whether the machine runs, and its engine on it; `docker node ls`".to_owned(),
    };
    Some(Finding::error("nodes", problem.hint(hint)))
}

fn check_engine(node: &Node) -> Option<Finding> {
    Some(match node.engine_trouble()? {
        EngineTrouble::TooOld(problem) => Finding::error("engines", problem),
        EngineTrouble::LosesNames(problem) => Finding::warning("engines", problem),
    })
}

fn check_memory(node: &Node) -> Option<Finding> {
    let is_small = (1..ENOUGH_MEMORY).contains(&node.memory());
    if !is_small || !node.has_label(DATA) {
        return None;
    }
    let what = format!("the node {} has less than 4 GB of memory", node.hostname());
    let hint = "take a larger machine, or lower the limits in deploy/production/.env";
    Some(Finding::warning("memory", Problem::new(what).hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::{Level, is_ok};
    use crate::swarm::nodes::parse;

    fn node(name: &str, engine: &str, state: &str, reachability: &str) -> String {
        format!(
            r#"{{"ID":"{name}","Spec":{{"Labels":{{"analytics.data":"{}","analytics.edge":"true"}},
                "Availability":"active"}},"Status":{{"State":"{state}","Addr":"10.0.0.1"}},
                "Description":{{"Hostname":"{name}","Engine":{{"EngineVersion":"{engine}"}},
                "Resources":{{"MemoryBytes":4000000000}}}},"ManagerStatus":{{"Reachability":"{reachability}"}}}}"#,
            name == "n1"
        )
    }

    fn found(nodes: &[String]) -> Vec<Finding> {
        let nodes = parse(&format!("[{}]", nodes.join(","))).unwrap();
        check(&nodes, Database::Single)
    }

    #[test]
    fn a_swarm_that_is_well_has_nothing_to_mend() {
        let findings = found(&[node("n1", "26.1.5+dfsg1", "ready", "reachable")]);
        assert!(
            findings.iter().all(|it| it.level == Level::Good),
            "{findings:?}"
        );
    }

    #[test]
    fn a_lost_manager_is_an_error_and_an_even_number_a_warning() {
        #[track_caller]
        fn check(reachability: &[&str], level: Level, what: &str) {
            let nodes: Vec<String> = reachability
                .iter()
                .map(|it| node("n", "26.1.5", "ready", it))
                .collect();
            let found = check_managers(&parse(&format!("[{}]", nodes.join(","))).unwrap());
            assert_eq!((found.level, &*found.problem.what), (level, what));
        }
        let (up, lost) = ("reachable", "unreachable");
        check(&[up], Level::Good, "1 of 1 managers are reachable");
        check(
            &[up, up],
            Level::Warning,
            "2 of 2 managers are reachable: none of them may fail, as with one manager less",
        );
        check(
            &[up, up, lost],
            Level::Error,
            "2 of 3 managers are reachable: none of them may fail",
        );
        check(
            &[up, up, up, up, lost],
            Level::Error,
            "4 of 5 managers are reachable: 1 more may fail",
        );
    }

    #[test]
    fn dead_nodes_lost_managers_and_engines_that_lose_names_are_named() {
        let findings = found(&[
            node("n1", "29.1.0", "ready", "reachable"),
            node("n2", "24.0.7", "down", "unreachable"),
        ]);
        assert!(!is_ok(&findings));
        let text: Vec<&str> = findings.iter().map(|it| &*it.problem.what).collect();
        for what in [
            "1 of 2 managers are reachable: none of them may fail",
            "the node n2 is down",
            "the engine 29.1.0 of n1 loses names",
            "the engine 24.0.7 of n2 is older than 25.0",
        ] {
            assert!(
                text.iter().any(|it| it.starts_with(what)),
                "{what}: {text:?}"
            );
        }
    }
}
