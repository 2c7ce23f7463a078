//! `upgrade`: newer images of the pinned versions. What does not work is taken back, with the data if the
//! new version has changed it: the user ends with a stack that works.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::backup::file as archive;
use crate::backup::manifest::parse_known;
use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::backup::{self, Wanted};
use crate::commands::restore::{replace, start};
use crate::commands::up::Stack;
use crate::commands::{Outcome, restore, rotate, setup, verify};
use crate::docker::Docker;
use crate::system::{self, Lock};
use crate::terminal::say;
use crate::terminal::text::render_table;

/// Image ids, by the name under which the compose file asks for them.
type Images = BTreeMap<String, String>;

/// An upgrade under way: all that is needed to go on or back.
#[derive(Serialize, Deserialize)]
struct Journal {
    old: Images,
    new: Images,
    /// What was there before.
    backup: PathBuf,
    /// A checksum of the databases' schemas, as they were.
    schema: String,
}

pub fn run(project: &Checkout, verbose: bool, options: &cli::Upgrade) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    setup::ensure_env_file(project)?;
    let docker = Docker::new(project, verbose)?;
    let timeout = options.wait.timeout;
    restore::finish_interrupted(project, &docker, &lock)?;
    rotate::finish_interrupted(project, verbose, &lock, timeout)?;
    finish_interrupted(project, &docker, &lock, timeout)?;

    let stack = Stack::read(&docker)?;
    let stores = Stores::find(&docker, &lock, &stack.config)?;
    let names: Vec<&str> = stack
        .config
        .services
        .values()
        .map(|service| service.image.as_str())
        .collect();
    let mut old = docker.images(names.iter().copied())?;
    // What runs counts: the name may mean something newer by now.
    old.extend(stack.images());
    if !options.no_pull {
        docker
            .stream_progress(docker.compose().args(["pull", "--ignore-buildable"]), &lock)
            .context("no newer images could be pulled; nothing was changed (`--no-pull` takes those that are here)")?;
    }
    let mut new = docker.images(names.iter().copied())?;
    new.retain(|name, id| old.get(name).is_some_and(|before| before != id));
    old.retain(|name, _| new.contains_key(name));
    if new.is_empty() {
        say!("every image is the newest of its version that there is here; nothing to do");
        if !stack.is_up_to_date(&docker)? {
            say!(
                "what runs is not what the configuration says: `cargo xtask backup`, then `cargo xtask up`"
            );
        }
        return Ok(Outcome::Done);
    }
    // Until all is saved, the names mean what they meant.
    tag(&docker, &old)?;
    print_changes(&stores, &old, &new)?;
    if options.dry_run {
        say!("nothing was changed; `cargo xtask upgrade` does it");
        return Ok(Outcome::Done);
    }
    if !stores.exist()? {
        tag(&docker, &new)?;
        start(&docker, &lock, timeout)?;
        return Ok(Outcome::Done);
    }

    stores.ensure_running()?;
    let schema = stores.schema()?;
    let wanted = Wanted {
        folder: &project.backups(),
        verify: true,
        with_env: false,
    };
    let backup = backup::make(project, &stores, &wanted)
        .context("nothing was changed, since a backup failed")?;
    say!("the data as it is now is in {}", project.display(&backup));
    let journal = Journal {
        old,
        new,
        backup,
        schema,
    };
    system::replace_private_file(&path(project), &serde_json::to_string_pretty(&journal)?)?;
    take(project, &docker, &lock, &journal, timeout)?;
    say!("the newer images are in use");
    Ok(Outcome::Done)
}

fn path(project: &Checkout) -> PathBuf {
    project.backups().join(".upgrading")
}

/// Brings an upgrade that was killed to its end: forwards, and back if that does not work.
pub fn finish_interrupted(
    project: &Checkout,
    docker: &Docker,
    lock: &Lock,
    timeout: u64,
) -> anyhow::Result<()> {
    let Some(text) = system::read_text(&path(project))? else {
        return Ok(());
    };
    let journal: Journal = serde_json::from_str(&text).context("reading how far an upgrade was")?;
    say!("an upgrade was interrupted; going on with it");
    take(project, docker, lock, &journal, timeout)
}

/// Starts the new images, or else the old ones again.
///
/// # Errors
/// When the new ones do not work; the old ones do then.
fn take(
    project: &Checkout,
    docker: &Docker,
    lock: &Lock,
    journal: &Journal,
    timeout: u64,
) -> anyhow::Result<()> {
    tag(docker, &journal.new)?;
    let works = start(docker, lock, timeout).and_then(|()| verify::check(project, docker, false));
    let error = match works {
        Ok(Outcome::Done) => return system::remove_file(&path(project)),
        Ok(Outcome::NotDone) => anyhow::Error::msg("events do not arrive any more"),
        Err(error) => error,
    };
    say!("the newer images do not work; going back to the previous ones");
    tag(docker, &journal.old)?;
    let stack = Stack::read(docker)?;
    let stores = Stores::find(docker, lock, &stack.config)?;
    let kept = || {
        format!(
            "the data from before is in {}",
            project.display(&journal.backup)
        )
    };
    stores.stop_applications()?;
    stores.ensure_running().with_context(kept)?;
    if stores.schema()? != journal.schema {
        say!("the new version has changed the databases; the data from before comes back");
        let wanted = Wanted {
            folder: &project.backups(),
            verify: false,
            with_env: false,
        };
        match backup::make(project, &stores, &wanted) {
            Ok(path) => say!(
                "what the new version has made of it is in {}",
                project.display(&path)
            ),
            Err(error) => say!("what the new version has made of it cannot be saved: {error:#}"),
        }
        let (mut archive, manifest) = archive::open_checked(&journal.backup).with_context(kept)?;
        replace(project, &stores, &mut archive, &manifest, false).with_context(kept)?;
    }
    start(docker, lock, timeout).with_context(kept)?;
    system::remove_file(&path(project))?;
    Err(error.context(
        "the upgrade was taken back, and the stack runs as before; why it failed is said above",
    ))
}

/// Makes names mean images.
fn tag(docker: &Docker, images: &Images) -> anyhow::Result<()> {
    for (name, id) in images {
        docker
            .read(docker.docker().args(["tag", id, name]))
            .context("going from one image to another")?;
    }
    Ok(())
}

fn print_changes(stores: &Stores, old: &Images, new: &Images) -> anyhow::Result<()> {
    let version = |id: &String| {
        let text = stores
            .docker
            .read(stores.version_tool(id))
            .unwrap_or_default();
        let short = id
            .trim_start_matches("sha256:")
            .get(..12)
            .unwrap_or(id)
            .to_owned();
        parse_known(&text)
            .version
            .map_or(short.clone(), |version| format!("{version} ({short})"))
    };
    let mut rows = Vec::new();
    for (name, id) in new {
        let before = old.get(name).map(&version).unwrap_or_default();
        rows.push(vec![name.clone(), before, "->".to_owned(), version(id)]);
    }
    say!("{}", render_table(&rows).trim_end());
    Ok(())
}
