//! The database's way from one node to three, back, and from one version to the next while it is on three. No row is
//! lost on the way: whoever is to be the primary has them all before anyone else begins.
//!
//! A change that was killed is finished by the next one: each step looks at what there is.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::database::{MEMBER_SERVICES, PROXY};
use crate::swarm::nodes::DATA;
use crate::swarm::patroni::Cluster;
use crate::swarm::release::Release;
use crate::swarm::stackfile::StackFile;
use crate::swarm::watch::{Others, Patience};
use crate::terminal::say;

const ETCD: [&str; 3] = ["etcd-1", "etcd-2", "etcd-3"];
const BACKUPS: [&str; 3] = ["backup-1", "backup-2", "backup-3"];
/// What one node has instead of members.
const SINGLE: [&str; 2] = ["backup", "postgres"];

const GLANCE: Duration = Duration::from_secs(1);

/// A primary follows another within half a minute, and a member that answers streams soon after.
const HANDOVER: Duration = Duration::from_secs(120);

/// For how long Patroni may refuse a handover.
const REFUSAL: Duration = Duration::from_secs(120);

/// Makes the database of the swarm what a stack says, in the right order; the rest of the stack is left alone.
/// `previous` is what was deployed before.
///
/// # Errors
/// When a step does not come to its end within `timeout`.
pub fn change(
    swarm: &Swarm,
    stack: &StackFile,
    previous: Option<&Release>,
    timeout: Duration,
) -> anyhow::Result<()> {
    let step = Step {
        swarm,
        stack,
        timeout,
    };
    let services = swarm.services()?;
    let has = |name: &str| services.contains_key(name);
    match (stack.has_members(), has("postgres"), has("postgres-1")) {
        (true, true, _) => step.enter(&step.member_with_data()?),
        (true, false, false) => step.enter(MEMBER_SERVICES[0]),
        (true, false, true) => step.renew(previous),
        (false, _, true) => step.leave(),
        (false, _, false) => Ok(()),
    }
}

struct Step<'a> {
    swarm: &'a Swarm,
    stack: &'a StackFile,
    timeout: Duration,
}

impl Step<'_> {
    /// From one node, or from nothing, to three. `first` has all rows, or makes the first cluster.
    fn enter(&self, first: &str) -> anyhow::Result<()> {
        // A deployment that was killed may have come this far.
        if self.swarm.cluster().is_ok_and(|it| it.leader().is_some()) {
            return self.complete();
        }
        say!("starting the members of the database");
        self.bring(&ETCD)?;
        let services = self.swarm.services()?;
        let single = SINGLE.into_iter().filter(|it| services.contains_key(*it));
        let single: Vec<&str> = single.collect();
        if !single.is_empty() {
            say!("stopping the database on one node; {first} goes on with its data");
            self.swarm.stop(&single)?;
        }
        self.bring(&[first, PROXY])?;
        let leads = |cluster: &Cluster| cluster.leader().is_some_and(|it| it.name == first);
        self.wait(&format!("{first} to become the primary"), leads)?;
        say!("{first} is the primary; the other members copy it");
        self.complete()
    }

    /// Starts the members that are left.
    fn complete(&self) -> anyhow::Result<()> {
        self.bring(&MEMBER_SERVICES)?;
        // A copy of a large database takes its time.
        self.wait_for(&Wait {
            what: "every member to stream",
            longest: self.timeout.max(HANDOVER),
            is_so: &Cluster::is_well,
        })
    }

    /// From three nodes to the one with the label of the data, which leads first.
    fn leave(&self) -> anyhow::Result<()> {
        let services = self.swarm.services()?;
        let running = |name: &&str| {
            services
                .get(*name)
                .is_some_and(|it| it.replicas() != Some(0))
        };
        if !MEMBER_SERVICES.iter().any(running) {
            return Ok(());
        }
        let last = self.member_with_data()?;
        let cluster = self.swarm.cluster().ok();
        let leads = cluster.is_some_and(|it| it.leader().is_some());
        if leads {
            lead_with(self.swarm, &last)?;
        } else if !services.contains_key("postgres") {
            // Otherwise the way to three nodes was not finished, and nobody has led yet.
            bail!(
                Problem::new("the database has no primary, so nobody knows whose rows are the last")
                    .hint("`cargo xtask production status` shows its members; bring one more of them back first")
            );
        }
        say!("stopping the members of the database; {last} was the primary");
        let others = MEMBER_SERVICES.into_iter().filter(|name| *name != last);
        let others: Vec<&str> = others.chain(BACKUPS).filter(|it| running(it)).collect();
        self.swarm.stop(&others)?;
        self.swarm.stop(&[&last])?;
        self.swarm.forget_members()
    }

    /// From one version of the members to another, one after the other, the primary last.
    fn renew(&self, previous: Option<&Release>) -> anyhow::Result<()> {
        let before = previous.map(|release| &release.stack);
        let is_changed = |name: &&str| {
            let before = before.and_then(|stack| stack.resolved(name));
            before != self.stack.resolved(name)
        };
        for name in ETCD.into_iter().filter(|it| is_changed(it)) {
            say!("renewing {name}");
            self.bring(&[name])?;
            let all = |cluster: &Cluster| cluster.etcd.iter().all(|etcd| etcd.healthy);
            self.wait("every etcd to be healthy", all)?;
        }
        let mut left: Vec<&str> = MEMBER_SERVICES
            .into_iter()
            .filter(|it| is_changed(it))
            .collect();
        while !left.is_empty() {
            let leader = self.swarm.leader()?.name;
            let next = left.iter().position(|name| *name != leader);
            let name = match next {
                Some(index) => left.remove(index),
                None => {
                    hand_over(self.swarm)?;
                    left.remove(0)
                }
            };
            say!("renewing {name}");
            self.bring(&[name])?;
            self.wait("every member to stream", Cluster::is_well)?;
        }
        Ok(())
    }

    /// The member on the node with the label of the data.
    fn member_with_data(&self) -> anyhow::Result<String> {
        let nodes = self.swarm.nodes()?;
        let node = nodes.iter().find(|node| node.has_label(DATA));
        let number = node.and_then(|node| node.member());
        let number = number.with_context(|| {
            let what = format!("the node with the label {DATA}=true has no member of the database");
            Problem::new(what)
                .hint("`docker node inspect --pretty NODE` shows the labels of a node")
        })?;
        Ok(format!("postgres-{number}"))
    }

    /// Deploys some services of the stack, and waits until they are healthy.
    fn bring(&self, names: &[&str]) -> anyhow::Result<()> {
        let part = self.stack.only(names);
        let before = self.swarm.before()?;
        self.swarm.deploy(&self.swarm.name, &part, Others::Stay)?;
        let patience = Patience {
            timeout: self.timeout,
            settle: Duration::ZERO,
        };
        let watched = self.swarm.watch(&part, &before, patience)?;
        watched.map_err(|broken| broken.problem.into())
    }

    fn wait(&self, what: &str, is_so: impl Fn(&Cluster) -> bool) -> anyhow::Result<()> {
        self.wait_for(&Wait {
            what,
            longest: HANDOVER,
            is_so: &is_so,
        })
    }

    fn wait_for(&self, wait: &Wait) -> anyhow::Result<()> {
        wait.carry_out(self.swarm)
    }
}

