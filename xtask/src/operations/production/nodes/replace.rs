//! A dead node's place taken by another: its labels, its part in the quorum, and its tasks. Must never give up data
//! that is nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use super::{newly_ill, wait_until_members_stream, wait_until_none_is_left};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::nodes::{DATA, Node};
use crate::terminal::say;

const GLANCE: Duration = Duration::from_millis(500);

/// How long the managers may take to agree that one of them is none any more.
const DEMOTION: Duration = Duration::from_secs(30);

/// What replacing a node means.
#[derive(Debug)]
pub struct Replacement<'a> {
    dead: &'a Node,
    new: &'a Node,
    /// Those that the new one lacks.
    labels: BTreeMap<&'a str, &'a str>,
}

impl<'a> Replacement<'a> {
    /// # Errors
    /// When the one is not dead, the other not ready, or the dead one has data that is nowhere else.
    pub fn plan(dead: &'a Node, new: &'a Node) -> Result<Replacement<'a>, Problem> {
        let (dead_name, new_name) = (dead.hostname(), new.hostname());
        if dead.id == new.id {
            let problem = Problem::new(format!("{new_name} cannot replace itself"));
            return Err(problem.hint("`cargo xtask production nodes` shows those that there are"));
        }
        if dead.is_ready() {
            let problem = Problem::new(format!("{dead_name} is not dead: the swarm reaches it"));
            return Err(problem.hint(format!(
                "for work on its machine take `cargo xtask production nodes drain {dead_name}`; to be rid of it, \
                 drain it, shut it down, and repeat this command"
            )));
        }
        if !new.takes_tasks() {
            let problem = Problem::new(format!("{new_name} takes no tasks: it is {}", new.state()));
            return Err(problem.hint(format!(
                "bring it back with `cargo xtask production nodes activate {new_name}`"
            )));
        }
        if dead.has_label(DATA) {
            return Err(needs_restore(dead, new));
        }
        let (mut labels, own) = (dead.labels(), new.labels());
        labels.retain(|name, value| own.get(name) != Some(value));
        Ok(Replacement { dead, new, labels })
    }

    /// What would be done, a line each.
    pub fn render(&self) -> String {
        let (dead, new) = (self.dead.hostname(), self.new.hostname());
        let mut text = String::new();
        for (name, value) in &self.labels {
            text += &format!("would give {new} the label analytics.{name}={value}\n");
        }
        if self.dead.is_manager() && !self.new.is_manager() {
            text += &format!("would make {new} a manager\n");
        }
        if self.dead.is_manager() {
            text += &format!("would make {dead} a manager no longer\n");
        }
        text + &format!("would remove {dead} from the swarm\n")
    }

    /// Does it, and waits until everything is well. The dead one is removed last, so that a command that was
    /// killed can be repeated. The caller holds the lock.
    ///
    /// # Errors
    /// When the swarm refuses something, or what belongs on the new node does not get well there.
    pub fn carry_out(&self, swarm: &Swarm, timeout: Duration) -> anyhow::Result<()> {
        let (dead, new) = (self.dead, self.new);
        swarm.give_labels(new, &self.labels)?;
        if dead.is_manager() {
            if !new.is_manager() {
                say!("making {} a manager", new.hostname());
                swarm.promote(new)?;
                wait_until_none_is_left(swarm, DEMOTION, |now| {
                    let mut nodes = now.nodes.iter();
                    let is_one = nodes.any(|it| it.id == new.id && it.is_reachable_manager());
                    (!is_one).then(|| format!("{} is not a manager yet", new.hostname()))
                })?;
            }
            swarm.demote(dead)?;
        }
        say!("removing {} from the swarm", dead.hostname());
        remove(swarm, dead)?;
        let nothing = BTreeSet::new();
        wait_until_none_is_left(swarm, timeout, |now| newly_ill(now, &nothing))?;
        if dead.member().is_some() && swarm.has_members()? {
            wait_until_members_stream(swarm, timeout)?;
        }
        Ok(())
    }
}

/// Removes a dead node. The managers take a moment to agree that it is none of them any more.
fn remove(swarm: &Swarm, dead: &Node) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        match swarm.remove_node(dead) {
            Ok(()) => return Ok(()),
            Err(error) if begin.elapsed() > DEMOTION => return Err(error),
            Err(_) => thread::sleep(GLANCE),
        }
    }
}

fn needs_restore(dead: &Node, new: &Node) -> Problem {
    let (dead, new) = (dead.hostname(), new.hostname());
    let what =
        format!("{dead} has the only copy of the databases, apart from the backups in the bucket");
    Problem::new(what).hint(format!(
        "if its machine comes back, so do they. If it is gone for good:\n\
         `docker node update --label-rm {DATA} {dead}`\n\
         `docker node update --label-add {DATA}=true {new}`\n\
         `cargo xtask production deploy`\n\
         `cargo xtask production restore`\n\
         `cargo xtask production nodes replace {dead} {new}`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::nodes::parse;

    fn node(name: &str, labels: &str, state: &str, more: &str) -> Node {
        let json = format!(
            r#"[{{"ID":"{name}","Spec":{{"Labels":{labels},"Availability":"active"}},"Description":
                {{"Hostname":"{name}"}},"Status":{{"State":"{state}"}}{more}}}]"#
        );
        parse(&json).unwrap().remove(0)
    }

    const MANAGER: &str = r#","ManagerStatus":{"Reachability":"unreachable"}"#;

    #[test]
    fn the_new_node_gets_labels_and_role_of_the_dead_one() {
        let labels = r#"{"analytics.edge":"true","analytics.member":"2","other":"x"}"#;
        let dead = node("n3", labels, "down", MANAGER);
        let new = node("n4", r#"{"analytics.edge":"true"}"#, "ready", "");
        let plan = Replacement::plan(&dead, &new).unwrap();
        assert_eq!(
            plan.render(),
            "would give n4 the label analytics.member=2\nwould make n4 a manager\n\
             would make n3 a manager no longer\nwould remove n3 from the swarm\n"
        );
    }

    #[test]
    fn what_lives_is_not_replaced_and_what_does_not_live_replaces_nothing() {
        #[track_caller]
        fn check(dead: &Node, new: &Node, says: &str, hints: &str) {
            let problem = Replacement::plan(dead, new).unwrap_err();
            assert!(problem.what.contains(says), "{}", problem.what);
            assert!(problem.hint.unwrap().contains(hints));
        }
        let (alive, dead) = (node("n1", "{}", "ready", ""), node("n2", "{}", "down", ""));
        check(&alive, &dead, "n1 is not dead", "nodes drain n1");
        check(&dead, &dead, "cannot replace itself", "production nodes");
        let gone = node("n3", "{}", "down", "");
        check(&dead, &gone, "it is down", "nodes activate n3");
        let data = node("n4", r#"{"analytics.data":"true"}"#, "down", "");
        check(
            &data,
            &alive,
            "only copy",
            "`cargo xtask production restore`",
        );
    }
}
