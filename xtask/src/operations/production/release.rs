//! From a release that is planned to one that runs: prepare, roll out, prove, record; or back to the one
//! before it.

use std::time::Duration;

use anyhow::{Context, bail};

use super::{migration, prove, topology};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::jobs::Job;
use crate::swarm::lock::SwarmLock;
use crate::swarm::operation::Mark;
use crate::swarm::release::Release;
use crate::swarm::stackfile::StackFile;
use crate::swarm::watch::{Broken, Others, Patience};
use crate::terminal::{self, say};

/// What answers requests or takes tasks: it must not run before the databases are prepared for it.
pub const APPLICATIONS: [&str; 3] = ["umami", "glitchtip-web", "glitchtip-worker"];

/// The job that makes roles and their passwords what the secrets say.
const ROLES: &str = "postgres-init";

/// A migration of a large database takes its time.
const JOB_TIMEOUT: Duration = Duration::from_secs(1800);

/// The first deployment has nothing to go back to, and is watched for this long at most.
const FIRST_WATCH: Duration = Duration::from_secs(10);

/// The scripts of operations are in PostgreSQL's image.
const BUILD_AGAIN: &str = "if mark.sh is not found, the image of PostgreSQL is older than this checkout: build it again with \
                           `docker build --tag analytics-postgres:15 deploy/production/postgres`";

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
    /// A failure within this time after the update belongs to it.
    pub watch: Duration,
    /// The id of the node whose engine is asked.
    pub here: &'a str,
}

