//! The stack on one machine, run by Compose: what it should be, what it is, and the way from one to the
//! other.
//!
//! Must never explain, ask, or touch a backup: what is not ready is returned as data.

pub mod desired;
mod era;
pub mod holder;
pub mod images;
mod order;
pub mod readiness;
pub mod wait;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::docker::Docker;
use crate::docker::events::{Events, Woken};
use crate::docker::inspect::Container;
use crate::docker::invocation::Change;
use crate::problem::Problem;
use crate::session::Session;
use crate::system::clock;
use crate::system::interrupt::Interrupt;
use crate::terminal::progress::LiveLines;
use crate::terminal::progress::layout::{Row, Stage, Standing};
use crate::terminal::{self, say};
use desired::{Config, Variables};
use readiness::{Progress, Snapshot, Starter};
use wait::{Ended, Wake};

/// What should run, and what does.
pub struct Stack {
    pub desired: Config,
    hashes: BTreeMap<String, String>,
    /// The containers as they were when they were looked at, by service.
    pub observed: BTreeMap<String, Container>,
}

/// Services that were to become ready and did not.
#[derive(Debug)]
pub struct NotReady {
    pub ended: Ended,
    /// Those that have failed, else those that are still awaited.
    pub rows: Vec<(String, Progress)>,
    /// The containers at the last look, by service.
    pub containers: BTreeMap<String, Container>,
    /// What the command that starts them said; empty unless it failed.
    pub said: String,
    /// Seconds that were waited at most.
    pub timeout: u64,
}

impl Stack {
    /// Looks at everything at once.
    ///
    /// # Errors
    /// When there is no usable engine, or Compose refuses the configuration.
    pub fn read(docker: &Docker) -> anyhow::Result<Stack> {
        let config = docker.compose().arg("config").start()?;
        let hashes = docker.compose().args(["config", "--hash", "*"]).start()?;
        docker.check_engine()?;
        let desired = Config::parse(&config.finish().with_context(|| refused_config(docker))?)?;
        let hashes = desired::parse_hashes(&hashes.finish()?);
        let observed = docker.containers(&desired.name)?;
        Ok(Stack {
            desired,
            hashes,
            observed,
        })
    }

