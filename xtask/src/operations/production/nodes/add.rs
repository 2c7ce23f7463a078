//! Another machine in the swarm, with its labels. Must never show the token that lets it in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};

use super::wait_until_none_is_left;
use crate::docker::Docker;
use crate::docker::endpoint::Target;
use crate::docker::versions::Version;
use crate::problem::Problem;
use crate::swarm::membership::Join;
use crate::swarm::nodes::{DATA, Node, OURS, Role};
use crate::swarm::placement::Placement;
use crate::swarm::roster::Quorum;
use crate::swarm::{Membership, Swarm};
use crate::terminal::say;

/// What the health checks of the stack need.
const OLDEST: Version = Version(25, 0, 0);

const JOINING: Duration = Duration::from_secs(60);

/// What is to become of a machine.
pub struct Addition {
    /// Its engine.
    pub engine: Docker,
    pub role: Role,
    /// Without `analytics.` in front.
    pub labels: BTreeMap<String, String>,
    /// Where the other nodes are to reach it; by its engine's own choice where it is none.
    pub address: Option<String>,
}

/// Where a machine is now.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    /// In no swarm.
    Outside,
    /// In this one, as the node of this id.
    Inside(String),
}

impl Addition {
    /// Looks where the machine is.
    ///
    /// # Errors
    /// When its engine does not answer, is too old, or is in another swarm.
    pub fn look(&self, nodes: &[Node]) -> anyhow::Result<Place> {
        self.check_version()?;
        if self.labels.contains_key("data") {
            check_data(nodes)?;
        }
        let membership = Membership::of(&self.engine)?;
        Ok(place(&membership, nodes, self.engine.target())?)
    }

    fn check_version(&self) -> anyhow::Result<()> {
        let target = self.engine.target();
        let version = ["version", "--format", "{{.Server.Version}}"];
        let version = self.engine.docker().args(version).text();
        let version = version.with_context(|| {
            let what = format!("the engine of {} does not answer", render_target(target));
            let hint = format!("try `{}`", target.render_command("version"));
            Problem::new(what).hint(hint)
        })?;
        match Version::parse(&version) {
            Some(version) if version >= OLDEST => Ok(()),
            _ => {
                let version = version.trim();
                let what = format!("the engine of {} is {version}", render_target(target));
                let hint = format!("install Docker Engine {OLDEST} or later on it");
                bail!(Problem::new(what).hint(hint))
            }
        }
    }

    /// What would be done, a line each.
    pub fn render(&self, place: &Place) -> String {
        let machine = render_target(self.engine.target());
        let mut text = match place {
            Place::Outside => format!("would join {machine} as a {}\n", self.role.word()),
            Place::Inside(_) => String::new(),
        };
        for (name, value) in &self.labels {
            text += &format!("would give {machine} the label {OURS}{name}={value}\n");
        }
        if text.is_empty() {
            text += "would change nothing\n";
        }
        text
    }

    /// Lets it in, gives it its labels and returns its name. The caller holds the lock.
    ///
    /// # Errors
    /// When it does not get in, or is not ready after a minute.
    pub fn carry_out(&self, swarm: &Swarm, place: &Place) -> anyhow::Result<String> {
        if *place == Place::Outside {
            let nodes = swarm.nodes()?;
            let join = Join {
                role: self.role,
                address: self.address.as_deref(),
                managers: manager_addresses(&nodes),
            };
            say!(
                "joining {} as a {}",
                render_target(self.engine.target()),
                self.role.word()
            );
            swarm.join(&self.engine, &join)?;
        }
        let id = Membership::of(&self.engine)?.node;
        wait_until_none_is_left(swarm, JOINING, |now| {
            find(now, &id).is_none_or(|it| !it.is_ready()).then(|| {
                "the swarm does not reach the new node: ports 2377, 7946 and 4789 must be open between them"
                    .to_owned()
            })
        })?;
        let placement = swarm.placement()?;
        let Some(node) = find(&placement, &id) else {
            bail!("the node {id} has gone again");
        };
        let labels = self.labels.iter().map(|(name, value)| (&**name, &**value));
        swarm.give_labels(node, &labels.collect())?;
        Ok(node.hostname().to_owned())
    }
}

/// What is to be known of the managers' number after a machine was added.
pub fn warning(nodes: &[Node]) -> Option<Problem> {
    let quorum = Quorum::of(nodes);
    let problem = Problem::new(format!(
        "{} managers bear no more failures than {}",
        quorum.managers,
        quorum.managers.saturating_sub(1)
    ));
    let hint =
        "make their number odd: add one more with `--role manager`, or `docker node demote NODE`";
    quorum
        .managers
        .is_multiple_of(2)
        .then(|| problem.hint(hint))
}

