//! The images that the stack is made from: which are here, and the pull of those that are not.
//!
//! Must never decide what a failed pull means.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::bail;

use super::pull::Display;
use crate::docker::api::Told;
use crate::docker::invocation::Failure;
use crate::problem::Problem;
use crate::session::Session;
use crate::stack::desired::{Config, Service};
use crate::stack::read_config;
use crate::system::interrupt::Interrupt;
use crate::terminal::say;

/// How often Ctrl-C is asked for while nothing is told.
const GLANCE: Duration = Duration::from_millis(100);

/// Pulls the images that are not here.
///
/// # Errors
/// What the engine says when it cannot.
pub fn ensure(session: &Session, config: &Config) -> anyhow::Result<()> {
    let present = session.docker.images(config.images())?;
    let is_missing = |service: &Service| !present.contains_key(&service.image);
    pull(session, &wanted(config, is_missing))
}

/// Pulls every image, also those that are here: their names may mean something newer by now.
///
/// # Errors
/// What the engine says when it cannot.
pub fn pull_all(session: &Session) -> anyhow::Result<()> {
    let config = read_config(&session.docker)?;
    let present = session.docker.images(config.images())?;
    let is_meant = |service: &Service| {
        let only_missing = matches!(service.pull_policy.as_str(), "missing" | "if_not_present");
        !only_missing || !present.contains_key(&service.image)
    };
    pull(session, &wanted(&config, is_meant))
}

/// Each image once, with the first service that is made from it. What Compose would build or never pull is
/// left out, as `compose pull --ignore-buildable` does.
fn wanted<'a>(config: &'a Config, is_meant: impl Fn(&Service) -> bool) -> Vec<Wanted<'a>> {
    let mut known = BTreeSet::new();
    let mut wanted = Vec::new();
    for (name, service) in &config.services {
        let is_own = service.build.is_some() || service.image.is_empty();
        let is_refused = matches!(service.pull_policy.as_str(), "never" | "build");
        let platform = service.platform.as_deref();
        if is_own || is_refused || !is_meant(service) {
            continue;
        }
        if known.insert((&service.image, platform)) {
            wanted.push(Wanted {
                service: name,
                image: &service.image,
                platform,
            });
        }
    }
    wanted
}

struct Wanted<'a> {
    service: &'a str,
    image: &'a str,
    platform: Option<&'a str>,
}

impl Wanted<'_> {
    /// In the words of Compose, which name the service, and those of docker.
    fn failure(&self, said: &str) -> Failure {
        Failure {
            command: format!("docker pull {}", self.image),
            stderr: format!(
                " {} Error {said}\nError response from daemon: {said}",
                self.service
            ),
        }
    }
}

fn pull(session: &Session, wanted: &[Wanted]) -> anyhow::Result<()> {
    if wanted.is_empty() {
        return Ok(());
    }
    if let Err(error) = session.docker.connect() {
        say!("pulling without showing progress: {error:#}");
        return pull_with_compose(session, wanted);
    }
    let interrupt = Interrupt::catch()?;
    let (sender, told) = mpsc::channel();
    let mut pulls = BTreeMap::new();
    for (index, it) in wanted.iter().enumerate() {
        let sender = sender.clone();
        let tell = move |told| {
            // Nobody listens any more once one of them has failed.
            let _ = sender.send((index, told));
        };
        let pull = session.docker.start_pull(it.image, it.platform, tell)?;
        pulls.insert(index, pull);
    }

    let mut display = Display::new(wanted.iter().map(|it| it.image), Instant::now());
    while !pulls.is_empty() {
        match told.recv_timeout(GLANCE) {
            _ if interrupt.is_pressed() => bail!(interrupted()),
            Ok((index, Told::Progress(message))) => display.take(index, &message),
            Ok((index, Told::Ended(Ok(())))) => {
                pulls.remove(&index);
                display.end(index);
            }
            Ok((index, Told::Ended(Err(said)))) => {
                let said = session.docker.redact(&said);
                bail!(wanted[index].failure(&said));
            }
            Err(RecvTimeoutError::Timeout) => display.show(),
            Err(RecvTimeoutError::Disconnected) => bail!("following the pull"),
        }
    }
    display.finish();
    Ok(())
}

fn interrupted() -> Problem {
    Problem::new("interrupted while pulling images")
        .hint("run the same command again; images that were complete are not pulled again")
}

/// For an engine whose API does not answer to `docker system dial-stdio`.
fn pull_with_compose(session: &Session, wanted: &[Wanted]) -> anyhow::Result<()> {
    let pull = session.docker.compose();
    let pull = pull.args(["pull", "--ignore-buildable"]);
    let pull = pull.args(wanted.iter().map(|it| it.service));
    pull.holding(&session.lock).text().map(drop)
}