    /// Whether every service is as the configuration wants it, made from the image that its name means now.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn is_current(&self, docker: &Docker) -> anyhow::Result<bool> {
        if !self
            .desired
            .services
            .keys()
            .all(|name| self.is_as_desired(name))
        {
            return Ok(false);
        }
        let images = docker.images(self.desired.images())?;
        let is_current = |(name, container): (&String, &Container)| {
            let service = self.desired.services.get(name);
            service.is_some_and(|it| images.get(&it.image) == Some(&container.image))
        };
        Ok(self.observed.iter().all(is_current))
    }

    fn is_as_desired(&self, service: &str) -> bool {
        let hash = self.hashes.get(service).map(String::as_str);
        let container = self.observed.get(service);
        container.is_some_and(|it| Some(it.config_hash()) == hash) && self.are_ready(&[service])
    }

    /// Whether these services are as they should be.
    pub fn are_ready(&self, services: &[&str]) -> bool {
        services.iter().all(|&name| {
            self.observed.get(name).is_some_and(|container| {
                let role = self.desired.role(name);
                let progress = readiness::progress(container, role, None, clock::now());
                matches!(progress, Progress::Ready(_))
                    && !self.desired.has_other_volume(name, container)
            })
        })
    }

    /// The ids of the images that the containers were made from, by the names that the configuration
    /// still has.
    pub fn images(&self) -> BTreeMap<String, String> {
        let made_from = |(name, service): (&String, &desired::Service)| {
            let container = self.observed.get(name);
            let container = container.filter(|it| it.config.image == service.image)?;
            Some((service.image.clone(), container.image.clone()))
        };
        self.desired.services.iter().filter_map(made_from).collect()
    }

    /// Starts what `arguments` (of `compose up`) name and waits until all of `awaited` is ready.
    ///
    /// # Errors
    /// [`NotReady`], as soon as a service has failed or the session's timeout is over.
    pub fn apply(
        &self,
        session: &Session,
        arguments: &[&str],
        awaited: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let interrupt = Interrupt::catch()?;
        // Compose does not see a volume that has got another name.
        self.remove_with_other_volumes(session, awaited)?;

        let events = Events::listen(&session.docker, &self.desired.name)?;
        let up = session
            .docker
            .compose()
            .args(["--progress", "plain", "up", "--detach"]);
        let change = up
            .args(arguments)
            .holding(&session.lock)
            .start_watched(events.waker())?;
        let observed = session.docker.containers(&self.desired.name)?;
        let leaving = self.leaving(&session.docker, arguments)?;
        let mut watch = Watch {
            stack: self,
            docker: &session.docker,
            awaited,
            observed,
            leaving,
            change: ChangeState::Running(change),
            lines: LiveLines::new(),
            reached: BTreeMap::new(),
            begin,
        };
        let wake = |limit| match events.wait(limit) {
            _ if interrupt.is_pressed() => Wake::Interrupted,
            woken => Wake::Look(woken),
        };
        let look = |woken| watch.look(&woken);
        let (ended, snapshot) = wait::until_ready(Woken::Everything, look, wake, session.timeout)?;
        watch.lines.finish();

        if ended == Ended::Ready {
            let (count, seconds) = (snapshot.rows.len(), begin.elapsed().as_secs_f64());
            let (green, reset) = (terminal::GREEN, terminal::RESET);
            let what = match snapshot.rows.as_slice() {
                [(name, _)] => format!("{name} is healthy"),
                _ => format!("all {count} services are healthy"),
            };
            say!("{green}started: {what}{reset} ({seconds:.1} s)");
            return Ok(());
        }
        bail!(watch.not_ready(ended, &snapshot, session.timeout.as_secs()))
    }

    /// The services whose containers Compose is going to replace.
    fn leaving(&self, docker: &Docker, arguments: &[&str]) -> anyhow::Result<BTreeSet<String>> {
        let wanted = era::Wanted {
            config: &self.desired,
            hashes: &self.hashes,
            images: &docker.images(self.desired.images())?,
            arguments,
        };
        Ok(wanted.leaving(&self.observed))
    }

    /// Removes containers that hold another volume than the configuration names, so that Compose makes
    /// them anew.
    fn remove_with_other_volumes(
        &self,
        session: &Session,
        awaited: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let has_other = |(name, container): &(&String, &Container)| {
            awaited.contains(*name) && self.desired.has_other_volume(name, container)
        };
        let misplaced: Vec<&String> = self
            .observed
            .iter()
            .filter(has_other)
            .map(|(name, _)| name)
            .collect();
        if !misplaced.is_empty() {
            let remove = session.docker.compose().args(["rm", "--stop", "--force"]);
            remove.args(misplaced).holding(&session.lock).text()?;
        }
        Ok(())
    }

    /// The variables of `.env` by which each service can be changed; none where Compose cannot say.
    pub fn variables(docker: &Docker) -> BTreeMap<String, Variables> {
        let yaml = docker.compose().args(["config", "--no-interpolate"]).text();
        yaml.map(|yaml| desired::parse_variables(&yaml))
            .unwrap_or_default()
    }
}

/// The configuration as Compose resolves it from the compose file, its override and `.env`.
///
/// # Errors
/// When Compose refuses it.
pub fn read_config(docker: &Docker) -> anyhow::Result<Config> {
    Config::parse(
        &docker
            .compose()
            .arg("config")
            .text()
            .with_context(|| refused_config(docker))?,
    )
}

/// Compose names neither the variable that it means nor its line, and not always the file.
fn refused_config(docker: &Docker) -> Problem {
    docker.refused_value().unwrap_or_else(|| {
        Problem::new(
            "Compose does not accept docker-compose.yml, docker-compose.override.yml or .env in \
             deploy/analytics",
        )
        .hint(
            "`cargo xtask doctor` says which value is wrong; `cargo xtask setup` adds what is \
             missing",
        )
    })
}

/// The command that starts the services.
enum ChangeState<'a> {
    Running(Change<'a>),
    Succeeded,
    /// With what it said.
    Failed(String),
}

/// One wait, from look to look.
struct Watch<'a> {
    stack: &'a Stack,
    docker: &'a Docker,
    awaited: &'a BTreeSet<String>,
    observed: BTreeMap<String, Container>,
    /// The services whose containers from before are to be replaced.
    leaving: BTreeSet<String>,
    change: ChangeState<'a>,
    lines: LiveLines,
    /// Seconds from the beginning at which each service became ready.
    reached: BTreeMap<String, f64>,
    begin: Instant,
}

