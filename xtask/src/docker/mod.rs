//! The only module that runs docker. Must never know a verb of ours.
//!
//! No secret may leave it: none in an argument, and what others print is redacted before it is shown.

pub mod api;
pub mod configuration;
mod credentials;
pub mod download;
pub mod endpoint;
pub mod engine;
pub mod environment;
pub mod events;
pub mod inspect;
pub mod invocation;
mod reference;
mod stats;
pub mod tool;
mod unreachable;
pub mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use xshell::{Shell, cmd};

use crate::checkout::Checkout;
use crate::env::settings::Settings;
use crate::env::values::Values;
use crate::system::process;
use configuration::Answers;
use endpoint::{Chooser, Endpoint, Machine, Target};
use engine::{Engine, Info};
use inspect::{Container, Image};
use invocation::{Invocation, Running, stderr_of};
use unreachable::Asked;
use versions::{Standalone, Trouble};

/// An engine that systemd starts with the first question answers when it has started all its containers.
const ENGINE_PATIENCE: Duration = Duration::from_secs(60);

/// The label by which Compose finds what it made.
const PROJECT_LABEL: &str = "com.docker.compose.project";

/// Docker as this checkout uses it.
pub struct Docker {
    shell: Shell,
    /// Variables that a child must not inherit.
    hidden: BTreeSet<String>,
    /// The compose file and its override.
    files: Vec<String>,
    values: Arc<Values>,
    /// The engine that is asked.
    target: Target,
    answers: Answers,
}

impl Docker {
    /// Docker for the stack of this checkout and what its env file says now.
    ///
    /// # Errors
    /// When `.env` cannot be parsed: Compose would quote the line, secrets included.
    pub fn new(checkout: &Checkout) -> anyhow::Result<Docker> {
        Docker::with(checkout, Arc::new(Values::read(checkout)?))
    }

    /// Docker for the stack of this checkout with these values: for another thread, which cannot share
    /// the first one's.
    ///
    /// # Errors
    /// When there is no current folder.
    pub fn with(checkout: &Checkout, values: Arc<Values>) -> anyhow::Result<Docker> {
        let shell = Shell::new().context("finding the current folder")?;
        shell.change_dir(checkout.stack());

        // Compose lets an exported variable win over `.env`, even an empty one, so the child must not
        // inherit any name that the stack knows.
        let mut hidden = values.names().clone();
        hidden.retain(|name| !environment::chooses_engine(name));
        let exported = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        hidden.extend(exported.filter(|name| environment::redirects(name)));
        hidden.remove("COMPOSE_PROJECT_NAME");
        Ok(Docker {
            shell,
            hidden,
            files: checkout.compose_files(),
            values,
            target: Target::Current,
            answers: Answers::default(),
        })
    }

    /// The same for another engine, whatever the shell says.
    pub fn at(self, target: Target) -> Docker {
        Docker { target, ..self }
    }

