//! Another member of the database becomes the primary: planned, without a loss; or forced, where there is none.
//!
//! Patroni does it. Must never give up what was acknowledged without having said so.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::nodes::{self, Node};
use crate::swarm::patroni::{Cluster, Member, Role};
use crate::terminal::say;

/// Patroni takes some seconds.
const PATIENCE: Duration = Duration::from_secs(60);

const GLANCE: Duration = Duration::from_millis(200);

/// Whether there is a primary that can end cleanly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Planned,
    Forced,
}

/// Another primary.
#[derive(Debug, PartialEq, Eq)]
pub struct Failover {
    /// The primary that ends cleanly; none where it is forced.
    pub from: Option<String>,
    /// The member that becomes it.
    pub to: String,
    /// Whether something that was acknowledged may be missing in it.
    pub may_lose: bool,
}

/// What there is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    Change(Failover),
    /// This member is the primary.
    Already(String),
}

/// Decides who becomes the primary. `wanted` is a member's name, or that of its node.
///
/// # Errors
/// When it cannot be done, or not in this manner, or a planned change would be a loss.
pub fn plan(
    cluster: &Cluster,
    nodes: &[Node],
    wanted: Option<&str>,
    manner: Manner,
) -> Result<Plan, Problem> {
    if !cluster.has_quorum() {
        return Err(without_quorum(cluster));
    }
    let wanted = wanted
        .map(|name| member_of(cluster, nodes, name))
        .transpose()?;
    let leader = cluster.leader();
    if let Some(leader) = leader
        && wanted.is_some_and(|it| it.name == leader.name)
    {
        return Ok(Plan::Already(leader.name.clone()));
    }
    let failover = match (manner, leader) {
        (Manner::Planned, Some(leader)) => planned(cluster, leader, wanted)?,
        (Manner::Planned, None) => return Err(without_primary()),
        (Manner::Forced, Some(leader)) if is_reached(leader, nodes) => {
            let what = format!("{} is the primary, and answers", leader.name);
            return Err(Problem::new(what).hint(
                "nothing has to be forced: `cargo xtask production failover` changes it without a loss",
            ));
        }
        (Manner::Forced, _) => forced(cluster, wanted)?,
    };
    Ok(Plan::Change(failover))
}

fn planned(
    cluster: &Cluster,
    leader: &Member,
    wanted: Option<&Member>,
) -> Result<Failover, Problem> {
    let candidates = cluster.candidates();
    let Some(ready) = candidates.first() else {
        let what =
            "no standby has everything that was acknowledged: none can take over without a loss";
        return Err(Problem::new(what).hint(
            "wait until one has caught up; `cargo xtask production status` shows how far they are",
        ));
    };
    let to = wanted.unwrap_or(ready);
    if !candidates.iter().any(|it| it.name == to.name) {
        let (name, ready) = (&to.name, &ready.name);
        let what = if to.streams {
            format!("{name} may lack something: the primary waits for {ready}, not for it")
        } else {
            format!("{name} does not stream from the primary: {}", to.state)
        };
        let hint = format!(
            "take the one that has everything: `cargo xtask production failover --to {ready}`"
        );
        return Err(Problem::new(what).hint(hint));
    }
    Ok(Failover {
        from: Some(leader.name.clone()),
        to: to.name.clone(),
        may_lose: false,
    })
}

/// Without a primary nobody says who streams; but Patroni remembers for whom the last one waited.
fn forced(cluster: &Cluster, wanted: Option<&Member>) -> Result<Failover, Problem> {
    let runs = |member: &&Member| member.state == "running" && member.role != Role::Primary;
    let has_all = |member: &&Member| runs(member) && member.role == Role::Sync;
    let ready = cluster.members.iter().find(has_all);
    let Some(to) = wanted.or(ready) else {
        let what = "no standby that runs is known to have everything that was acknowledged";
        let problem = Problem::new(what);
        return Err(match cluster.members.iter().find(runs) {
            Some(other) => problem.hint(format!(
                "bring back the machine of another member; or lose what was acknowledged last: `cargo xtask \
                 production failover --force --to {}`",
                other.name
            )),
            None => problem.hint("bring back the machine of a member; `docker node ls` shows them"),
        });
    };
    if !runs(&to) {
        let problem = Problem::new(format!("{} does not run: {}", to.name, to.state));
        return Err(problem.hint("`cargo xtask production status` shows which members do"));
    }
    Ok(Failover {
        from: None,
        to: to.name.clone(),
        may_lose: to.role != Role::Sync,
    })
}

