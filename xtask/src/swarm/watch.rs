//! Deploying a stack file, and watching what the swarm makes of it until it is well or will not be.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::Swarm;
use super::inspect::{Service, Task};
use super::rollout::{Before, Cause, Progress};
use super::stackfile::StackFile;
use crate::problem::Problem;
use crate::terminal::progress::LiveLines;
use crate::terminal::progress::layout::{Row, Stage, Standing};
use crate::terminal::text::render_duration;

/// The swarm tells nothing by itself, so it is asked this often.
const GLANCE: Duration = Duration::from_millis(500);

/// The swarm takes this long to begin an update, at most.
const BEGIN: Duration = Duration::from_secs(3);

/// How long a task may be without a place: one that leaves may hold its port until it has ended.
const STUCK: Duration = Duration::from_secs(45);

/// PostgreSQL may take two minutes to stop.
const STOP: Duration = Duration::from_secs(180);

/// How long a swarm may not answer: another manager has to be elected meanwhile.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a rollout may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until all is well.
    pub timeout: Duration,
    /// How long all must then stay well.
    pub settle: Duration,
}

/// Whether services that the file does not have are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    Stay,
    Go,
}

/// A service that did not get well.
#[derive(Debug)]
pub struct Broken {
    pub service: String,
    pub problem: Problem,
}

impl Swarm {
    /// What there is before a deployment.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn before(&self) -> anyhow::Result<Before> {
        let services = self.services()?;
        let tasks = self.tasks_among(&services)?;
        Ok(Before::new(&services, &tasks))
    }

    /// Gives a stack file to the swarm, as the stack `name`. Returns before anything of it is done.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn deploy(&self, name: &str, file: &StackFile, others: Others) -> anyhow::Result<()> {
        let mut deploy = self.docker.docker().args(["stack", "deploy"]);
        if others == Others::Go {
            deploy = deploy.arg("--prune");
        }
        // Images have been resolved; the registry's credentials go to the nodes.
        let options = ["--resolve-image", "never", "--with-registry-auth"];
        let mut pipe = deploy
            .args(options)
            .args(["--compose-file", "-", name])
            .pipe()?;
        let text = file.render();
        pipe.write(|stdin| Ok(stdin.write_all(text.as_bytes())?))?;
        pipe.finish().map(drop)
    }

    /// Ends all tasks of some services, until the stack is deployed again.
    ///
    /// Not by `docker service update --force`: that writes mounts down in another order, so that the next
    /// deployment would take the service for another one and restart it once more (docker 26.1, 2026-11-25).
    ///
    /// # Errors
    /// When they have not ended after three minutes.
    pub fn stop(&self, services: &[&str]) -> anyhow::Result<()> {
        let names = services.iter().map(|name| format!("{}_{name}", self.name));
        let names: Vec<String> = names.collect();
        let none = names.iter().map(|name| format!("{name}=0"));
        let scale = self.docker.docker().args(["service", "scale", "--detach"]);
        scale.args(none).text()?;
        let begin = Instant::now();
        loop {
            let tasks = self.tasks_of(&names)?;
            let Some(task) = tasks.iter().find(|task| task.status.state == "running") else {
                return Ok(());
            };
            if begin.elapsed() > STOP {
                bail!("the task {} has not ended after three minutes", task.id);
            }
            thread::sleep(GLANCE);
        }
    }

    /// Waits until every service of a stack file is well, and has stayed so.
    /// `Err` within is the first that will not be.
    ///
    /// # Errors
    /// When the swarm does not answer for a minute.
    pub fn watch(
        &self,
        file: &StackFile,
        before: &Before,
        patience: Patience,
    ) -> anyhow::Result<Result<(), Broken>> {
        let mut watch = Watch {
            names: file.services(),
            before,
            begin: Instant::now(),
            well_since: None,
            stuck: BTreeMap::new(),
            shown: LiveLines::new(),
        };
        let mut answered = Instant::now();
        loop {
            let look = self.services().and_then(|services| {
                let tasks = self.tasks_among(&services)?;
                Ok((services, tasks))
            });
            match look {
                Ok((services, tasks)) => {
                    answered = Instant::now();
                    match watch.look(&services, &tasks, patience) {
                        Verdict::Wait => {}
                        Verdict::Well => {
                            watch.shown.finish();
                            return Ok(Ok(()));
                        }
                        Verdict::Broken(service, cause) => {
                            watch.shown.finish();
                            let problem = self.explain(&service, &cause);
                            return Ok(Err(Broken { service, problem }));
                        }
                    }
                }
                Err(error) if answered.elapsed() > SILENCE => return Err(error),
                Err(_) => {}
            }
            thread::sleep(GLANCE);
        }
    }

    /// A cause with the last lines of the task that shows it.
    fn explain(&self, service: &str, cause: &Cause) -> Problem {
        let problem = Problem::new(format!("{service} failed: {}", cause.reason));
        let source = match &cause.task {
            Some(task) => task.clone(),
            None => format!("{}_{service}", self.name),
        };
        match self.last_lines(&source) {
            lines if lines.is_empty() => problem,
            lines => problem.evidence(lines),
        }
    }

    /// The last lines that a service, or a task, has printed, without secrets; empty where there are none.
    pub fn last_lines(&self, source: &str) -> String {
        let logs = [
            "service",
            "logs",
            "--raw",
            "--no-trunc",
            "--tail",
            "15",
            source,
        ];
        let Ok(output) = self.docker.docker().args(logs).output() else {
            return String::new();
        };
        let text = [output.stdout, output.stderr].concat();
        self.docker.redact(String::from_utf8_lossy(&text).trim())
    }
}

