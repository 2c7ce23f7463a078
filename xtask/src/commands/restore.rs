//! `restore`: puts a backup in the place of what is there.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::backup::file::{self, Archive};
use crate::backup::manifest::Manifest;
use crate::backup::stores::Stores;
use crate::backup::{ENV, replace};
use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::env::settings;
use crate::env::values::Values;
use crate::operations::env_file;
use crate::operations::open::{Resume, open_locked};
use crate::operations::restore::{self, Proof, Safety};
use crate::problem::Problem;
use crate::session::Session;
use crate::stack::{Stack, images};
use crate::system::lock::Lock;
use crate::terminal::{self, say};
use crate::{cli, diagnosis};

pub fn run(checkout: &Checkout, options: &cli::Restore) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(&checkout.lock_file())?;
    let path = std::path::absolute(&options.file).context("finding the backup")?;
    let opened = file::open_checked(&path);
    let (mut archive, manifest) = opened.with_context(|| {
        Problem::new(format!("{} cannot be restored", checkout.display(&path)))
            .hint("`cargo xtask backup --list` shows the backups that are here")
    })?;
    let (rows, made_at, project) = (manifest.rows(), &manifest.made_at, &manifest.project);
    say!("checked: all checksums match; saved {made_at}, {rows} rows of the project {project}");
    say_missing(&manifest)?;
    ensure_env_file(checkout, &mut archive)?;
    let timeout = Duration::from_secs(options.wait.timeout);
    if let Some(problem) = settings::unrestorable_name(&Values::read(checkout)?) {
        bail!(problem);
    }
    let (session, stack) = open_locked(checkout, lock, Resume::Data, timeout)?;

    let data = look(&session, &stack, &manifest)?;
    if data == Data::Present && !options.yes && !agrees(&session, &path, &stack.desired.name)? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }

    let safety = if options.no_backup {
        Safety::NoBackup
    } else {
        Safety::Backup
    };
    let proof = if options.no_verify {
        Proof::None
    } else {
        Proof::Events
    };
    restore::run(&session, (&mut archive, &manifest), safety, proof)?;
    Ok(Outcome::Done)
}

/// Whether there is data that would be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    Present,
    None,
}

/// Whether the backup can be restored here, and over what. When it returns, Ctrl-C ends this process again:
/// the question that follows must not outlive it.
fn look(session: &Session, stack: &Stack, manifest: &Manifest) -> anyhow::Result<Data> {
    let stores = Stores::find(session, &stack.desired)?;
    let pulled = images::ensure(session, &stack.desired);
    pulled.map_err(|error| diagnosis::explain(&session.docker, &stack.desired, error))?;
    replace::check_versions(&stores, manifest)?;
    let data = if stores.exist()? {
        Data::Present
    } else {
        Data::None
    };
    stores.check_interrupt()?;
    Ok(data)
}

/// Says what a partial backup does not bring back.
fn say_missing(manifest: &Manifest) -> anyhow::Result<()> {
    if manifest.is_complete() {
        return Ok(());
    }
    let names = manifest.missing_names();
    if !manifest.brings_anything() {
        let what = format!("the backup is partial, and nothing in it can be restored: no {names}");
        bail!(Problem::new(what).hint("`cargo xtask backup --list` shows the others"));
    }
    for (what, why) in &manifest.missing {
        let what = format!("this backup does not bring back {what}, which stays as it is ({why})");
        terminal::say_warning(&Problem::new(what));
    }
    Ok(())
}

fn agrees(session: &Session, path: &Path, project: &str) -> anyhow::Result<bool> {
    let name = session.checkout.display(path);
    terminal::ask(&format!(
        "Replace all data of the project {project} by that of {name}?"
    ))
}

/// Where there is no `.env`, that of the backup is better than new secrets.
fn ensure_env_file(checkout: &Checkout, archive: &mut Archive) -> anyhow::Result<()> {
    if archive.parts.contains_key(ENV) {
        let name = checkout.display(&checkout.env_file());
        match replace::take_env_file(checkout, archive)? {
            replace::Taken::FromBackup => say!("took {name} from the backup"),
            replace::Taken::Kept => say!("kept the present {name}; the backup has one too"),
        }
    }
    env_file::ensure(checkout).map(drop)
}
