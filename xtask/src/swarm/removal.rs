//! Taking a stack off the swarm: services, networks, secrets and configs. Never a volume.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::lock::SwarmLock;
use super::objects::Kind;
use super::{STACK_LABEL, Swarm};
use crate::problem::Problem;

const GLANCE: Duration = Duration::from_millis(500);

/// PostgreSQL may take two minutes to stop.
const PATIENCE: Duration = Duration::from_secs(180);

impl Swarm {
    /// Whether the swarm has anything that the tool made for this stack.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn has_objects(&self) -> anyhow::Result<bool> {
        Ok(!self.names(Kind::Secret)?.is_empty() || !self.names(Kind::Config)?.is_empty())
    }

    /// Removes everything but the volumes, and returns those that the asked engine has.
    ///
    /// # Errors
    /// When something does not go.
    pub fn remove_all(&self, lock: SwarmLock) -> anyhow::Result<Vec<String>> {
        let stacks = ["-operation", "-jobs", ""].map(|kind| format!("{}{kind}", self.name));
        let stacks = [self.looks()?, stacks.to_vec()].concat();
        for stack in &stacks {
            self.docker.docker().args(["stack", "rm", stack]).text()?;
        }
        let begin = Instant::now();
        while let Some(left) = self.left(&stacks)? {
            if begin.elapsed() > PATIENCE {
                bail!(
                    Problem::new(format!("still there after three minutes: {left}"))
                        .hint("repeat `cargo xtask production remove --no-backup`")
                );
            }
            thread::sleep(GLANCE);
        }

        self.remove(Kind::Secret, &self.names(Kind::Secret)?)?;
        let mut configs = self.names(Kind::Config)?;
        configs.remove(&self.lock_name());
        self.remove(Kind::Config, &configs)?;
        drop(lock);
        self.volumes()
    }

    /// A service, container or network of these stacks that is still there.
    fn left(&self, stacks: &[String]) -> anyhow::Result<Option<String>> {
        for stack in stacks {
            let filter = format!("label={STACK_LABEL}={stack}");
            for (list, format) in [
                (["service", "ls"], "{{.Name}}"),
                (["container", "ls"], "{{.Names}}"),
                (["network", "ls"], "{{.Name}}"),
            ] {
                let list = self.docker.docker().args(list);
                let list = list.args(["--filter", &filter, "--format", format]);
                if let Some(name) = list.text()?.lines().next() {
                    return Ok(Some(name.to_owned()));
                }
            }
        }
        Ok(None)
    }

    /// The volumes of the stack on the engine that is asked.
    fn volumes(&self) -> anyhow::Result<Vec<String>> {
        let filter = format!("label={STACK_LABEL}={}", self.name);
        let list = ["volume", "ls", "--quiet", "--filter", &filter];
        let text = self.docker.docker().args(list).text()?;
        Ok(text.lines().map(str::to_owned).collect())
    }
}
