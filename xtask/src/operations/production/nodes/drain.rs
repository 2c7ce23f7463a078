//! A node without tasks, for work on its machine; and back. Must never take away the last of anything.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context;

use super::super::topology;
use super::{newly_ill, place_anew, wait_until_members_stream, wait_until_none_is_left};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::membership::Availability;
use crate::swarm::nodes::{EDGE, Node};
use crate::swarm::patroni::Cluster;
use crate::swarm::placement::Placement;
use crate::terminal::say;

/// What draining a node means.
#[derive(Debug)]
pub struct Drain<'a> {
    node: &'a Node,
    /// Services that would be away until they run elsewhere: they are moved before.
    alone: Vec<&'a str>,
    /// Services with tasks there.
    here: BTreeSet<&'a str>,
    /// Services that were not well before.
    ill: BTreeSet<String>,
    /// Those of the database's member there: the two others go on without it.
    member: Vec<&'a str>,
}

impl<'a> Drain<'a> {
    /// # Errors
    /// When something would be left nowhere.
    pub fn plan(placement: &'a Placement, node: &'a Node) -> Result<Drain<'a>, Problem> {
        let stopped = placement.stopped_with(node).into_iter();
        let (member, stopped): (Vec<&str>, Vec<&str>) = stopped.partition(|it| is_of(node, it));
        if !stopped.is_empty() {
            return Err(refuse(node, &stopped));
        }
        Ok(Drain {
            member,
            node,
            alone: placement.alone_on(node),
            here: placement.on(node).into_iter().collect(),
            ill: placement.ill().into_keys().collect(),
        })
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.node.availability() == "drain" && self.here.is_empty()
    }

    /// What would be done, a line each.
    pub fn render(&self) -> String {
        let name = self.node.hostname();
        let mut text = String::new();
        if !self.alone.is_empty() {
            let alone = self.alone.join(", ");
            text += &format!("would start elsewhere, before it ends on {name}: {alone}\n");
        }
        let here: Vec<&str> = self.here.iter().copied().collect();
        text += &match here.as_slice() {
            [] => format!("would drain {name}, which runs nothing of the stack\n"),
            here => format!(
                "would drain {name}, which runs a task of {}\n",
                here.join(", ")
            ),
        };
        text
    }

    /// What whoever answers for it should know.
    pub fn warning(&self) -> Option<Problem> {
        let name = self.node.hostname();
        let address = self.node.address();
        let problem = Problem::new(format!(
            "{name} has an edge: while it is drained, whoever asks {address} is refused"
        ));
        let hint = "take it out of the DNS records of the public names before, and wait until their TTL is over";
        self.node.has_label(EDGE).then(|| problem.hint(hint))
    }

    /// Does it, and waits until everything runs elsewhere and nothing is left there. The caller holds the lock.
    ///
    /// # Errors
    /// When something does not get well elsewhere. If that was before it ended here, the node takes tasks as
    /// before.
    pub fn carry_out(&self, swarm: &Swarm, timeout: Duration) -> anyhow::Result<()> {
        let (node, name) = (self.node, self.node.hostname());
        self.pass_on(swarm)?;
        if !self.alone.is_empty() {
            swarm.set_availability(node, Availability::Pause)?;
            if let Err(error) = place_anew(swarm, &self.alone, timeout) {
                swarm.set_availability(node, Availability::Active)?;
                return Err(error.context(format!("{name} was not drained")));
            }
        }
        say!("draining {name}");
        swarm.set_availability(node, Availability::Drain)?;
        let member = self.member.iter().map(|it| (*it).to_owned());
        let expected = self.ill.iter().cloned().chain(member).collect();
        let moved = wait_until_none_is_left(swarm, timeout, |placement| {
            let left: Vec<&str> = placement.left_on(node).into_iter().collect();
            match left.as_slice() {
                [] => newly_ill(placement, &expected),
                left => Some(format!("{name} still runs {}", left.join(", "))),
            }
        });
        moved.with_context(|| {
            Problem::new(format!("{name} is drained")).hint(format!(
                "let it take tasks again with `cargo xtask production nodes activate {name}`"
            ))
        })
    }
}

