//! The stack on one machine, run by Compose: what it should be, what it is, and the way from one to the
//! other.
//!
//! Must never explain, ask, or touch a backup: what is not ready is returned as data.

pub mod database;
pub mod desired;
mod era;
pub mod holder;
pub mod images;
pub mod not_ready;
mod order;
pub mod published;
mod pull;
pub mod readiness;
pub mod variables;
pub mod wait;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::docker::events::{Events, Woken};
use crate::docker::inspect::Container;
use crate::docker::{Docker, environment};
use crate::env::settings;
use crate::problem::Problem;
use crate::session::Session;
use crate::system::clock;
use crate::system::interrupt::Interrupt;
use crate::terminal::progress::LiveLines;
use crate::terminal::{self, say};
use desired::Config;
use readiness::Progress;
use variables::{Marks, Variables};
use wait::{Ended, Wake};
use watch::{ChangeState, Watch};

/// How Compose starts services.
const UP: [&str; 4] = ["--progress", "plain", "up", "--detach"];

/// What should run, and what does.
pub struct Stack {
    pub desired: Config,
    hashes: BTreeMap<String, String>,
    /// The containers as they were when they were looked at, by service.
    pub observed: BTreeMap<String, Container>,
}

impl Stack {
    /// Looks at everything at once.
    ///
    /// # Errors
    /// When there is no usable engine, or Compose refuses the configuration.
    pub fn read(docker: &Docker) -> anyhow::Result<Stack> {
        let hashes = docker.ask_hashes()?;
        let (desired, observed) = look(docker)?;
        let hashes = desired::parse_hashes(hashes.finish()?);
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
            // What is left over of a service that is gone says nothing about those that are wanted.
            let service = self.desired.services.get(name);
            service.is_none_or(|it| images.get(&it.image) == Some(&container.image))
        };
        Ok(self.observed.iter().all(is_current))
    }

    /// Whether a service is ready, and as the configuration wants it.
    pub fn is_as_desired(&self, service: &str) -> bool {
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
                    && !self.desired.is_misplaced(name, container)
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
    /// [`not_ready::NotReady`], as soon as a service has failed or the session's timeout is over.
    pub fn apply(
        &self,
        session: &Session,
        arguments: &[&str],
        awaited: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let begin = Instant::now();
        let interrupt = Interrupt::catch()?;
        // Compose does not see a volume or a network that has got another name.
        self.remove_misplaced(session, awaited)?;
        session.docker.remove_half_made(&self.desired.name)?;

        let events = Events::listen(&session.docker, &self.desired.name)?;
        let start = |arguments: &[&str]| {
            let up = session.docker.compose().args(UP).args(arguments);
            let up = up.holding(&session.lock);
            up.start_watched(events.waker())
        };
        let change = start(arguments)?;
        let observed = session.docker.containers(&self.desired.name)?;
        let leaving = self.leaving(&session.docker, arguments)?;
        let mut watch = Watch {
            stack: self,
            docker: &session.docker,
            awaited,
            observed,
            leaving,
            change: ChangeState::Running(change),
            start_again: Some(&start),
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
                [(name, Progress::Ready("done"))] => format!("{name} is done"),
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

    /// Removes containers that hold another volume than the configuration names, or lack a network, so that
    /// Compose makes them anew.
    fn remove_misplaced(
        &self,
        session: &Session,
        awaited: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let has_other = |(name, container): &(&String, &Container)| {
            awaited.contains(*name) && self.desired.is_misplaced(name, container)
        };
        let misplaced: Vec<&String> = self
            .observed
            .iter()
            .filter(has_other)
            .map(|(name, _)| name)
            .collect();
        if !misplaced.is_empty() {
            let remove = session.docker.compose().args(["rm", "--stop", "--force"]);
            remove.args(misplaced).finishing(&session.lock).text()?;
        }
        Ok(())
    }

    /// The variables of `.env` by which each service can be changed; none where Compose cannot say.
    pub fn variables(docker: &Docker) -> BTreeMap<String, Variables> {
        let marks = Marks::of(docker.values().template());
        let compose = docker.compose().arg("config");
        let compose = marks
            .values()
            .fold(compose, |it, (key, value)| it.env(key, value));
        let config = compose.text().and_then(|yaml| Config::parse(&yaml));
        config.map(|it| marks.find(&it)).unwrap_or_default()
    }
}

/// What should run, and the containers that there are, by service: all that it takes to say how it is.
///
/// # Errors
/// When there is no usable engine, or Compose refuses the configuration.
pub fn look(docker: &Docker) -> anyhow::Result<(Config, BTreeMap<String, Container>)> {
    let config = docker.ask_config()?;
    if !config.is_answered() {
        docker.check_engine()?;
    }
    let desired = Config::parse(config.finish().with_context(|| refused_config(docker))?)?;
    let observed = docker.containers(&desired.name);
    // One that answered before may have gone since.
    let observed = observed.or_else(|error| docker.check_engine().and(Err(error)))?;
    Ok((desired, observed))
}

/// The configuration as Compose resolves it from the compose file, its override and `.env`.
///
/// # Errors
/// When Compose refuses it.
pub fn read_config(docker: &Docker) -> anyhow::Result<Config> {
    let config = docker.ask_config()?.finish();
    Config::parse(config.with_context(|| refused_config(docker))?)
}

/// The names of the services, as Compose resolves them; none where it cannot: the command that needs it
/// says why.
pub fn service_names(checkout: &Checkout) -> Vec<String> {
    match Docker::new(checkout) {
        Ok(docker) => Stack::variables(&docker).into_keys().collect(),
        Err(_) => Vec::new(),
    }
}

/// Compose names neither the variable that it means nor its line, and not always the file.
fn refused_config(docker: &Docker) -> Problem {
    if let Some(name) = environment::refused(|name| std::env::var(name).ok()) {
        let what = format!("Compose does not accept {name} in your shell");
        return Problem::new(what).hint(format!("`unset {name}`, then repeat the command"));
    }
    settings::refused_value(docker.values()).unwrap_or_else(|| {
        Problem::new(
            "Compose does not accept docker-compose.yml, docker-compose.override.yml or .env in \
             deploy/analytics",
        )
        .hint(
            "correct what it names; `git diff -- deploy/analytics` shows what was changed in the files \
             of the checkout, and `cargo xtask setup` adds what .env lacks",
        )
    })
}