fn without_quorum(cluster: &Cluster) -> Problem {
    let healthy = cluster.etcd.iter().filter(|it| it.healthy).count();
    Problem::new(format!(
        "{healthy} of {} etcd answer: without two of them no member can become the primary",
        cluster.etcd.len()
    ))
    .hint("bring back the machine of another; if two are gone for good, read `When two of three are dead` in deploy/production/README.md")
}

fn without_primary() -> Problem {
    Problem::new("the database has no primary at present").hint(
        "Patroni promotes a standby by itself within half a minute; if it does not: `cargo xtask production \
         failover --force`",
    )
}

/// The member of this name, or on the node of this name.
fn member_of<'a>(
    cluster: &'a Cluster,
    nodes: &[Node],
    wanted: &str,
) -> Result<&'a Member, Problem> {
    if let Some(member) = cluster.member(wanted) {
        return Ok(member);
    }
    let node = nodes::find(nodes, wanted)?;
    let number = node.member().unwrap_or_default();
    let member = cluster.members.iter().find(|it| it.number() == number);
    member.ok_or_else(|| {
        let names: Vec<&str> = cluster.members.iter().map(|it| it.name.as_str()).collect();
        Problem::new(format!("{wanted} has no member of the database"))
            .hint(format!("name one of {}", names.join(", ")))
    })
}

/// The node of a member.
pub fn node_of<'a>(nodes: &'a [Node], member: &Member) -> Option<&'a Node> {
    let is_its = |node: &&Node| node.member() == Some(member.number());
    nodes.iter().find(is_its)
}

fn is_reached(member: &Member, nodes: &[Node]) -> bool {
    node_of(nodes, member).is_some_and(Node::is_ready)
}

impl Failover {
    /// What would be done, as a line.
    pub fn render(&self) -> String {
        match &self.from {
            Some(from) => format!(
                "would make {} the primary in the place of {from}\n",
                self.to
            ),
            None => format!("would force {} to become the primary\n", self.to),
        }
    }

    /// What whoever answers for it should know.
    pub fn question(&self) -> String {
        let to = &self.to;
        match &self.from {
            Some(from) => format!(
                "Make {to} the primary in the place of {from}? Requests wait for some seconds."
            ),
            None if self.may_lose => format!(
                "Force {to} to become the primary? What was acknowledged last may be missing in it, and is lost."
            ),
            None => format!(
                "Force {to} to become the primary? It has everything that was acknowledged."
            ),
        }
    }

    /// Does it, and waits until the new primary leads and takes writes by the address that the applications use;
    /// returns after how long it did each. The caller holds the lock.
    ///
    /// # Errors
    /// When Patroni refuses it, or it is not so after a minute.
    pub fn carry_out(&self, swarm: &Swarm) -> anyhow::Result<(Duration, Duration)> {
        let begin = Instant::now();
        match &self.from {
            Some(from) => swarm.change_cluster(&["switchover", from, &self.to])?,
            None => swarm.change_cluster(&["failover", &self.to])?,
        };
        let leads = || {
            let cluster = swarm.cluster()?;
            Ok(cluster.leader().is_some_and(|it| it.name == self.to))
        };
        self.wait_until(begin, "is not the primary", leads)?;
        let led = begin.elapsed();
        self.wait_until(begin, "is the primary and takes no writes", || {
            swarm.takes_writes()
        })?;
        Ok((led, begin.elapsed()))
    }

    fn wait_until(
        &self,
        begin: Instant,
        otherwise: &str,
        is_so: impl Fn() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        loop {
            match is_so() {
                Ok(true) => return Ok(()),
                Err(error) if begin.elapsed() > PATIENCE => return Err(error),
                Ok(false) if begin.elapsed() > PATIENCE => {
                    let what = format!("after a minute {} {otherwise}", self.to);
                    bail!(
                        Problem::new(what)
                            .hint("`cargo xtask production status` shows how the members stand")
                    );
                }
                Ok(false) | Err(_) => thread::sleep(GLANCE),
            }
        }
    }
}

