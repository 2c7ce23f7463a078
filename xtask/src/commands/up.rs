//! `up`: from whatever is there to a healthy stack. Never changes data; what is right already stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::{Outcome, doctor, hosts, restore, rotate, setup, upgrade};
use crate::diagnosis;
use crate::docker::inspect::{Container, Progress, Reason};
use crate::docker::versions::Trouble;
use crate::docker::{Change, Docker, REFUSED_CONFIG};
use crate::stack::desired::{self as compose, Config};
use crate::system::{self, Lock};
use crate::terminal::text::render_table;
use crate::terminal::{self, LiveLines, say};

pub fn run(project: &Checkout, verbose: bool, options: &cli::Up) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    let had_env_file = project.env_file().exists();
    setup::ensure_env_file(project)?;
    let docker = Docker::new(project, verbose)?;
    restore::finish_interrupted(project, &docker, &lock)?;
    rotate::finish_interrupted(project, verbose, &lock, options.wait.timeout)?;
    upgrade::finish_interrupted(project, &docker, &lock, options.wait.timeout)?;
    let stack = match Stack::read(&docker) {
        Err(error) => {
            mend_engine(&docker, error)?;
            Stack::read(&docker)?
        }
        stack => stack?,
    };
    if !had_env_file {
        mention_older_data(&docker, &stack.config)?;
    }
    if !options.pull && stack.is_up_to_date(&docker)? {
        say!("everything runs already, with this configuration");
        return finish(project, &stack.config);
    }
    doctor::preflight(project, &docker, &stack.config)?;
    if options.pull {
        docker
            .stream_progress(docker.compose().args(["pull", "--ignore-buildable"]), &lock)
            .map_err(|error| diagnosis::explain_failure(&docker, &stack.config, error))?;
    } else {
        ensure_images(&docker, &stack.config, &lock)?;
    }
    let everything = stack.config.services.keys().cloned().collect();
    stack.converge(
        &docker,
        &lock,
        &[],
        &everything,
        Duration::from_secs(options.wait.timeout),
    )?;
    finish(project, &stack.config)
}

fn finish(project: &Checkout, config: &Config) -> anyhow::Result<Outcome> {
    print_endpoints(config)?;
    hosts::mention(project);
    say!(
        "the users are admin in Umami and ADMIN_EMAIL in GlitchTip; the passwords are in {}\n\
         next: `cargo xtask verify` proves that events arrive, `cargo xtask connect` prints what the website needs",
        project.display(&project.env_file())
    );
    Ok(Outcome::Done)
}