impl Drain<'_> {
    /// Whether the database bears the loss of its member there, which it must before anything is done.
    ///
    /// # Errors
    /// When it does not.
    pub fn check_database(&self, swarm: &Swarm) -> anyhow::Result<()> {
        if self.member.is_empty() {
            return Ok(());
        }
        check_others(&swarm.cluster()?, self.node)?;
        Ok(())
    }

    /// Lets another member be the primary, if the one there is.
    fn pass_on(&self, swarm: &Swarm) -> anyhow::Result<()> {
        self.check_database(swarm)?;
        if !self.member.is_empty() && Some(swarm.leader()?.number()) == self.node.member() {
            topology::hand_over(swarm)?;
        }
        Ok(())
    }
}

/// Whether a service is one of the database's member on this node.
fn is_of(node: &Node, service: &str) -> bool {
    let parts = service.rsplit_once('-');
    parts.is_some_and(|(kind, number)| {
        ["etcd", "postgres", "backup"].contains(&kind) && node.member() == Some(number)
    })
}

/// Whether the other two members and their etcd are well.
fn check_others(cluster: &Cluster, node: &Node) -> Result<(), Problem> {
    let own = node.member().unwrap_or_default();
    let is_own = |name: &str| name.rsplit('-').next() == Some(own);
    let members = cluster.members.iter().filter(|it| !it.is_well());
    let etcd = cluster.etcd.iter().filter(|it| !it.healthy);
    let ill = members.map(|it| &it.name).chain(etcd.map(|it| &it.name));
    let ill: Vec<&str> = ill.map(String::as_str).filter(|it| !is_own(it)).collect();
    if ill.is_empty() && cluster.leader().is_some() {
        return Ok(());
    }
    let name = node.hostname();
    let what = match ill.as_slice() {
        [] => format!("the database has no primary, so {name} must not stop now"),
        ill => format!(
            "{} is not well, so {name} must not stop now",
            ill.join(", ")
        ),
    };
    Err(Problem::new(what)
        .hint("wait until every member streams: `cargo xtask production status` shows them"))
}

/// Lets a node take tasks again, and waits until what belongs on it runs. The caller holds the lock.
///
/// # Errors
/// When that does not get well.
pub fn activate(swarm: &Swarm, node: &Node, timeout: Duration) -> anyhow::Result<()> {
    let is_of_its_member = |name: &String| is_of(node, name);
    let mut ill: BTreeSet<String> = swarm.placement()?.ill().into_keys().collect();
    ill.retain(|name| !is_of_its_member(name));
    swarm.set_availability(node, Availability::Active)?;
    wait_until_none_is_left(swarm, timeout, |placement| {
        let now = placement.nodes.iter().find(|it| it.id == node.id);
        match now.map(|it| (it.takes_tasks(), it.state())) {
            Some((true, _)) => newly_ill(placement, &ill),
            Some((false, state)) => Some(format!("{} is {state}", node.hostname())),
            None => Some(format!("{} is gone from the swarm", node.hostname())),
        }
    })?;
    if node.member().is_some() && swarm.has_members()? {
        wait_until_members_stream(swarm, timeout)?;
    }
    Ok(())
}