/// Says how long it took.
pub fn say_done(to: &str, (led, wrote): (Duration, Duration)) {
    let (led, wrote) = (led.as_secs_f64(), wrote.as_secs_f64());
    say!("{to} is the primary after {led:.1} s, and takes writes after {wrote:.1} s");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::nodes::parse;

    /// `1 role streams`, a member each; what does not run is `gone`.
    fn cluster(roles: [&str; 3]) -> Cluster {
        let answer = |number: usize, role: &str| match role {
            "gone" => format!(r#""postgres-{number}":null"#),
            "primary" => {
                let senders: Vec<String> = (1..=3)
                    .filter(|it| roles[it - 1] != "stuck")
                    .map(|it| {
                        format!(r#"{{"application_name":"postgres-{it}","state":"streaming"}}"#)
                    })
                    .collect();
                format!(
                    r#""postgres-{number}":{{"state":"running","role":"master","replication":[{}]}}"#,
                    senders.join(",")
                )
            }
            role => format!(
                r#""postgres-{number}":{{"state":"running","role":"replica","sync_standby":{}}}"#,
                role == "sync"
            ),
        };
        let members: Vec<String> = (1..=3).map(|it| answer(it, roles[it - 1])).collect();
        let etcd = r#""etcd":{"etcd-1":true,"etcd-2":true,"etcd-3":false}"#;
        Cluster::parse(&format!("{{\"members\":{{{}}},{etcd}}}", members.join(","))).unwrap()
    }

    /// A node a member, by the number in its name.
    fn nodes() -> Vec<Node> {
        let node = |number: u8| {
            format!(
                r#"{{"ID":"n{number}-id","Spec":{{"Labels":{{"analytics.member":"{number}"}},"Availability":"active"}},
                    "Description":{{"Hostname":"n{number}"}},"Status":{{"State":"ready"}}}}"#
            )
        };
        parse(&format!("[{},{},{}]", node(1), node(2), node(3))).unwrap()
    }

    #[track_caller]
    fn changes(roles: [&str; 3], wanted: Option<&str>, manner: Manner) -> Failover {
        match plan(&cluster(roles), &nodes(), wanted, manner) {
            Ok(Plan::Change(failover)) => failover,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(roles: [&str; 3], wanted: Option<&str>, manner: Manner) -> (String, String) {
        let problem = plan(&cluster(roles), &nodes(), wanted, manner).unwrap_err();
        (problem.what, problem.hint.unwrap())
    }

    #[test]
    fn a_planned_change_takes_the_standby_that_has_everything() {
        let well = ["primary", "standby", "sync"];
        for wanted in [None, Some("postgres-3"), Some("n3")] {
            let failover = changes(well, wanted, Manner::Planned);
            assert_eq!((&*failover.to, failover.may_lose), ("postgres-3", false));
            assert_eq!(failover.from.as_deref(), Some("postgres-1"));
        }
        let already = plan(&cluster(well), &nodes(), Some("n1"), Manner::Planned);
        assert_eq!(already, Ok(Plan::Already("postgres-1".to_owned())));
    }

    #[test]
    fn a_planned_change_is_no_loss_or_it_is_not_done() {
        let (what, hint) = refused(["primary", "standby", "sync"], Some("n2"), Manner::Planned);
        assert!(what.starts_with("postgres-2 may lack something"), "{what}");
        assert!(hint.contains("failover --to postgres-3`"), "{hint}");
        let (what, _) = refused(["primary", "stuck", "sync"], Some("n2"), Manner::Planned);
        assert!(what.contains("does not stream"), "{what}");
        let (what, _) = refused(["primary", "standby", "gone"], None, Manner::Planned);
        assert!(what.contains("none can take over"), "{what}");
        let (what, hint) = refused(["gone", "standby", "sync"], None, Manner::Planned);
        assert!(what.contains("has no primary"), "{what}");
        assert!(hint.contains("--force`"), "{hint}");
    }

    #[test]
    fn it_is_forced_where_there_is_no_primary_and_says_what_may_be_lost() {
        let failover = changes(["gone", "standby", "sync"], None, Manner::Forced);
        assert_eq!((&*failover.to, failover.may_lose), ("postgres-3", false));
        let failover = changes(["gone", "standby", "gone"], Some("n2"), Manner::Forced);
        assert_eq!((failover.from, failover.may_lose), (None, true));
        let (_, hint) = refused(["gone", "standby", "gone"], None, Manner::Forced);
        assert!(hint.contains("--force --to postgres-2`"), "{hint}");
        let (what, _) = refused(["primary", "standby", "sync"], None, Manner::Forced);
        assert_eq!(what, "postgres-1 is the primary, and answers");
        let (what, _) = refused(["gone", "standby", "sync"], Some("n1"), Manner::Forced);
        assert_eq!(what, "postgres-1 does not run: does not answer");
    }
}
