//! Makes a backup file, proven to be restorable. Must change nothing of the stack: what it had to start is
//! stopped again, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::file::Archive;
use super::manifest::{self, Application, Database, FORMAT, Manifest};
use super::stores::{SERVICES, Stores};
use super::{APPLICATIONS, ENV, scripts};
use crate::docker::invocation::Pipe;
use crate::problem::Problem;
use crate::session::Session;
use crate::system::{clock, files};
use crate::terminal::say;
use crate::terminal::text::{render_bytes, render_timestamp};

/// What is wanted of a backup.
pub struct Wanted<'a> {
    pub folder: &'a Path,
    pub verification: Verification,
    pub env: EnvPart,
}

/// How a backup is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It is restored into a throwaway PostgreSQL, and everything in it counted.
    Restore,
    Skip,
}

/// Whether `.env`, with all its secrets, is part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvPart {
    Include,
    LeaveOut,
}

impl Wanted<'_> {
    /// A verified backup without secrets.
    pub fn new(folder: &Path) -> Wanted<'_> {
        Wanted {
            folder,
            verification: Verification::Restore,
            env: EnvPart::LeaveOut,
        }
    }
}

/// Makes a backup and returns where it is.
///
/// # Errors
/// Whatever goes wrong, no file has got its final name, and nothing runs that did not before.
pub fn create(session: &Session, stores: &Stores, wanted: &Wanted) -> anyhow::Result<PathBuf> {
    let was_started = stores.ensure_running()?;
    let created = write(session, stores, wanted);
    if was_started {
        let stopped = stores.stop(&["postgres", "redis"]);
        // Why there is no backup is the more important news.
        let path = created?;
        stopped?;
        return Ok(path);
    }
    created
}

fn write(session: &Session, stores: &Stores, wanted: &Wanted) -> anyhow::Result<PathBuf> {
    let versions = start_versions(stores);
    let prefix = format!(".{}-backup-", stores.config.name);
    files::ensure_private_folder(wanted.folder)?;
    files::remove_abandoned(wanted.folder, &prefix);
    let draft = files::begin_private(wanted.folder, &prefix)?;
    let clone = draft.as_file().try_clone().context("writing the backup")?;
    let mut archive = Archive::write_to(clone);

    let (postgres, databases) = add_data(stores, &mut archive)?;
    if wanted.env == EnvPart::Include {
        let text = files::read_text(&session.checkout.env_file())?.unwrap_or_default();
        archive.add(ENV, &mut text.as_bytes())?;
    }
    if wanted.verification == Verification::Restore {
        verify(stores, &mut archive, &databases)?;
    }

    let made_at = free_time(wanted.folder, &stores.config.name);
    let manifest = Manifest {
        format: FORMAT,
        name: manifest::file_name(&stores.config.name, made_at),
        made_at: render_timestamp(made_at),
        project: stores.config.name.clone(),
        verified: wanted.verification == Verification::Restore,
        postgres,
        applications: applications(stores, versions)?,
        databases,
        parts: archive.parts.clone(),
    };
    archive.finish(&manifest)?;
    let path = wanted.folder.join(&manifest.name);
    files::publish(draft, &path)?;

    report(&manifest, files::size(&path)?, wanted.env);
    Ok(path)
}

/// Adds all that is not derived from something else; returns the server's version and what is in the
/// databases.
fn add_data(
    stores: &Stores,
    archive: &mut Archive,
) -> anyhow::Result<(String, BTreeMap<String, Database>)> {
    // Redis first: an event that is still queued in it may be in the database too by the time that is
    // dumped, and is stored once all the same; the other way round it could be in neither.
    stores.dump_redis(archive)?;
    let mut databases = BTreeMap::new();
    let mut postgres = String::new();
    for service in SERVICES {
        let said = stores.dump(service, archive)?;
        postgres = said.version;
        databases.insert(service.to_owned(), said.database);
    }
    stores.dump_rest(archive)?;
    Ok((postgres, databases))
}

fn verify(
    stores: &Stores,
    archive: &mut Archive,
    databases: &BTreeMap<String, Database>,
) -> anyhow::Result<()> {
    let found = stores
        .rehearse(archive)
        .context("the test restore failed; no backup was kept")?;
    check(databases, &found).context(
        Problem::new("the test restore shows other data than was saved; no backup was kept")
            .hint("`cargo xtask backup --no-verify` keeps it without a test restore"),
    )
}

/// # Errors
/// The first table that is not what it was.
pub fn check(
    saved: &BTreeMap<String, Database>,
    found: &BTreeMap<String, Database>,
) -> anyhow::Result<()> {
    for (service, saved) in saved {
        let found = found
            .get(service)
            .with_context(|| format!("the database of {service} did not come back"))?;
        if let Some(difference) = manifest::difference(saved, found) {
            bail!("{service}: {difference}");
        }
    }
    Ok(())
}

type Version<'a> = (&'static str, &'static str, anyhow::Result<Pipe<'a>>);

fn start_versions<'a>(stores: &'a Stores) -> [Version<'a>; 2] {
    APPLICATIONS.map(|(service, owner)| (service, owner, stores.start_version(owner)))
}

fn applications(
    stores: &Stores,
    versions: [Version; 2],
) -> anyhow::Result<BTreeMap<String, Application>> {
    let images = stores.session.docker.images(stores.config.images())?;
    let mut applications = BTreeMap::new();
    for (service, owner, version) in versions {
        let image = stores
            .config
            .services
            .get(owner)
            .map_or("", |service| &service.image);
        // An image that is not here any more tells no version.
        let known = version
            .and_then(scripts::read)
            .map(|text| manifest::parse_known(&text));
        let application = Application {
            image_id: images.get(image).cloned().unwrap_or_default(),
            version: known.unwrap_or_default().version,
            image: image.to_owned(),
        };
        applications.insert(service.to_owned(), application);
    }
    Ok(applications)
}

/// Now, or the next second for which there is no backup yet.
fn free_time(folder: &Path, project: &str) -> u64 {
    let mut now = clock::now();
    while folder.join(manifest::file_name(project, now)).exists() {
        now += 1;
    }
    now
}

fn report(manifest: &Manifest, size: u64, env: EnvPart) {
    let proof = if manifest.verified {
        "verified by a test restore"
    } else {
        "not verified"
    };
    say!(
        "saved {} rows ({}), {proof}",
        manifest.rows(),
        render_bytes(size)
    );
    if env == EnvPart::LeaveOut {
        say!("the secrets of .env are not in it: keep a copy of .env, or use `--with-env`");
    }
}
