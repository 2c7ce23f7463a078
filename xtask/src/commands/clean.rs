//! `clean`: deletes this project's containers, network and volumes. Asks and saves first, and keeps `.env`
//! and the backups.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::backup::create::{self, Wanted};
use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::checks::names;
use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::docker::invocation::stderr_of;
use crate::operations::journal;
use crate::operations::open::{Resume, open};
use crate::problem::Problem;
use crate::session::Session;
use crate::stack::database::{Ours, Server};
use crate::stack::desired::Config;
use crate::stack::{self, Stack};
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::Clean) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    docker.check_engine()?;
    let config = stack::read_config(&docker)?;
    names::ensure_ours(checkout, &docker, &config)?;
    let found = Found::look(&docker, &config)?;
    let elsewhere = Elsewhere::look(&docker, &config)?;
    if found.is_empty() && elsewhere.is_none() {
        say!("nothing to delete in the project {}", config.name);
        journal::end(checkout)?;
        return Ok(Outcome::Done);
    }

    found.say(checkout, &config.name, elsewhere.as_ref());
    if !options.yes && !terminal::ask("Delete all of this?")? {
        say!("nothing was deleted");
        return Ok(Outcome::NotDone);
    }

    let resume = if options.no_backup {
        Resume::Nothing
    } else {
        Resume::Data
    };
    let (session, stack) = open(checkout, resume, Duration::from_secs(cli::Wait::DEFAULT))?;
    if !options.no_backup {
        save(&session, &stack)?;
    }
    if let Some(elsewhere) = &elsewhere {
        elsewhere.delete(&session, &config)?;
    }
    delete(&session, &config)?;

    // What was unfinished has nothing left to be finished on.
    journal::end(checkout)?;
    say!(
        "deleted {} containers and {} volumes",
        found.containers.len(),
        found.volumes.len()
    );
    Ok(Outcome::Done)
}

/// Backs up what is about to be deleted, if it is data.
fn save(session: &Session, stack: &Stack) -> anyhow::Result<()> {
    let stores = Stores::find(session, &stack.desired)?;
    if !stores.exist()? {
        return Ok(());
    }
    let folder = session.checkout.backups();
    let created = create::create(session, &stores, &Wanted::of_all(&folder)).context(
        Problem::new("nothing was deleted, since the backup before it failed")
            .hint("to delete without a backup, repeat with `--no-backup`: the data is lost then"),
    )?;
    let path = session.checkout.display(&created.path);
    stores.check_interrupt().context("nothing was deleted")?;
    say!("saved the data; `cargo xtask restore {path}` brings it back");
    Ok(())
}

/// Deletes what carries the project's label, whether the configuration still names it or not.
fn delete(session: &Session, config: &Config) -> anyhow::Result<()> {
    // `docker compose down --volumes` would take volumes too that are kept.
    let compose = |arguments: &[&str]| {
        let compose = session.docker.compose().args(arguments);
        compose.finishing(&session.lock).text().err()
    };
    let failure = compose(&["stop"]);
    Found::look(&session.docker, config)?.remove(session)?;

    let left = Found::look(&session.docker, config)?;
    if left.is_empty() {
        return Ok(());
    }
    let what = format!(
        "not deleted, because something else uses it: {}",
        left.names().join(", ")
    );
    let problem = Problem::new(what).hint("`docker ps --all` shows what uses it");
    match compose(&["down", "--remove-orphans"]).or(failure) {
        Some(failure) => bail!(problem.evidence(stderr_of(&failure))),
        None => bail!(problem),
    }
}

/// What the stack has on a PostgreSQL of somebody else's.
struct Elsewhere {
    server: Server,
    ours: Ours,
}

impl Elsewhere {
    /// What is there; none where PostgreSQL is the stack's own, or nothing of the stack's is there.
    fn look(docker: &Docker, config: &Config) -> anyhow::Result<Option<Elsewhere>> {
        let Some(server) = config.shared_server() else {
            return Ok(None);
        };
        let ours = server
            .ours(docker)
            .context(Problem::new("nothing was deleted"))?;
        Ok((!ours.is_empty()).then_some(Elsewhere { server, ours }))
    }

    /// Deletes it, and nothing else there.
    fn delete(&self, session: &Session, config: &Config) -> anyhow::Result<()> {
        Stores::find(session, config)?.stop_applications()?;
        let left = self.server.leave(&session.docker, &self.ours);
        left.context(Problem::new("not all of it was deleted").hint(
            "the containers and volumes are still there; repeat `cargo xtask clean` when the server answers",
        ))?;
        let (databases, host) = (self.ours.databases.len(), &self.server.host);
        say!("deleted {databases} databases and their roles at {host}");
        Ok(())
    }
}