/// A new `.env` beside data that knows other passwords is the classic way to lock oneself out.
fn mention_older_data(docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let volumes = docker
        .start_names(&["volume", "ls"], "{{.Name}}", &config.name)?
        .finish()?;
    if !volumes.is_empty() {
        say!(
            "there is data from before this .env, in {}: this start gives the databases the new passwords; \
             nothing is lost but sessions, and the applications keep the logins that they have",
            volumes.lines().collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}

/// On a terminal, offers to mend an engine that is missing: so that `up` is all there is to type.
///
/// # Errors
/// The one that was given, if nothing was done about it.
fn mend_engine(docker: &Docker, error: anyhow::Error) -> anyhow::Result<()> {
    match error.downcast_ref::<Trouble>() {
        Some(trouble)
            if terminal::is_interactive() && doctor::fix_engine(docker, trouble, false)? =>
        {
            Ok(())
        }
        _ => Err(error),
    }
}

/// What should run, and what does.
pub struct Stack {
    pub config: Config,
    hashes: BTreeMap<String, String>,
    containers: BTreeMap<String, Container>,
}

impl Stack {
    /// Looks at everything at once.
    ///
    /// # Errors
    /// When there is no usable engine, or Compose refuses the configuration.
    pub fn read(docker: &Docker) -> anyhow::Result<Stack> {
        let config = docker.start_config()?;
        let hashes = docker.start(docker.compose().args(["config", "--hash", "*"]))?;
        docker.check_engine()?;
        let config = Config::parse(&config.finish().context(REFUSED_CONFIG)?)?;
        let hashes = compose::parse_hashes(&hashes.finish()?);
        let containers = docker.containers(&config.name)?;
        Ok(Stack {
            config,
            hashes,
            containers,
        })
    }

    /// Whether every service is as the configuration wants it, made from the image that its name means now.
    pub fn is_up_to_date(&self, docker: &Docker) -> anyhow::Result<bool> {
        let is_right = |(name, _): (&String, _)| {
            self.containers.get(name).is_some_and(|container| {
                Some(container.config_hash()) == self.hashes.get(name).map(String::as_str)
                    && !self.config.has_other_volume(name, container)
                    && matches!(
                        container.progress(self.config.is_one_shot(name), None),
                        Progress::Ready(_)
                    )
            })
        };
        if !self.config.services.iter().all(is_right) {
            return Ok(false);
        }
        let images = docker.images(
            self.config
                .services
                .values()
                .map(|service| service.image.as_str()),
        )?;
        let is_current = |(name, container): (&String, &Container)| {
            self.config
                .services
                .get(name)
                .is_some_and(|service| images.get(&service.image) == Some(&container.image))
        };
        Ok(self.containers.iter().all(is_current))
    }

    /// The ids of the images that the containers were made from, by the names that the configuration still has.
    pub fn images(&self) -> BTreeMap<String, String> {
        let made_from = |(name, service): (&String, &compose::Service)| {
            let container = self
                .containers
                .get(name)
                .filter(|container| container.config.image == service.image)?;
            Some((service.image.clone(), container.image.clone()))
        };
        self.config.services.iter().filter_map(made_from).collect()
    }

    /// Whether these services are as they should be.
    pub fn are_ready(&self, services: &[&str]) -> bool {
        services.iter().all(|&name| {
            self.containers.get(name).is_some_and(|container| {
                matches!(
                    container.progress(self.config.is_one_shot(name), None),
                    Progress::Ready(_)
                ) && !self.config.has_other_volume(name, container)
            })
        })
    }

    /// Starts what `arguments` (of `compose up`) name and waits until all of `awaited` is ready.
    ///
    /// # Errors
    /// As soon as a service has failed, and when `timeout` is over: with what is known of each that is not ready.
    pub fn converge(
        &self,
        docker: &Docker,
        lock: &Lock,
        arguments: &[&str],
        awaited: &BTreeSet<String>,
        timeout: Duration,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let interrupted = system::catch_interrupt()?;
        let is_misplaced = |(name, container): &(&String, &Container)| {
            awaited.contains(*name) && self.config.has_other_volume(name, container)
        };
        let misplaced: Vec<&String> = self
            .containers
            .iter()
            .filter(is_misplaced)
            .map(|(name, _)| name)
            .collect();
        if !misplaced.is_empty() {
            docker
                .start_change(
                    docker
                        .compose()
                        .args(["rm", "--stop", "--force"])
                        .args(misplaced),
                    lock,
                )?
                .finish()?;
        }
        let events = docker.events(&self.config.name)?;
        let command = docker
            .compose()
            .args(["--progress", "plain", "up", "--detach"])
            .args(arguments);
        let mut change = Some(docker.start_watched_change(command, lock, &events)?);
        let mut lines = LiveLines::new();
        let mut reached = BTreeMap::new();
        let mut containers = docker.containers(&self.config.name)?;
        loop {
            let has_ended = match change.as_mut() {
                Some(change) => change.has_ended()?,
                None => true,
            };
            if has_ended && change.is_some() {
                // What was seen before the end may be of containers that Compose has replaced.
                docker.refresh(&mut containers, &self.config.name, &BTreeSet::new())?;
            }
            let progress = self.progress(awaited, &containers, has_ended);
            lines.show(render(&progress, &mut reached, begin));

            let failed = failed(&progress);
            if !failed.is_empty() {
                diagnosis::print(docker, &self.config, &containers, &failed, "")?;
                bail!(
                    "the stack did not become healthy: {} failed",
                    names(&failed)
                );
            }
            if system::is_interrupted(&interrupted) {
                bail!(
                    "interrupted; the containers stay as they are: `cargo xtask up` goes on, `cargo xtask down` stops them"
                );
            }
            if has_ended && let Some(Err(failure)) = change.take().map(Change::finish) {
                let waiting = waiting(&progress);
                diagnosis::print(docker, &self.config, &containers, &waiting, &failure.stderr)?;
                bail!("`docker compose up` ended with an error; the stack is not healthy");
            }
            let waiting = waiting(&progress);
            if waiting.is_empty() && has_ended {
                say!(
                    "{}all {} services are ready{} ({:.1} s)",
                    terminal::GREEN,
                    progress.len(),
                    terminal::RESET,
                    begin.elapsed().as_secs_f64()
                );
                return Ok(());
            }
            let left = timeout.saturating_sub(begin.elapsed());
            if left.is_zero() {
                // With what the health checks have said since the last event.
                docker.refresh(&mut containers, &self.config.name, &BTreeSet::new())?;
                diagnosis::print(docker, &self.config, &containers, &waiting, "")?;
                bail!(
                    "after {} s not ready: {}; wait longer with `cargo xtask up --timeout {}`",
                    timeout.as_secs(),
                    names(&waiting),
                    timeout.as_secs() * 2
                );
            }
            let changed = events.wait(left.min(LONGEST_GLANCE));
            docker.refresh(&mut containers, &self.config.name, &changed)?;
        }
    }

    fn progress<'a>(
        &self,
        awaited: &'a BTreeSet<String>,
        containers: &BTreeMap<String, Container>,
        has_ended: bool,
    ) -> Vec<(&'a str, Progress)> {
        let progress_of = |name: &str| {
            let Some(container) = containers.get(name) else {
                return Progress::Waiting("waiting");
            };
            let before = self.containers.get(name);
            match container.progress(self.config.is_one_shot(name), before) {
                // Compose may be about to replace it, and has taken away what it depends on.
                Progress::Failed(Reason::Unhealthy)
                    if !has_ended && before.is_some_and(|it| it.id == container.id) =>
                {
                    Progress::Waiting("unhealthy")
                }
                progress => progress,
            }
        };
        awaited
            .iter()
            .map(|name| (name.as_str(), progress_of(name)))
            .collect()
    }
}

/// Events say when to look; this is for an engine that loses some.
const LONGEST_GLANCE: Duration = Duration::from_secs(2);

fn failed<'a>(progress: &[(&'a str, Progress)]) -> Vec<(&'a str, Progress)> {
    progress
        .iter()
        .copied()
        .filter(|(_, progress)| matches!(progress, Progress::Failed(_)))
        .collect()
}