/// The commands that do it by hand, for each role. None has the token in it: a pipe carries it, and it is shown to
/// nobody.
pub fn by_hand(swarm: &Swarm, nodes: &[Node]) -> String {
    let manager = manager_addresses(nodes).into_iter().next();
    let manager = manager.unwrap_or_else(|| "ADDRESS-OF-A-MANAGER:2377".to_owned());
    let command = |role: &str| {
        let token = format!("swarm join-token --quiet {role}");
        let token = swarm.docker.target().render_command(&token);
        format!(
            "{token} | ssh USER@MACHINE 'read -r token; docker swarm join --token \"$token\" {manager}'\n"
        )
    };
    let label = "node update --label-add analytics.edge=true NODE";
    let label = swarm.docker.target().render_command(label);
    format!(
        "as a worker:\n{}as a manager:\n{}with an edge, once it is a node:\n{label}\n",
        command("worker"),
        command("manager")
    )
}

fn find<'a>(placement: &'a Placement, id: &str) -> Option<&'a Node> {
    placement.nodes.iter().find(|node| node.id == id)
}

fn manager_addresses(nodes: &[Node]) -> Vec<String> {
    let managers = nodes.iter().filter(|node| node.is_reachable_manager());
    let addresses = managers.filter_map(Node::manager_address);
    addresses.map(str::to_owned).collect()
}

fn place(membership: &Membership, nodes: &[Node], target: &Target) -> Result<Place, Problem> {
    let machine = render_target(target);
    match membership.local_node_state.as_str() {
        "inactive" => Ok(Place::Outside),
        _ if nodes.iter().any(|node| node.id == membership.node) => {
            Ok(Place::Inside(membership.node.clone()))
        }
        "locked" => Err(Problem::new(format!("the engine of {machine} is locked"))
            .hint(format!("`{}`", target.render_command("swarm unlock")))),
        _ => {
            let problem = Problem::new(format!("{machine} is in another swarm"));
            let leave = target.render_command("swarm leave");
            Err(problem.hint(format!("if nothing needs it there: `{leave}`")))
        }
    }
}

/// The label of the data is given once.
fn check_data(nodes: &[Node]) -> Result<(), Problem> {
    let Some(node) = nodes.iter().find(|node| node.has_label(DATA)) else {
        return Ok(());
    };
    let name = node.hostname();
    let problem = Problem::new(format!(
        "{name} has the data, and only one node can have the label {DATA}"
    ));
    Err(problem.hint("leave out `--label data`"))
}

fn render_target(target: &Target) -> String {
    match target {
        Target::Current => "this machine".to_owned(),
        Target::Address(address) => address.clone(),
        Target::Context(name) => format!("the context {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::nodes::parse;

    fn membership(state: &str, node: &str) -> Membership {
        Membership {
            node: node.to_owned(),
            local_node_state: state.to_owned(),
            control_available: false,
            error: String::new(),
            remote_managers: None,
        }
    }

    fn one() -> Vec<Node> {
        let json = r#"[{"ID":"a","Spec":{"Labels":{"analytics.data":"true"},"Availability":"active"},
            "Description":{"Hostname":"n1"},"Status":{"State":"ready","Addr":"10.0.0.1"},
            "ManagerStatus":{"Reachability":"reachable","Addr":"10.0.0.1:2377"}}]"#;
        parse(json).unwrap()
    }

    #[test]
    fn a_machine_is_let_in_that_is_nowhere_or_here_already() {
        let target = Target::parse("ssh://me@n4");
        let place = |state: &str, node: &str| place(&membership(state, node), &one(), &target);
        assert_eq!(place("inactive", ""), Ok(Place::Outside));
        assert_eq!(place("active", "a"), Ok(Place::Inside("a".to_owned())));
        let problem = place("active", "z").unwrap_err();
        assert_eq!(problem.what, "ssh://me@n4 is in another swarm");
        let hint = problem.hint.unwrap();
        assert!(hint.contains("`docker --host ssh://me@n4 swarm leave`"));
    }

    #[test]
    fn there_is_one_node_with_the_data() {
        assert!(check_data(&one()).unwrap_err().what.contains("n1"));
        assert_eq!(check_data(&[]), Ok(()));
        assert_eq!(manager_addresses(&one()), ["10.0.0.1:2377"]);
    }
}