/// What a project has on the engine: only what carries its label is ours.
struct Found {
    /// Those of `docker compose run` and of earlier configurations too.
    containers: Vec<String>,
    networks: Vec<String>,
    /// Each with its size as the engine states it.
    volumes: BTreeMap<String, String>,
    /// Volumes without a name, which go with their containers.
    unnamed: usize,
    /// Volumes that are not in use: of an earlier configuration, or of a PostgreSQL of the stack's own while
    /// it uses another. No backup has what they hold.
    kept: Vec<String>,
}

impl Found {
    fn look(docker: &Docker, config: &Config) -> anyhow::Result<Found> {
        let project = &config.name;
        let containers = docker.start_names(&["ps", "--all"], "{{.ID}} {{.Names}}", project)?;
        let networks = docker.start_names(&["network", "ls"], "{{.Name}}", project)?;
        let volumes = docker.start_names(&["volume", "ls"], "{{.Name}}", project)?;
        let is_shared = config.shared_server().is_some();
        let used = config.volumes.iter();
        let used = used.filter(|(key, _)| !is_shared || *key != "postgres_data");
        let used: Vec<&str> = used.map(|(_, known)| known.name.as_str()).collect();
        let is_used = |volume: &String| used.contains(&volume.as_str());
        let (volumes, kept): (Vec<_>, Vec<_>) =
            lines(&volumes.finish()?).into_iter().partition(is_used);

        let containers = containers.finish()?;
        let containers: Vec<(&str, &str)> = containers
            .lines()
            .filter_map(|line| line.split_once(' '))
            .collect();
        let looked_at = docker.inspect(containers.iter().map(|(id, _)| *id))?;
        let mounts = looked_at.iter().flat_map(|container| &container.mounts);
        Ok(Found {
            containers: containers
                .iter()
                .map(|(_, name)| (*name).to_owned())
                .collect(),
            networks: lines(&networks.finish()?),
            volumes: with_sizes(docker, volumes)?,
            unnamed: mounts.filter(|mount| mount.is_unnamed()).count(),
            kept,
        })
    }

    /// Removes all of it that can be removed; what is left is seen by looking again.
    fn remove(&self, session: &Session) -> anyhow::Result<()> {
        let volumes: Vec<String> = self.volumes.keys().cloned().collect();
        for (command, names) in [
            (&["rm", "--force", "--volumes"][..], &self.containers),
            (&["network", "rm"], &self.networks),
            (&["volume", "rm"], &volumes),
        ] {
            if !names.is_empty() {
                let remove = session.docker.docker().args(command).args(names);
                remove.holding(&session.lock).output()?;
            }
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    fn names(&self) -> Vec<&str> {
        let volumes = self.volumes.keys();
        self.containers
            .iter()
            .chain(&self.networks)
            .chain(volumes)
            .map(String::as_str)
            .collect()
    }

    fn say(&self, checkout: &Checkout, project: &str, elsewhere: Option<&Elsewhere>) {
        say!("this deletes, in the project {project}:");
        for container in &self.containers {
            say!("  container  {container}");
        }
        for network in &self.networks {
            say!("  network    {network}");
        }
        for (volume, size) in &self.volumes {
            say!("  volume     {volume}  {size}");
        }
        if let Some(Elsewhere { server, ours }) = elsewhere {
            for database in &ours.databases {
                say!("  database   {database}  at {}", server.host);
            }
            for role in &ours.roles {
                say!("  role       {role}  at {}", server.host);
            }
        }
        if self.unnamed > 0 {
            say!("  and {} unnamed volumes of these containers", self.unnamed);
        }
        for volume in &self.kept {
            say!("not the volume {volume}: the stack does not use it now");
            say!("  hint: `docker volume rm {volume}` deletes it");
        }
        say!(
            "{} and the backups are kept",
            checkout.display(&checkout.env_file())
        );
    }
}

fn with_sizes(docker: &Docker, volumes: Vec<String>) -> anyhow::Result<BTreeMap<String, String>> {
    if volumes.is_empty() {
        return Ok(BTreeMap::new());
    }
    let sizes = docker.volume_sizes()?;
    let sized = |name: String| {
        let size = sizes.get(&name).map_or("size unknown", String::as_str);
        let size = size.to_owned();
        (name, size)
    };
    Ok(volumes.into_iter().map(sized).collect())
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}