impl Watch<'_> {
    fn look(&mut self, woken: &Woken) -> anyhow::Result<(Snapshot, Starter)> {
        let has_just_ended = self.settle_change()?;
        match woken {
            // What was seen before the end may be of containers that Compose has replaced.
            _ if has_just_ended => self.look_at_all()?,
            Woken::Changed(ids) => self.look_at(ids)?,
            Woken::Everything | Woken::TimedOut => self.look_at_all()?,
        }
        let snapshot = self.snapshot();
        self.show(&snapshot);
        Ok((snapshot, self.starter()))
    }

    fn starter(&self) -> Starter {
        match self.change {
            ChangeState::Running(_) => Starter::Running,
            ChangeState::Succeeded => Starter::Succeeded,
            ChangeState::Failed(_) => Starter::Failed,
        }
    }

    /// Takes note of the end of the command; returns whether it has ended since the last look.
    fn settle_change(&mut self) -> anyhow::Result<bool> {
        let ChangeState::Running(change) = &mut self.change else {
            return Ok(false);
        };
        if !change.has_ended()? {
            return Ok(false);
        }
        let ended = std::mem::replace(&mut self.change, ChangeState::Succeeded);
        if let ChangeState::Running(change) = ended
            && let Err(failure) = change.finish()
        {
            self.change = ChangeState::Failed(failure.stderr);
        }
        Ok(true)
    }

    fn look_at_all(&mut self) -> anyhow::Result<()> {
        self.observed = self.docker.containers(&self.stack.desired.name)?;
        Ok(())
    }

    /// Looks again at the containers with these ids; at all when one of them is not known.
    fn look_at(&mut self, ids: &BTreeSet<String>) -> anyhow::Result<()> {
        let is_known = |id: &String| self.observed.values().any(|container| container.id == *id);
        if !ids.iter().all(is_known) {
            return self.look_at_all();
        }
        let changed = self
            .docker
            .inspect(ids.iter().map(String::as_str))?
            .into_iter();
        self.observed
            .retain(|_, container| !ids.contains(&container.id));
        self.observed
            .extend(changed.map(|it| (it.service().to_owned(), it)));
        Ok(())
    }

    /// How far each service is, in the order of start.
    fn snapshot(&self) -> Snapshot {
        let names = self.stack.desired.in_start_order().into_iter();
        let awaited = names.filter(|name| self.awaited.contains(*name));
        Snapshot {
            rows: awaited
                .map(|name| (name.to_owned(), self.progress(name)))
                .collect(),
        }
    }

    fn progress(&self, service: &str) -> Progress {
        let Some(container) = self.observed.get(service) else {
            return Progress::Waiting("waiting");
        };
        let before = self.stack.observed.get(service);
        let role = self.stack.desired.role(service);
        let progress = readiness::progress(container, role, before, clock::now());
        let era = era::era(container, before, &self.leaving);
        era::in_this_change(progress, era, role, self.starter())
    }

    /// A row a service; a state that will stay carries the time at which it was reached.
    fn show(&mut self, snapshot: &Snapshot) {
        let elapsed = self.begin.elapsed().as_secs_f64();
        let mut row = |(name, progress): &(String, Progress)| {
            let (standing, note) = match progress {
                Progress::Ready("unchanged") => (Standing::Unchanged, String::new()),
                Progress::Ready(_) => {
                    let at = *self.reached.entry(name.clone()).or_insert(elapsed);
                    (Standing::Reached, format!("{at:5.1} s"))
                }
                Progress::Waiting(_) => (Standing::Waiting, String::new()),
                Progress::Failed(_) => (Standing::Failed, String::new()),
            };
            if !matches!(progress, Progress::Ready(_)) {
                self.reached.remove(name);
            }
            Row {
                name: name.clone(),
                standing,
                stage: Stage::State {
                    word: progress.to_string(),
                    note,
                },
            }
        };
        let rows = snapshot.rows.iter().map(&mut row).collect();
        self.lines.show(rows);
    }

    fn not_ready(self, ended: Ended, snapshot: &Snapshot, timeout: u64) -> NotReady {
        let rows = match ended {
            Ended::ServiceFailed => snapshot.failed().cloned().collect(),
            _ => snapshot.waiting().cloned().collect(),
        };
        let said = match self.change {
            // What a failed service has to say is more precise.
            ChangeState::Failed(said) if ended == Ended::StarterFailed => said,
            _ => String::new(),
        };
        NotReady {
            ended,
            rows,
            containers: self.observed,
            said,
            timeout,
        }
    }
}

impl NotReady {
    /// The same as an error that says what to do.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.to_string());
        match self.ended {
            Ended::TimedOut => {
                let longer = self.timeout * 2;
                problem.hint(format!(
                    "wait longer with `cargo xtask up --timeout {longer}`"
                ))
            }
            Ended::Interrupted => problem.hint(
                "`cargo xtask up` continues from here, `cargo xtask down` stops what was started",
            ),
            _ => problem,
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.rows.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        match self.ended {
            Ended::TimedOut => {
                write!(f, "not healthy after {} s: {names}", self.timeout)
            }
            Ended::Interrupted => f.write_str("interrupted while waiting for the services"),
            Ended::StarterFailed => f.write_str("`docker compose up` failed"),
            Ended::ServiceFailed | Ended::Ready => {
                write!(f, "the stack did not become healthy: {names} failed")
            }
        }
    }
}

impl std::error::Error for NotReady {}