fn refuse(node: &Node, stopped: &[&str]) -> Problem {
    let name = node.hostname();
    let what = format!("{name} has what no other node has: {}", stopped.join(", "));
    let hint = match stopped {
        stopped if stopped.contains(&"postgres") => format!(
            "set DATABASE=ha in deploy/production/.env and run `cargo xtask production deploy` before, on three nodes; \
             or stop them meanwhile, with `docker node update --availability drain {name}`"
        ),
        ["edge"] => {
            "give another node an edge before: `docker node update --label-add analytics.edge=true NODE`"
                .to_owned()
        }
        _ => format!(
            "let in another node with `cargo xtask production nodes add`; or stop them meanwhile, with `docker node \
             update --availability drain {name}`"
        ),
    };
    Problem::new(what).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::inspect::{parse_services, parse_tasks};
    use crate::swarm::nodes;

    /// Three nodes with the data and an edge on `n1`; postgres there, umami on `umami`.
    fn placement(umami: [&str; 2]) -> Placement {
        let node = |name: &str, labels: &str| {
            format!(
                r#"{{"ID":"{name}","Spec":{{"Labels":{labels},"Availability":"active"}},"Description":
                    {{"Hostname":"{name}"}},"Status":{{"State":"ready","Addr":"10.0.0.1"}}}}"#
            )
        };
        let labels = r#"{"analytics.data":"true","analytics.edge":"true"}"#;
        let all = [node("n1", labels), node("n2", "{}"), node("n3", "{}")];
        let service = |name: &str, order: &str, constraint: &str| {
            format!(
                r#"{{"ID":"{name}","Spec":{{"Name":"a_{name}","TaskTemplate":{{"Placement":{{"Constraints":
                    [{constraint}]}}}},"Mode":{{"Replicated":{{"Replicas":1}}}},"UpdateConfig":{{"Order":"{order}"}}}}}}"#
            )
        };
        let data = r#""node.labels.analytics.data == true""#;
        let services = [
            service("postgres", "stop-first", data),
            service("umami", "start-first", ""),
        ];
        let task = |service: &str, node: &str| {
            format!(
                r#"{{"ID":"{service}{node}","ServiceID":"{service}","NodeID":"{node}","DesiredState":"running",
                    "Status":{{"State":"running"}}}}"#
            )
        };
        let mut tasks = umami.map(|node| task("umami", node)).to_vec();
        tasks.push(task("postgres", "n1"));
        let services = parse_services(&format!("[{}]", services.join(","))).unwrap();
        Placement {
            services: services.into_iter().map(|it| (it.id.clone(), it)).collect(),
            tasks: parse_tasks(&format!("[{}]", tasks.join(","))).unwrap(),
            nodes: nodes::parse(&format!("[{}]", all.join(","))).unwrap(),
        }
    }

    #[test]
    fn the_only_copy_of_the_databases_stays_where_it_is() {
        let placement = placement(["n1", "n2"]);
        let problem = Drain::plan(&placement, &placement.nodes[0]).unwrap_err();
        assert_eq!(problem.what, "n1 has what no other node has: postgres");
        let hint = problem.hint.unwrap();
        assert!(hint.contains("`cargo xtask production deploy`"), "{hint}");
    }

    #[test]
    fn a_member_goes_only_while_the_two_others_are_well() {
        let node = r#"[{"ID":"a","Spec":{"Labels":{"analytics.member":"2"},"Availability":"active"},
            "Description":{"Hostname":"n2"},"Status":{"State":"ready"}}]"#;
        let node = &nodes::parse(node).unwrap()[0];
        assert!(is_of(node, "postgres-2") && is_of(node, "etcd-2"));
        assert!(!is_of(node, "postgres-1") && !is_of(node, "redis"));
        let check = |third: &str, etcd: bool| {
            let senders = r#"[{"application_name":"postgres-3","state":"streaming"}]"#;
            let cluster = format!(
                r#"{{"members":{{"postgres-1":{{"state":"running","role":"master","replication":{senders}}},
                    "postgres-2":null,"postgres-3":{{"state":"{third}","role":"replica"}}}},
                    "etcd":{{"etcd-1":true,"etcd-2":false,"etcd-3":{etcd}}}}}"#
            );
            check_others(&Cluster::parse(&cluster.replace('\n', "")).unwrap(), node)
        };
        assert_eq!(check("running", true), Ok(()));
        let problem = check("starting", true).unwrap_err();
        assert_eq!(
            problem.what,
            "postgres-3 is not well, so n2 must not stop now"
        );
        assert!(check("running", false).is_err());
    }

    #[test]
    fn what_has_all_its_tasks_there_is_started_elsewhere_before() {
        let some = placement(["n1", "n2"]);
        let drain = Drain::plan(&some, &some.nodes[1]).unwrap();
        assert_eq!(
            drain.render(),
            "would drain n2, which runs a task of umami\n"
        );
        let alone = placement(["n2", "n2"]);
        let drain = Drain::plan(&alone, &alone.nodes[1]).unwrap();
        assert_eq!(
            drain.render(),
            "would start elsewhere, before it ends on n2: umami\nwould drain n2, which runs a task of umami\n"
        );
        let drain = Drain::plan(&alone, &alone.nodes[2]).unwrap();
        assert_eq!(
            drain.render(),
            "would drain n3, which runs nothing of the stack\n"
        );
    }
}