impl Rollout<'_> {
    /// Does all of it. The caller holds the lock; secrets, configs and images are there.
    ///
    /// # Errors
    /// When the release does not work: the previous one runs again then, where there is one.
    pub fn carry_out(&self) -> anyhow::Result<()> {
        if let Err(error) = self.prepare_database() {
            return Err(self.gone_back(&error, None));
        }
        let mark = self.mark()?;
        if let Err(error) = run_jobs(self.swarm, self.release, self.order) {
            if let Err(error) = self.put_passwords_back() {
                terminal::say_warning(&Problem::of(&error));
            }
            return Err(self.gone_back(&error, mark.as_ref()));
        }
        if let Err(error) = self.roll_out() {
            if let Some(way_back) = mark.as_ref().and_then(Mark::way_back) {
                say!(
                    "the databases stay as the jobs have left them; `{way_back}` undoes that, with all that was written since"
                );
            }
            return Err(error);
        }
        self.swarm.record(&Release {
            mark,
            ..self.release.clone()
        })
    }

    /// A point to go back to, before the jobs change the databases. A job cannot make one where the databases are on
    /// three nodes: it may run beside a copy.
    fn mark(&self) -> anyhow::Result<Option<Mark>> {
        if self.release.stack.has_members() {
            return Ok(None);
        }
        let name = format!("release-{}", self.release.number);
        let marked: anyhow::Result<Mark> = self.swarm.operate(self.release, "mark", &name);
        let mark = marked.context(
            Problem::new("no point to go back to could be made, so nothing was replaced")
                .hint(BUILD_AGAIN),
        )?;
        if let Some(at) = &mark.at {
            say!("marked the databases as {name}, {at} UTC");
        }
        Ok(Some(mark))
    }

    /// Brings the database to where the release has it, and starts it where it does not run.
    fn prepare_database(&self) -> anyhow::Result<()> {
        let stack = &self.release.stack;
        topology::change(self.swarm, stack, self.previous, self.timeout)?;
        let runs = self.swarm.services()?.contains_key(stack.database());
        let moved = self
            .previous
            .is_some_and(|it| it.stack.has_members() != stack.has_members());
        if self.previous.is_none() || !runs || moved {
            self.lay_foundation()?;
        }
        Ok(())
    }

    /// What is said of a release that ends before anything but the database was replaced. Where that was moved, it
    /// goes back to where the release before has it.
    fn gone_back(&self, error: &anyhow::Error, mark: Option<&Mark>) -> anyhow::Error {
        let moved = self
            .previous
            .filter(|it| it.stack.has_members() != self.release.stack.has_members());
        if let Some(previous) = moved {
            say!("moving the database back");
            if let Err(back) = roll_back(self.swarm, previous, self.timeout) {
                terminal::say_warning(&Problem::of(&back));
            }
        }
        self.unprepared(error, mark)
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

    fn unprepared(&self, error: &anyhow::Error, mark: Option<&Mark>) -> anyhow::Error {
        let problem = Problem::of(error);
        let problem = match mark {
            Some(mark) => migration::explain(problem, &self.swarm.name, mark),
            None => problem,
        };
        let rest = match self.previous {
            // Each member was renewed while another served.
            Some(previous) if self.release.stack.has_members() => format!(
                "release {} runs on, with what was renewed of its database",
                previous.number
            ),
            Some(previous) => format!("release {} runs on, unchanged", previous.number),
            None => "nothing was started that needs it".to_owned(),
        };
        let hint = match (&problem.hint, mark.and_then(Mark::way_back)) {
            (Some(way_out), _) => way_out.clone(),
            (None, Some(way_back)) => format!(
                "correct the cause, then repeat `cargo xtask production deploy`; `{way_back}` undoes what the jobs have \
                 changed, with all that was written since"
            ),
            (None, None) => {
                "correct the cause, then repeat `cargo xtask production deploy`".to_owned()
            }
        };
        let what = format!("{}; {rest}", problem.what);
        Problem { what, ..problem }.hint(hint).into()
    }

    fn roll_out(&self) -> anyhow::Result<()> {
        say!("rolling out release {}", self.release.number);
        let settle = match self.previous {
            Some(_) => self.watch,
            None => self.watch.min(FIRST_WATCH),
        };
        let broken = match self.bring(&self.release.stack, Others::Go, settle)? {
            Ok(()) => match prove::run(self.swarm, &self.release.stack, self.here) {
                Ok(()) => return Ok(()),
                Err(error) => Problem::of(&error),
            },
            Err(broken) => explained(broken),
        };
        let Some(previous) = self.previous else {
            bail!(broken);
        };
        say!("rolling back to release {}", previous.number);
        let put_back = self.put_passwords_back();
        let rolled = roll_back(self.swarm, previous, self.timeout);
        put_back.and(rolled).map_err(|error| {
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

    /// Makes the passwords of the databases those of the previous release again, where the jobs may have changed
    /// them: it logs in with its own.
    fn put_passwords_back(&self) -> anyhow::Result<()> {
        match self.previous {
            Some(previous) if !previous.has_secrets_of(self.release) => {
                set_passwords(self.swarm, previous)
            }
            Some(_) | None => Ok(()),
        }
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

/// Runs the jobs of a release, one after the other in this order.
///
/// # Errors
/// The first that fails.
pub fn run_jobs(swarm: &Swarm, release: &Release, order: &[String]) -> anyhow::Result<()> {
    let stack = format!("{}-jobs", swarm.name);
    for name in order {
        say!("running {name}");
        swarm.run_job(&Job {
            stack: &stack,
            file: &release.jobs,
            name,
            timeout: JOB_TIMEOUT,
        })?;
    }
    Ok(())
}

/// Makes the roles of the databases and their passwords what a release's secrets say.
fn set_passwords(swarm: &Swarm, release: &Release) -> anyhow::Result<()> {
    let job = Job {
        stack: &format!("{}-jobs", swarm.name),
        file: &release.jobs,
        name: ROLES,
        timeout: JOB_TIMEOUT,
    };
    let number = release.number;
    let set = swarm.run_job(&job).map(drop);
    set.with_context(|| format!("setting the databases' passwords to those of release {number}"))
}

/// Makes the content of an older release run again as `release`, and records it; if that does not work, what is
/// `present` runs on. How long it may take, and the id of the node whose engine is asked, are `limits`.
///
/// # Errors
/// When it does not work any more.
pub fn go_back(
    lock: &SwarmLock,
    present: &Release,
    release: &Release,
    (timeout, here): (Duration, &str),
) -> anyhow::Result<()> {
    let swarm = lock.swarm();
    // Passwords that have changed since are to be those that its secrets have.
    set_passwords(swarm, release)?;
    let went = roll_back(swarm, release, timeout).and_then(|()| {
        // What it is made of was proven once; that it is served is to be seen again.
        prove::run(swarm, &release.stack, here)
    });
    if let Err(error) = went {
        say!("going forth to release {} again", present.number);
        let forth = set_passwords(swarm, present).and(roll_back(swarm, present, timeout));
        forth.context("going back failed, and so did making the present release run again")?;
        let number = present.number;
        return Err(error.context(format!("going back failed; release {number} runs again")));
    }
    swarm.record(release)
}

/// Makes a release that was seen to work run again.
///
/// # Errors
/// When it does not work any more.
pub fn roll_back(swarm: &Swarm, release: &Release, timeout: Duration) -> anyhow::Result<()> {
    topology::change(swarm, &release.stack, None, timeout)?;
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