/// A state of the members that is waited for.
struct Wait<'a> {
    what: &'a str,
    longest: Duration,
    is_so: &'a dyn Fn(&Cluster) -> bool,
}

impl Wait<'_> {
    fn carry_out(&self, swarm: &Swarm) -> anyhow::Result<()> {
        let begin = Instant::now();
        loop {
            let cluster = swarm.cluster();
            if cluster.as_ref().is_ok_and(|it| (self.is_so)(it)) {
                return Ok(());
            }
            if begin.elapsed() > self.longest {
                let problem = Problem::new(format!("waited in vain for {}", self.what))
                    .hint("`cargo xtask production status` shows how the members stand");
                return Err(cluster
                    .err()
                    .unwrap_or_else(|| problem.clone().into())
                    .context(problem));
            }
            thread::sleep(GLANCE);
        }
    }
}

/// Makes another member the primary, without a loss.
///
/// # Errors
/// When none is in step, or Patroni refuses it for two minutes.
pub fn hand_over(swarm: &Swarm) -> anyhow::Result<()> {
    let cluster = swarm.cluster()?;
    let Some(next) = cluster.candidates().first().copied() else {
        bail!(
            Problem::new("no standby has everything that the primary has")
                .hint("`cargo xtask production status` shows the members; wait until each streams")
        );
    };
    hand_over_to(swarm, &next.name)
}

/// Makes this member the primary. Only one that is in step can be, so another may lead in between.
///
/// # Errors
/// When it does not get there.
pub fn lead_with(swarm: &Swarm, name: &str) -> anyhow::Result<()> {
    for _ in 0..4 {
        let cluster = swarm.cluster()?;
        if cluster.leader().is_some_and(|it| it.name == name) {
            return Ok(());
        }
        if cluster.member(name).is_none_or(|it| !it.streams) {
            bail!(
                Problem::new(format!(
                    "{name} does not stream, so it cannot become the primary"
                ))
                .hint("`cargo xtask production status` shows how the members stand")
            );
        }
        if cluster.candidates().iter().any(|it| it.name == name) {
            return hand_over_to(swarm, name);
        }
        hand_over(swarm)?;
    }
    bail!(
        Problem::new(format!("{name} did not become the primary"))
            .hint("`cargo xtask production status` shows how the members stand")
    )
}

/// Patroni refuses while it does not see, for a moment, that the other may be promoted.
fn hand_over_to(swarm: &Swarm, name: &str) -> anyhow::Result<()> {
    let begin = Instant::now();
    let leads = |cluster: &Cluster| cluster.leader().is_some_and(|it| it.name == name);
    loop {
        let leader = swarm.leader()?.name;
        if leader == name {
            break;
        }
        say!("{leader} hands over to {name}");
        match swarm.change_cluster(&["switchover", &leader, name]) {
            Ok(_) => break,
            Err(error) if begin.elapsed() > REFUSAL => return Err(error),
            Err(_) => thread::sleep(GLANCE * 3),
        }
    }
    let follows = |cluster: &Cluster| leads(cluster) && cluster.is_well();
    let wait = Wait {
        what: "every member to follow the new primary",
        longest: HANDOVER,
        is_so: &follows,
    };
    wait.carry_out(swarm)
}
