//! The data of a backup in the place of what is there. Until everything in it has come back and was
//! counted, the old data stays where it is.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::condition::Opened;
use super::create::check;
use super::file::Archive;
use super::load::Settled;
use super::manifest::{Manifest, parse_known, refusal};
use super::stores::Stores;
use super::{APPLICATIONS, ENV, scripts};
use crate::checkout::Checkout;
use crate::docker::versions::Version;
use crate::problem::Problem;
use crate::system::files;
use crate::terminal::progress::Meter;

/// How a backup takes the place of what is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// PostgreSQL runs, and its databases are swapped.
    #[default]
    Databases,
    /// PostgreSQL does not start, or there is nothing for it: files are swapped.
    Files,
}

/// Which way a backup can go.
pub fn choose_way(opened: &Opened, manifest: &Manifest) -> Way {
    if opened.postgres.is_broken() || manifest.databases.is_empty() {
        Way::Files
    } else {
        Way::Databases
    }
}

/// Restores beside what is there, counts, and only then replaces. The applications must not run; PostgreSQL
/// must for [`Way::Databases`]. What is not in the backup stays as it is. Killed or failed, [`settle`]
/// brings it to an end.
///
/// # Errors
/// When something does not come back; before the commit, what was there is still there.
pub fn replace(
    stores: &Stores,
    archive: &mut Archive,
    manifest: &Manifest,
    way: Way,
) -> anyhow::Result<()> {
    stores.ensure_volumes()?;
    let lost = "what came back is not what was saved";
    match way {
        Way::Databases => {
            stores.ensure_postgres()?;
            let found = stores.stage(archive)?;
            check(&manifest.databases, &found).context(lost)?;
            stores.stage_files(archive)?;
            stores.stop(&["redis"])?;
            stores.check_interrupt()?;
            stores.swap()?;
            stores.settle().map(drop)
        }
        Way::Files => {
            stores.stop(&["postgres", "redis"])?;
            if !manifest.databases.is_empty() {
                let found = stores.stage_cluster(archive)?;
                check(&manifest.databases, &found).context(lost)?;
            }
            stores.stage_files(archive)?;
            stores.check_interrupt()?;
            stores.commit_files()
        }
    }
}

/// Brings [`replace`] to its end, at whatever point it stands. The applications must not run.
///
/// # Errors
/// When the engine or a script fails; it can be repeated then.
pub fn settle(stores: &Stores, way: Way) -> anyhow::Result<Settled> {
    stores.ensure_volumes()?;
    match way {
        Way::Databases => {
            let opened = stores.open()?;
            stores.stop(&["redis"])?;
            if opened.postgres.is_broken() {
                return Ok(Settled::Unknown);
            }
            stores.ensure_postgres()?;
            stores.settle()
        }
        Way::Files => {
            stores.stop(&["postgres", "redis"])?;
            stores.settle_files()
        }
    }
}

/// # Errors
/// When the backup is from something newer than the images of this stack, with the way out.
pub fn check_versions(stores: &Stores, manifest: &Manifest) -> anyhow::Result<()> {
    let versions = APPLICATIONS.map(|(service, owner)| (service, owner, stores.start_known(owner)));
    check_postgres(stores, manifest)?;
    stores.check_for_server(manifest)?;
    for (service, owner, running) in versions {
        let known = parse_known(&scripts::read(running?)?);
        let image = stores
            .config
            .services
            .get(owner)
            .map_or("", |service| &service.image);
        if let Some(problem) = refusal(service, manifest, &known, image) {
            bail!(problem);
        }
    }
    Ok(())
}

fn check_postgres(stores: &Stores, manifest: &Manifest) -> anyhow::Result<()> {
    let here = stores.image_version()?;
    if Version::parse(&manifest.postgres).is_some_and(|saved| saved.0 > here.0) {
        let (saved, here) = (&manifest.postgres, here.0);
        let what = format!(
            "the backup is of PostgreSQL {saved}, and the image is PostgreSQL {here}, which cannot \
             read it"
        );
        bail!(Problem::new(what).hint(
            "set POSTGRES_IMAGE in deploy/analytics/.env to that major version or a newer one"
        ));
    }
    Ok(())
}

/// What became of the `.env` in a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    FromBackup,
    /// There was one already.
    Kept,
}

/// Takes `.env` from a backup where there is none.
///
/// # Errors
/// When it cannot be written.
pub fn take_env_file(checkout: &Checkout, archive: &mut Archive) -> anyhow::Result<Taken> {
    let path = checkout.env_file();
    if files::read_text(&path)?.is_some() {
        return Ok(Taken::Kept);
    }
    let mut text = Vec::new();
    archive.send(ENV, &mut text, &mut Meter::new(ENV))?;
    let text = String::from_utf8(text).context("reading .env from the backup")?;
    files::replace_private(&path, &text)?;
    Ok(Taken::FromBackup)
}