    /// The engine that is asked.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// `docker`, in the stack's folder, with an environment that is ours alone.
    pub fn docker(&self) -> Invocation<'_> {
        let cmd = cmd!(self.shell, "docker");
        let cmd = self
            .hidden
            .iter()
            .fold(cmd, |cmd, name| cmd.env_remove(name));
        let cmd = match self.target.variable() {
            Some((name, value)) => ["DOCKER_HOST", "DOCKER_CONTEXT"]
                .iter()
                .fold(cmd, |cmd, name| cmd.env_remove(name))
                .env(name, value),
            None => cmd,
        };
        // `docker run` takes it too.
        let cmd = cmd.env("DOCKER_DEFAULT_PLATFORM", "");
        Invocation::new(self, cmd)
    }

    /// Every compose command begins here. Which files it reads is said: a `compose.yaml` beside ours would
    /// be taken in their place.
    pub fn compose(&self) -> Invocation<'_> {
        let fixed = environment::FIXED.into_iter();
        let compose = fixed.fold(self.docker(), |it, (name, value)| it.env(name, value));
        let compose = compose.env("COMPOSE_FILE", &self.files.join(":"));
        compose.arg("compose")
    }

    /// What the env file said when this was made.
    pub fn values(&self) -> &Arc<Values> {
        &self.values
    }

    /// The same, typed.
    pub fn settings(&self) -> Settings {
        Settings::of(&self.values)
    }

    /// `text` without any secret of `.env`.
    pub fn redact(&self, text: &str) -> String {
        self.values.redact(text)
    }

    /// Checks that an engine and a Compose that can run the stack answer.
    ///
    /// # Errors
    /// Each way in which this can fail has a message and a remedy of its own.
    pub fn check_engine(&self) -> anyhow::Result<()> {
        let version = self
            .docker()
            .args(["version", "--format", "{{json .}}"])
            .start()?;
        let compose = self.compose().args(["version", "--short"]).start()?;
        let version = version.finish_within(ENGINE_PATIENCE);
        let compose = compose.finish();
        let checked = versions::check(
            version.as_deref().map_err(stderr_of),
            compose.as_deref().map_err(stderr_of),
            || self.standalone_compose(),
            || self.asked(),
        );
        checked.map_err(Trouble::into_error)
    }

    /// The `docker-compose` on the PATH, which may be version 1 or the plugin under another name.
    fn standalone_compose(&self) -> Standalone {
        let asked = process::answer("docker-compose", "version", "");
        let said = asked.ok().map(|output| output.stdout);
        Standalone::of(said.map(|it| String::from_utf8_lossy(&it).into_owned()))
    }

    /// Which engine is asked, and what this machine is like.
    fn asked(&self) -> Asked {
        let context = |arguments: &[&str]| self.docker().arg("context").args(arguments).text();
        let current = context(&["show"]).unwrap_or_default();
        let address = context(&["inspect", "--format", "{{.Endpoints.docker.Host}}"]);
        let address = address.unwrap_or_default().trim().to_owned();
        let variable = |name: &str| std::env::var(name).ok();
        let endpoint = match &self.target {
            Target::Current => Endpoint::of(
                variable("DOCKER_HOST"),
                variable("DOCKER_CONTEXT"),
                current.trim().to_owned(),
                address,
            ),
            target => Endpoint {
                address,
                chooser: Chooser::Target(target.clone()),
            },
        };
        Asked {
            endpoint,
            machine: machine(),
        }
    }

    /// Every container of a project, by service; what `run` made is left out.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn containers(&self, project: &str) -> anyhow::Result<BTreeMap<String, Container>> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        let list = ["ps", "--all", "--quiet", "--no-trunc", "--filter", &filter];
        let no_run = ["--filter", "label=com.docker.compose.oneoff=False"];
        let ids = self.docker().args(list).args(no_run).text()?;
        let containers = self.inspect(ids.lines())?.into_iter();
        Ok(containers
            .map(|container| (container.service().to_owned(), container))
            .collect())
    }

    /// Removes what a killed Compose has left where it was replacing a container: one that never ran, under a name for
    /// the time being, which the next Compose would want to use too. No Compose may be at work on the project.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn remove_half_made(&self, project: &str) -> anyhow::Result<()> {
        let label = format!("label={PROJECT_LABEL}={project}");
        let list = ["ps", "--all", "--filter", "status=created", "--filter"];
        let format = [label.as_str(), "--format", "{{.Names}}"];
        let names = self.docker().args(list).args(format).text()?;
        let half_made: Vec<&str> = names.lines().filter(|it| is_half_made(it)).collect();
        if half_made.is_empty() {
            return Ok(());
        }
        self.docker().arg("rm").args(half_made).text().map(drop)
    }

    /// Looks at containers by id. One that has gone meanwhile is left out.
    ///
    /// # Errors
    /// When the engine answers in a way that is not known.
    pub fn inspect<'b>(
        &self,
        ids: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<Vec<Container>> {
        let ids: Vec<&str> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let output = self
            .docker()
            .args(["inspect", "--type", "container"])
            .args(ids)
            .output()?;
        inspect::parse_inspect(&String::from_utf8_lossy(&output.stdout))
    }

    /// The ids of those images that the engine has, by the name that was asked for.
    ///
    /// # Errors
    /// As [`Docker::inspect_images`].
    pub fn images<'b>(
        &self,
        names: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let images = self.inspect_images(names)?.into_iter();
        Ok(images.map(|(name, image)| (name, image.id)).collect())
    }

    /// Those images that the engine has, by the name that was asked for.
    ///
    /// # Errors
    /// When the engine answers in a way that is not known.
    pub fn inspect_images<'b>(
        &self,
        names: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<BTreeMap<String, Image>> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        // It fails when one is missing, and has printed the others.
        let output = self
            .docker()
            .args(["image", "inspect"])
            .args(&names)
            .output()?;
        let images = inspect::parse_images(&String::from_utf8_lossy(&output.stdout))?;
        let find = |name: &str| images.iter().find(|image| image.is_called(name)).cloned();
        Ok(names
            .iter()
            .filter_map(|&name| Some((name.to_owned(), find(name)?)))
            .collect())
    }

    /// Makes a name mean the image with this id.
    ///
    /// # Errors
    /// When the engine does not have it.
    pub fn tag(&self, id: &str, name: &str) -> anyhow::Result<()> {
        self.docker().args(["tag", id, name]).text().map(drop)
    }

    /// Lists what carries the project's label: `list` is a command such as `volume ls`.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn start_names(
        &self,
        list: &[&str],
        format: &str,
        project: &str,
    ) -> anyhow::Result<Running<'_>> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        self.docker()
            .args(list)
            .args(["--filter", &filter, "--format", format])
            .start()
    }

    /// Whether the engine has a volume of this name.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn has_volume(&self, name: &str) -> anyhow::Result<bool> {
        self.docker().args(["volume", "inspect", name]).succeeds()
    }

    /// Whether the engine has a network of this name.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn has_network(&self, name: &str) -> anyhow::Result<bool> {
        self.docker().args(["network", "inspect", name]).succeeds()
    }

    /// Every container, network and volume of the engine, with what their labels say of their owner.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn everything(&self) -> anyhow::Result<Engine> {
        let list =
            |list: &[&str], format| self.docker().args(list).args(["--format", format]).start();
        let containers = list(&["ps", "--all"], engine::CONTAINER_FORMAT)?;
        let networks = list(&["network", "ls"], engine::THING_FORMAT)?;
        let volumes = list(&["volume", "ls"], engine::THING_FORMAT)?;
        let context = list(&["context", "inspect"], "{{.Endpoints.docker.Host}}")?;
        Ok(Engine {
            address: context.finish().unwrap_or_default().trim().to_owned(),
            containers: engine::parse_things(&containers.finish()?),
            networks: engine::parse_things(&networks.finish()?),
            volumes: engine::parse_things(&volumes.finish()?),
        })
    }

    /// What the engine says of itself and the machine that it runs on.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn info(&self) -> anyhow::Result<Info> {
        Info::parse(
            &self
                .docker()
                .args(["info", "--format", "{{json .}}"])
                .text()?,
        )
    }

    /// How much each volume of the engine holds, as it states it.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn volume_sizes(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let format = "{{range .Volumes}}{{.Name}} {{.Size}}\n{{end}}";
        let text = self
            .docker()
            .args(["system", "df", "--verbose", "--format", format])
            .text()?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .map(|(name, size)| (name.to_owned(), size.to_owned()))
            .collect())
    }

    /// The last lines that a container printed since a time (empty: ever), stdout and stderr together,
    /// without secrets.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn logs(&self, container: &str, lines: &str, since: &str) -> anyhow::Result<String> {
        let logs = ["logs", "--tail", lines, "--since", since, container];
        let output = self.docker().args(logs).output()?;
        let text = [output.stdout, output.stderr].concat();
        Ok(self.redact(&String::from_utf8_lossy(&text)))
    }

    /// The exit code with which a container's program ended last, in the last ten minutes; its state forgets it with
    /// the next start. None where the engine no longer knows.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn last_exit_code(&self, container: &str) -> anyhow::Result<Option<i64>> {
        let events = ["events", "--since", "10m", "--until", "0s"];
        let container = format!("container={container}");
        let ends = ["--filter", &container, "--filter", "event=die"];
        let format = ["--format", "{{.Actor.Attributes.exitCode}}"];
        let output = self
            .docker()
            .args(events)
            .args(ends)
            .args(format)
            .output()?;
        let codes = String::from_utf8_lossy(&output.stdout);
        Ok(codes
            .lines()
            .last()
            .and_then(|code| code.trim().parse().ok()))
    }
}

/// What this machine is like.
pub fn machine() -> Machine {
    Machine {
        os: std::env::consts::OS,
        has_systemd: Path::new("/run/systemd/system").is_dir(),
        has_colima: process::is_on_path("colima"),
    }
}

/// Whether Compose gave a container this name for as long as the one that it replaces has its own: the id of that one
/// comes first (2.26, seen 2026-11-30).
fn is_half_made(name: &str) -> bool {
    let id = name.split_once('_').map(|(id, _)| id);
    id.is_some_and(|id| id.len() == 12 && id.bytes().all(|it| it.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_compose_has_half_made_is_known_by_its_name() {
        assert!(is_half_made("945b199d5ef7_analytics-glitchtip-web-1"));
        for name in [
            "umami",
            "945b199d5ef7",
            "analytics_umami_1",
            "945b199d5ef_umami",
            "glitchtip_12_web_1",
        ] {
            assert!(!is_half_made(name), "{name}");
        }
    }
}