/// What is known while watching.
struct Watch<'a> {
    names: Vec<&'a str>,
    before: &'a Before,
    begin: Instant,
    /// Since when everything is.
    well_since: Option<Instant>,
    /// Since when a service has a task without a place.
    stuck: BTreeMap<String, Instant>,
    shown: LiveLines,
}

enum Verdict {
    Wait,
    Well,
    Broken(String, Cause),
}

impl Watch<'_> {
    fn look(
        &mut self,
        services: &BTreeMap<String, Service>,
        tasks: &[Task],
        patience: Patience,
    ) -> Verdict {
        let progress = |name: &&str| {
            let missing = || Progress::Waiting("not there yet".to_owned());
            let service = services.get(*name);
            let progress = service.map(|it| self.before.progress(name, it, tasks));
            ((*name).to_owned(), progress.unwrap_or_else(missing))
        };
        let all: Vec<(String, Progress)> = self.names.iter().map(progress).collect();
        self.shown.show(all.iter().map(row).collect());

        for (name, progress) in &all {
            if let Some(cause) = self.broken(name, progress, patience) {
                return Verdict::Broken(name.clone(), cause);
            }
        }
        if all.iter().any(|(_, progress)| *progress != Progress::Ready) {
            self.well_since = None;
            return Verdict::Wait;
        }
        let well_since = *self.well_since.get_or_insert_with(Instant::now);
        // Also where nothing seems to have changed: a killed deployment may just have changed it.
        if self.begin.elapsed() < BEGIN || well_since.elapsed() < patience.settle {
            return Verdict::Wait;
        }
        Verdict::Well
    }

    /// Why a service will not get well.
    fn broken(&mut self, name: &str, progress: &Progress, patience: Patience) -> Option<Cause> {
        let because = |reason: String| Some(Cause { reason, task: None });
        let is_late = self.well_since.is_none() && self.begin.elapsed() > patience.timeout;
        let after = render_duration(patience.timeout.as_secs());
        if !matches!(progress, Progress::Stuck(_)) {
            self.stuck.remove(name);
        }
        match progress {
            Progress::Ready => None,
            Progress::Failed(cause) => Some(cause.clone()),
            Progress::Stuck(reason) => {
                let since = self
                    .stuck
                    .entry(name.to_owned())
                    .or_insert_with(Instant::now);
                let is_over = since.elapsed() > STUCK || is_late;
                is_over.then(|| because(format!("no node can run it: {reason}")))?
            }
            Progress::Waiting(state) if is_late => {
                because(format!("it is not healthy after {after}: {state}"))
            }
            Progress::Waiting(_) => None,
        }
    }
}

fn row((name, progress): &(String, Progress)) -> Row {
    let (standing, word, note) = match progress {
        Progress::Waiting(state) => (Standing::Waiting, state.clone(), String::new()),
        Progress::Stuck(reason) => (Standing::Waiting, "waiting".to_owned(), reason.clone()),
        Progress::Ready => (Standing::Reached, "healthy".to_owned(), String::new()),
        Progress::Failed(cause) => (Standing::Failed, "failed".to_owned(), cause.reason.clone()),
    };
    Row {
        name: name.clone(),
        standing,
        stage: Stage::State { word, note },
    }
}
