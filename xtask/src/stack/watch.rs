//! One wait for a stack that Compose starts: what is looked at, and how it is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::desired::Role;
use super::not_ready::NotReady;
use super::readiness::{self, Progress, STOPPED, Snapshot, Starter};
use super::wait::Ended;
use super::{Stack, era};
use crate::docker::Docker;
use crate::docker::events::Woken;
use crate::docker::inspect::Container;
use crate::docker::invocation::Change;
use crate::system::clock;
use crate::terminal::progress::LiveLines;
use crate::terminal::progress::layout::{Row, Stage, Standing};

/// The command that starts the services.
pub enum ChangeState<'a> {
    Running(Change<'a>),
    Succeeded,
    /// With what it said.
    Failed(String),
}

/// Starts the services that it is told.
pub type Start<'a> = dyn Fn(&[&str]) -> anyhow::Result<Change<'a>> + 'a;

/// One wait, from look to look.
pub struct Watch<'a> {
    pub stack: &'a Stack,
    pub docker: &'a Docker,
    pub awaited: &'a BTreeSet<String>,
    pub observed: BTreeMap<String, Container>,
    /// The services whose containers from before are to be replaced.
    pub leaving: BTreeSet<String>,
    pub change: ChangeState<'a>,
    /// Starts services once more; `None` when it has.
    pub start_again: Option<&'a Start<'a>>,
    pub lines: LiveLines,
    /// Seconds from the beginning at which each service became ready.
    pub reached: BTreeMap<String, f64>,
    pub begin: Instant,
}

impl Watch<'_> {
    /// Looks at what may have changed, and shows it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn look(&mut self, woken: &Woken) -> anyhow::Result<(Snapshot, Starter)> {
        let has_just_ended = self.settle_change()?;
        match woken {
            // What was seen before the end may be of containers that Compose has replaced.
            _ if has_just_ended => self.look_at_all()?,
            Woken::Changed(ids) => self.look_at(ids)?,
            Woken::Everything | Woken::TimedOut => self.look_at_all()?,
        }
        let snapshot = self.snapshot();
        self.show(&snapshot);
        self.start_stopped(&snapshot)?;
        Ok((snapshot, self.starter()))
    }

    /// Starts what has stopped after Compose saw it running: a command that was killed may have told the
    /// engine to stop it, which takes up to ten seconds, and nobody else would start it.
    fn start_stopped(&mut self, snapshot: &Snapshot) -> anyhow::Result<()> {
        let stopped = snapshot.rows.iter().filter(|(name, progress)| {
            let role = self.stack.desired.role(name);
            *progress == STOPPED && role == Role::LongRunning
        });
        let stopped: Vec<&str> = stopped.map(|(name, _)| name.as_str()).collect();
        if stopped.is_empty() || !matches!(self.change, ChangeState::Succeeded) {
            return Ok(());
        }
        if let Some(start) = self.start_again.take() {
            self.change = ChangeState::Running(start(&stopped)?);
        }
        Ok(())
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

    /// What is known of those that did not become ready.
    pub fn not_ready(self, ended: Ended, snapshot: &Snapshot, timeout: u64) -> NotReady {
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
