//! The lock on a stack in production: a config, so that everyone who works on the swarm sees it.
//!
//! Two locks make one: the one on a file keeps out others in this checkout, and with it whoever finds the
//! config of this very checkout knows that its maker is dead.

use anyhow::bail;

use super::Swarm;
use super::objects::{Kind, Made, New};
use crate::problem::Problem;
use crate::system::lock::Lock;
use crate::system::{clock, machine};
use crate::terminal::say;
use crate::terminal::text::render_timestamp;

const OWNER: &str = "analytics.owner";
const SINCE: &str = "analytics.since";
const VERB: &str = "analytics.verb";

/// Held by whoever changes production. Removed with the value; what a killed command leaves is taken over by
/// the next one in its checkout.
pub struct SwarmLock<'a> {
    swarm: &'a Swarm,
    _local: Lock,
    /// What was found of a command that was killed.
    pub left: Left,
}

/// Whether a killed command has left its lock, and with it anything half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Nothing,
    Unfinished,
}

impl Swarm {
    /// Locks the stack for a verb.
    ///
    /// # Errors
    /// When somebody else holds it: who, since when, and how to end that.
    pub fn lock(&self, verb: &str) -> anyhow::Result<SwarmLock<'_>> {
        let local = Lock::acquire(&self.checkout.lock_file())?;
        let (name, owner) = (self.lock_name(), self.owner());
        let since = render_timestamp(clock::now());
        let labels = [(OWNER, &*owner), (SINCE, &*since), (VERB, verb)];
        let lock = New {
            kind: Kind::Config,
            name: &name,
            labels: &labels,
            content: verb,
        };
        let mut left = Left::Nothing;
        // Once more when it was left by a command of ours that was killed.
        for _ in 0..2 {
            if self.create(&lock)? == Made::New {
                return Ok(SwarmLock {
                    swarm: self,
                    _local: local,
                    left,
                });
            }
            let Some(held) = self.read_configs(std::slice::from_ref(&name))?.pop() else {
                continue;
            };
            let label = |key: &str| held.labels.get(key).cloned().unwrap_or_default();
            if label(OWNER) != owner {
                bail!(self.is_locked(&label(OWNER), &label(VERB), &label(SINCE)));
            }
            say!("taking over the lock of a {} that was killed", label(VERB));
            left = Left::Unfinished;
            self.remove(Kind::Config, &[name.clone()].into())?;
        }
        bail!("the lock {name} comes and goes")
    }

    pub(super) fn lock_name(&self) -> String {
        format!("{}_lock", self.name)
    }

    /// This checkout on this machine.
    pub fn owner(&self) -> String {
        format!(
            "{}:{}",
            machine::user_at_host(),
            self.checkout.root().display()
        )
    }

    fn is_locked(&self, owner: &str, verb: &str, since: &str) -> Problem {
        let remove = format!("config rm {}", self.lock_name());
        let command = self.docker.target().render_command(&remove);
        Problem::new(format!(
            "{owner} has been changing {} since {since}, with production {verb}",
            self.name
        ))
        .hint(format!(
            "wait for it; if it is dead, remove its lock with `{command}`"
        ))
    }
}

impl SwarmLock<'_> {
    /// What it is on.
    pub fn swarm(&self) -> &Swarm {
        self.swarm
    }
}

impl Drop for SwarmLock<'_> {
    fn drop(&mut self) {
        let name = self.swarm.lock_name();
        if let Err(error) = self.swarm.remove(Kind::Config, &[name].into()) {
            say!("the lock stays, and the next command here takes it over: {error:#}");
        }
    }
}
