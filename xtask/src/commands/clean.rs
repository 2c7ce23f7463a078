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
use crate::operations::journal;
use crate::operations::open::{Resume, open};
use crate::problem::Problem;
use crate::session::Session;
use crate::stack::desired::Config;
use crate::stack::{self, Stack};
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::Clean) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    docker.check_engine()?;
    let config = stack::read_config(&docker)?;
    names::ensure_ours(checkout, &docker, &config)?;
    let found = Found::look(&docker, &config)?;
    if found.is_empty() {
        say!("nothing to delete in the project {}", config.name);
        journal::end(checkout)?;
        return Ok(Outcome::Done);
    }

    found.say(checkout, &config.name);
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
    let path = create::create(session, &stores, &Wanted::new(&folder)).context(
        Problem::new("nothing was deleted, since the backup before it failed")
            .hint("to delete without a backup, repeat with `--no-backup`: the data is lost then"),
    )?;
    let path = session.checkout.display(&path);
    say!("saved the data; `cargo xtask restore {path}` brings it back");
    Ok(())
}

fn delete(session: &Session, config: &Config) -> anyhow::Result<()> {
    let down = session
        .docker
        .compose()
        .args(["down", "--volumes", "--remove-orphans"]);
    down.holding(&session.lock).text()?;
    let left = Found::look(&session.docker, config)?;
    if !left.is_empty() {
        let what = format!(
            "not deleted, because something uses it: {}",
            left.names().join(", ")
        );
        bail!(Problem::new(what).hint("`docker ps --all` shows what uses it"));
    }
    Ok(())
}

/// What a project has on the engine: only what carries its label is ours.
struct Found {
    containers: Vec<String>,
    networks: Vec<String>,
    /// Each with its size as the engine states it.
    volumes: BTreeMap<String, String>,
    /// Volumes that had their place in an earlier configuration.
    kept: Vec<String>,
}

impl Found {
    fn look(docker: &Docker, config: &Config) -> anyhow::Result<Found> {
        let project = &config.name;
        let containers = docker.start_names(&["ps", "--all"], "{{.Names}}", project)?;
        let networks = docker.start_names(&["network", "ls"], "{{.Name}}", project)?;
        let volumes = docker.start_names(&["volume", "ls"], "{{.Name}}", project)?;
        let lines = |text: String| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let is_named = |volume: &String| config.volumes.values().any(|known| known.name == *volume);
        let (volumes, kept): (Vec<_>, Vec<_>) =
            lines(volumes.finish()?).into_iter().partition(is_named);
        let sizes = if volumes.is_empty() {
            BTreeMap::new()
        } else {
            docker.volume_sizes()?
        };
        let size = |name: &String| {
            sizes
                .get(name)
                .cloned()
                .unwrap_or("size unknown".to_owned())
        };
        Ok(Found {
            containers: lines(containers.finish()?),
            networks: lines(networks.finish()?),
            volumes: volumes
                .into_iter()
                .map(|name| (name.clone(), size(&name)))
                .collect(),
            kept,
        })
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

    fn say(&self, checkout: &Checkout, project: &str) {
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
        for volume in &self.kept {
            say!("not the volume {volume}: the configuration does not name it");
            say!("  hint: `docker volume rm {volume}` deletes it");
        }
        say!(
            "{} and the backups are kept",
            checkout.display(&checkout.env_file())
        );
    }
}