fn waiting<'a>(progress: &[(&'a str, Progress)]) -> Vec<(&'a str, Progress)> {
    progress
        .iter()
        .copied()
        .filter(|(_, progress)| matches!(progress, Progress::Waiting(_)))
        .collect()
}

fn names(services: &[(&str, Progress)]) -> String {
    services
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A line a service; a state that will stay carries the time at which it was reached.
fn render<'a>(
    progress: &[(&'a str, Progress)],
    reached: &mut BTreeMap<&'a str, f64>,
    begin: Instant,
) -> Vec<String> {
    let width = progress
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or(0);
    let mut line = |&(name, progress): &(&'a str, Progress)| match progress {
        Progress::Ready(state) => {
            let at = *reached
                .entry(name)
                .or_insert_with(|| begin.elapsed().as_secs_f64());
            format!(
                "  {name:width$}  {}{state:10}{} {at:5.1} s",
                terminal::GREEN,
                terminal::RESET
            )
        }
        Progress::Waiting(state) => format!("  {name:width$}  {state}"),
        Progress::Failed(reason) => format!(
            "  {name:width$}  {}{reason}{}",
            terminal::RED,
            terminal::RESET
        ),
    };
    progress.iter().map(&mut line).collect()
}

/// Pulls the images that are missing, with Compose's own progress.
pub fn ensure_images(docker: &Docker, config: &Config, lock: &Lock) -> anyhow::Result<()> {
    let present = docker.images(
        config
            .services
            .values()
            .map(|service| service.image.as_str()),
    )?;
    let mut wanted = BTreeSet::new();
    let lacking: Vec<&String> = config
        .services
        .iter()
        .filter(|(_, service)| {
            !present.contains_key(&service.image) && wanted.insert(&service.image)
        })
        .map(|(name, _)| name)
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    docker
        .stream_progress(
            docker
                .compose()
                .args(["pull", "--ignore-buildable"])
                .args(lacking),
            lock,
        )
        .map_err(|error| diagnosis::explain_failure(docker, config, error))
}

/// The URLs that work on this machine, on stdout.
pub fn print_endpoints(config: &Config) -> anyhow::Result<()> {
    let rows: Vec<Vec<String>> = config
        .endpoints()
        .into_iter()
        .map(|(service, url)| vec![service.to_owned(), url])
        .collect();
    terminal::print(&render_table(&rows))
}
