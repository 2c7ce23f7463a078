//! `restore`: puts a backup in the place of what is there. Until everything in it has come back and was
//! counted, the old data stays where it is, whatever happens.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::backup::file::{self as archive, Archive};
use crate::backup::manifest::{Manifest, parse_known, refusal};
use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::backup::{self, APPLICATIONS, Wanted};
use crate::commands::up::{self, Stack};
use crate::commands::{Outcome, rotate, setup, verify};
use crate::docker::Docker;
use crate::docker::versions::Version;
use crate::system::{self, Lock};
use crate::terminal::{self, say};

pub fn run(project: &Checkout, verbose: bool, options: &cli::Restore) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    let path = std::path::absolute(&options.file).context("finding the backup")?;
    let (mut archive, manifest) = archive::open_checked(&path)
        .with_context(|| format!("{} cannot be restored", project.display(&path)))?;
    say!(
        "every byte is as it was saved on {}: {} rows of {}",
        manifest.made_at,
        manifest.rows(),
        manifest.project
    );
    ensure_env_file(project, &mut archive)?;

    let docker = Docker::new(project, verbose)?;
    finish_interrupted(project, &docker, &lock)?;
    let stack = Stack::read(&docker)?;
    let stores = Stores::find(&docker, &lock, &stack.config)?;
    up::ensure_images(&docker, &stack.config, &lock)?;
    check_versions(&stores, &manifest)?;

    let is_something_there = stores.exist()?;
    let project_name = &stack.config.name;
    if is_something_there
        && !options.yes
        && !terminal::ask(&format!(
            "Replace all data of the project {project_name} by it?"
        ))?
    {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    // Before anything is stopped: what goes wrong from here on ends where it began.
    let was_running = stack.are_ready(&["umami", "glitchtip-web"]);
    stores.stop_applications()?;
    let safety = is_something_there && !options.no_backup;
    let replaced = replace(project, &stores, &mut archive, &manifest, safety);
    if let Err(error) = replaced {
        finish_interrupted(project, &docker, &lock)?;
        if was_running {
            start(&docker, &lock, options.wait.timeout)?;
        }
        return Err(error.context("nothing was replaced; the data is what it was"));
    }
    start(&docker, &lock, options.wait.timeout)?;
    rotate::set_passwords(&docker, &rotate::ADMINISTRATORS)?;
    say!(
        "restored {} rows from {}",
        manifest.rows(),
        project.display(&path)
    );
    say!("all passwords are those of .env, also those of both administrators");
    if options.no_verify {
        return Ok(Outcome::Done);
    }
    verify::check(project, &docker, false)
}

/// Where there is no `.env`, that of the backup is better than new secrets.
fn ensure_env_file(project: &Checkout, archive: &mut Archive) -> anyhow::Result<()> {
    let path = project.env_file();
    if archive.parts.contains_key(backup::ENV) {
        if system::read_text(&path)?.is_none() {
            let mut text = Vec::new();
            archive.send(
                backup::ENV,
                &mut text,
                &mut terminal::Meter::new(backup::ENV),
            )?;
            system::replace_private_file(
                &path,
                &String::from_utf8(text).context("reading .env from the backup")?,
            )?;
            say!("took {} from the backup", project.display(&path));
        } else {
            say!("the backup has a .env too; the one that is here is kept");
        }
    }
    setup::ensure_env_file(project)?;
    Ok(())
}

/// # Errors
/// When the backup is from something newer than the images of this stack, with the way out.
fn check_versions(stores: &Stores, manifest: &Manifest) -> anyhow::Result<()> {
    let versions = APPLICATIONS.map(|(service, owner)| (service, owner, stores.start_known(owner)));
    let postgres =
        stores
            .docker
            .read(stores.postgres_tool("exec postgres --version", "postgres", &[])?)?;
    let number = postgres
        .split_whitespace()
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    let here = number
        .and_then(Version::parse)
        .context("reading the version of PostgreSQL")?;
    if Version::parse(&manifest.postgres).is_some_and(|saved| saved.0 > here.0) {
        bail!(
            "it is of PostgreSQL {}, and the image is PostgreSQL {}, which cannot read it; set POSTGRES_IMAGE in .env to that major version or a newer one",
            manifest.postgres,
            here.0
        );
    }
    for (service, owner, running) in versions {
        let known = parse_known(&running?.finish()?);
        let image = stores
            .config
            .services
            .get(owner)
            .map_or("", |service| &service.image);
        if let Some(reason) = refusal(service, manifest, &known, image) {
            bail!(reason);
        }
    }
    Ok(())
}

/// Saves what is there, restores beside it, counts, and only then replaces.
pub fn replace(
    project: &Checkout,
    stores: &Stores,
    archive: &mut Archive,
    manifest: &Manifest,
    safety: bool,
) -> anyhow::Result<()> {
    if safety {
        let wanted = Wanted {
            folder: &project.backups(),
            verify: true,
            with_env: false,
        };
        let path = backup::make(project, stores, &wanted)
            .context("what is there could not be saved (`--no-backup` goes on without)")?;
        say!("what was there is in {}", project.display(&path));
    }
    stores.ensure_running()?;
    let journal = journal(project);
    system::ensure_private_folder(&project.backups())?;
    system::replace_private_file(&journal, &format!("{}\n", manifest.name))?;
    let found = stores.stage(archive)?;
    backup::check(&manifest.databases, &found).context("what came back is not what was saved")?;
    stores.stop(&["redis"])?;
    stores.swap()?;
    stores.settle()?;
    system::remove_file(&journal)
}

/// While this file is there, a restore has begun and has not come to its end.
fn journal(project: &Checkout) -> PathBuf {
    project.backups().join(".restoring")
}

/// Brings a restore that was killed to its end: forwards once the databases were swapped, else back.
pub fn finish_interrupted(project: &Checkout, docker: &Docker, lock: &Lock) -> anyhow::Result<()> {
    let journal = journal(project);
    if !journal.exists() {
        return Ok(());
    }
    say!("a restore was interrupted; cleaning up after it");
    let config = docker.config()?;
    let stores = Stores::find(docker, lock, &config)?;
    stores.stop_applications()?;
    stores.ensure_running()?;
    stores.stop(&["redis"])?;
    say!("the interrupted restore: {}", stores.settle()?);
    system::remove_file(&journal)
}

/// Starts everything and waits for it.
pub fn start(docker: &Docker, lock: &Lock, timeout: u64) -> anyhow::Result<()> {
    let stack = Stack::read(docker)?;
    let everything: BTreeSet<String> = stack.config.services.keys().cloned().collect();
    stack.converge(docker, lock, &[], &everything, Duration::from_secs(timeout))
}
