//! `clean`: deletes this project's containers, network and volumes. Asks and saves first, and keeps `.env`
//! and the backups.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::backup::{self, Wanted};
use crate::commands::{Outcome, doctor, restore};
use crate::docker::Docker;
use crate::stack::desired::Config;
use crate::system::Lock;
use crate::terminal::{self, say};

pub fn run(project: &Checkout, docker: &Docker, options: &cli::Clean) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    docker.check_engine()?;
    let config = docker.config()?;
    doctor::ensure_ours(project, docker, &config)?;
    let found = Found::look(docker, &config)?;
    for volume in &found.kept {
        say!(
            "the volume {volume} stays: the configuration does not name it; `docker volume rm {volume}` deletes it"
        );
    }
    if found.is_empty() {
        say!("there is nothing to delete in the project {}", config.name);
        return Ok(Outcome::Done);
    }

    say!("this deletes, in the project {}:", config.name);
    for container in &found.containers {
        say!("  container  {container}");
    }
    for network in &found.networks {
        say!("  network    {network}");
    }
    for (volume, size) in &found.volumes {
        say!("  volume     {volume}  {size}");
    }
    say!(
        "{} and the backups are kept",
        project.display(&project.env_file())
    );
    if !options.yes && !terminal::ask("Delete all of this, for good?")? {
        say!("nothing was deleted");
        return Ok(Outcome::NotDone);
    }

    if !options.no_backup {
        save(project, docker, &lock)
            .context("nothing was deleted, since a backup failed (`--no-backup` makes none)")?;
    }
    docker
        .start_change(
            docker
                .compose()
                .args(["down", "--volumes", "--remove-orphans"]),
            &lock,
        )?
        .finish()?;
    let left = Found::look(docker, &config)?;
    if !left.is_empty() {
        bail!(
            "still there: {}; see who uses it with `docker ps --all`",
            left.names().join(", ")
        );
    }
    say!(
        "deleted {} containers and {} volumes",
        found.containers.len(),
        found.volumes.len()
    );
    Ok(Outcome::Done)
}

/// Backs up what is about to be deleted, if it is data.
fn save(project: &Checkout, docker: &Docker, lock: &Lock) -> anyhow::Result<()> {
    restore::finish_interrupted(project, docker, lock)?;
    let config = docker.config()?;
    let stores = Stores::find(docker, lock, &config)?;
    if stores.exist()? {
        let wanted = Wanted {
            folder: &project.backups(),
            verify: true,
            with_env: false,
        };
        let path = backup::make(project, &stores, &wanted)?;
        say!(
            "what is deleted is in {}; `cargo xtask restore` brings it back",
            project.display(&path)
        );
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
                .unwrap_or_else(|| "size unknown".to_owned())
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
}
