//! From a release that is planned to one that runs: prepare, roll out, prove, record; or back to the one
//! before it.

use std::time::Duration;

use anyhow::{Context, bail};

use super::prove;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::jobs::Job;
use crate::swarm::release::Release;
use crate::swarm::stackfile::StackFile;
use crate::swarm::watch::{Broken, Others, Patience};
use crate::terminal::say;

/// What answers requests or takes tasks: it must not run before the databases are prepared for it.
const APPLICATIONS: [&str; 3] = ["umami", "glitchtip-web", "glitchtip-worker"];

/// A migration of a large database takes its time.
const JOB_TIMEOUT: Duration = Duration::from_secs(1800);

/// A crash within this time after the update belongs to it.
const SETTLE: Duration = Duration::from_secs(60);

/// A release on its way.
pub struct Rollout<'a> {
    pub swarm: &'a Swarm,
    pub release: &'a Release,
    /// What is gone back to if it fails.
    pub previous: Option<&'a Release>,
    /// The jobs, in their order.
    pub order: &'a [String],
    /// How long the services may take.
    pub timeout: Duration,
    /// The id of the node whose engine is asked.
    pub here: &'a str,
}

impl Rollout<'_> {
    /// Does all of it. The caller holds the lock; secrets, configs and images are there.
    ///
    /// # Errors
    /// When the release does not work: the previous one runs again then, where there is one.
    pub fn carry_out(&self) -> anyhow::Result<()> {
        if self.previous.is_none() || !self.swarm.services()?.contains_key("postgres") {
            self.lay_foundation()?;
        }
        self.run_jobs()?;
        self.roll_out()?;
        self.swarm.record(self.release)
    }

    /// The databases, and all else that needs none of the jobs.
    fn lay_foundation(&self) -> anyhow::Result<()> {
        let stack = &self.release.stack;
        let mut names = stack.services();
        names.retain(|name| !APPLICATIONS.contains(name));
        say!("starting what the applications need");
        let foundation = stack.only(&names);
        match self.bring(&foundation, Others::Stay, Duration::ZERO)? {
            Ok(()) => Ok(()),
            Err(broken) => bail!(explained(broken)),
        }
    }

    fn run_jobs(&self) -> anyhow::Result<()> {
        let stack = format!("{}-jobs", self.swarm.name);
        for job in self.order {
            say!("running {job}");
            let ran = self.swarm.run_job(&Job {
                stack: &stack,
                file: &self.release.jobs,
                name: job,
                timeout: JOB_TIMEOUT,
            });
            ran.map_err(|error| self.unprepared(&error))?;
        }
        Ok(())
    }

    fn unprepared(&self, error: &anyhow::Error) -> anyhow::Error {
        let problem = Problem::of(error);
        let hint = match self.previous {
            Some(previous) => format!(
                "release {} runs on, unchanged; correct the cause, then repeat `cargo xtask production deploy`",
                previous.number
            ),
            None => "correct the cause, then repeat `cargo xtask production deploy`".to_owned(),
        };
        problem.hint(hint).into()
    }

    fn roll_out(&self) -> anyhow::Result<()> {
        say!("rolling out release {}", self.release.number);
        let broken = match self.bring(&self.release.stack, Others::Go, SETTLE)? {
            Ok(()) => match prove::run(self.swarm, &self.release.stack, self.here) {
                Ok(()) => return Ok(()),
                Err(error) => Problem::of(&error),
            },
            Err(broken) => explained(broken),
        };
        let Some(previous) = self.previous else {
            bail!(broken);
        };
        roll_back(self.swarm, previous, self.timeout).map_err(|error| {
            let what = format!("{}; rolling back failed as well: {error:#}", broken.what);
            Problem {
                what,
                ..broken.clone()
            }
        })?;
        let number = previous.number;
        bail!(Problem {
            what: format!("{}; release {number} runs again", broken.what),
            ..broken
        })
    }

    fn bring(
        &self,
        stack: &StackFile,
        others: Others,
        settle: Duration,
    ) -> anyhow::Result<Result<(), Broken>> {
        let before = self.swarm.before()?;
        self.swarm
            .deploy(&self.swarm.name, stack, others)
            .context("giving the stack to the swarm")?;
        let timeout = self.timeout;
        self.swarm
            .watch(stack, &before, Patience { timeout, settle })
    }
}

/// Makes a release that was seen to work run again.
///
/// # Errors
/// When it does not work any more.
pub fn roll_back(swarm: &Swarm, release: &Release, timeout: Duration) -> anyhow::Result<()> {
    say!("rolling back to release {}", release.number);
    let before = swarm.before()?;
    swarm.deploy(&swarm.name, &release.stack, Others::Go)?;
    let settle = Duration::ZERO;
    match swarm.watch(&release.stack, &before, Patience { timeout, settle })? {
        Ok(()) => Ok(()),
        Err(broken) => bail!(explained(broken)),
    }
}

fn explained(broken: Broken) -> Problem {
    let hint = format!(
        "`cargo xtask production logs {}` shows what it printed",
        broken.service
    );
    broken.problem.hint(hint)
}
