//! Makes a backup file, proven to be restorable. Must change nothing of the stack: what it had to start is
//! stopped again, however it ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::condition::{Condition, Opened};
use super::file::Archive;
use super::manifest::{self, Application, COMPLETE, Database, Manifest, PARTIAL};
use super::save::{Saved, files_name};
use super::stores::{SERVICES, Stores};
use super::{APPLICATIONS, ENV, scripts};
use crate::docker::invocation::Pipe;
use crate::problem::Problem;
use crate::session::Session;
use crate::system::{clock, files};
use crate::terminal::text::{render_bytes, render_timestamp};
use crate::terminal::{self, say};

/// What is wanted of a backup.
pub struct Wanted<'a> {
    pub folder: &'a Path,
    pub verification: Verification,
    pub env: EnvPart,
    pub broken: Broken,
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

/// What becomes of a store that cannot be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// There is no backup then.
    Refuse,
    /// The backup is partial.
    LeaveOut,
    /// The backup is partial, and has the files of the store as they are: they are about to be replaced or
    /// deleted, and somebody may know how to mend them.
    KeepFiles,
}

impl Wanted<'_> {
    /// A complete and verified backup without secrets.
    pub fn new(folder: &Path) -> Wanted<'_> {
        Wanted {
            folder,
            verification: Verification::Restore,
            env: EnvPart::LeaveOut,
            broken: Broken::Refuse,
        }
    }

    /// Of everything that is about to be replaced or deleted, in whatever state it is.
    pub fn of_all(folder: &Path) -> Wanted<'_> {
        Wanted {
            broken: Broken::KeepFiles,
            ..Wanted::new(folder)
        }
    }
}

/// A backup that was made.
pub struct Created {
    pub path: PathBuf,
    /// What is not in it, and why.
    pub missing: BTreeMap<String, String>,
}

/// Makes a backup and returns where it is.
///
/// # Errors
/// Whatever goes wrong, no file has got its final name, and nothing runs that did not before.
pub fn create(session: &Session, stores: &Stores, wanted: &Wanted) -> anyhow::Result<Created> {
    let opened = open(stores, wanted.broken)?;
    let created = create_from(session, stores, &opened, wanted);
    let created = created.map_err(|error| name_interrupt(stores, error));
    if created.is_err() && !opened.started.is_empty() {
        say!("stopping {} again", opened.started.join(" and "));
    }
    let stopped = stores.stop(&opened.started);
    // Why there is no backup is the more important news.
    let created = created?;
    stopped?;
    Ok(created)
}

fn open(stores: &Stores, broken: Broken) -> anyhow::Result<Opened> {
    let opened = stores.open()?;
    if broken != Broken::Refuse {
        return Ok(opened);
    }
    let conditions = [&opened.postgres, &opened.redis, &opened.uploads];
    if let Some(reason) = conditions.iter().find_map(|it| it.reason()) {
        stores.stop(&opened.started)?;
        bail!(
            Problem::new(reason)
                .hint("`cargo xtask backup --list` shows the backups that can be restored")
        );
    }
    Ok(opened)
}

/// After Ctrl-C it is no news that a container ended.
fn name_interrupt(stores: &Stores, error: anyhow::Error) -> anyhow::Error {
    if stores.check_interrupt().is_ok() {
        return error;
    }
    Problem::new("interrupted; no backup was made")
        .hint("`cargo xtask backup` starts again from the beginning")
        .into()
}

/// An empty file in the folder for backups, which is made if it is the stack's own.
fn begin(session: &Session, folder: &Path, prefix: &str) -> anyhow::Result<files::Draft> {
    let made = files::ensure_private_folder(folder).and_then(|()| {
        files::remove_abandoned(folder, prefix);
        files::begin_private(folder, prefix)
    });
    if folder == session.checkout.backups() {
        return made;
    }
    // One of the user's choice may rightly belong to somebody else.
    made.with_context(|| {
        Problem::new("the backup cannot be written")
            .hint("choose a folder that exists and is yours: `cargo xtask backup --output ~`")
    })
}

/// [`create`] of stores that have been opened, which are left as they are.
///
/// # Errors
/// Whatever goes wrong, no file has got its final name.
pub fn create_from(
    session: &Session,
    stores: &Stores,
    opened: &Opened,
    wanted: &Wanted,
) -> anyhow::Result<Created> {
    let versions = start_versions(stores);
    let project = &stores.config.name;
    let prefix = format!(".{project}-backup-");
    let draft = begin(session, wanted.folder, &prefix)?;
    let clone = draft.as_file().try_clone().context("writing the backup")?;
    let mut archive = Archive::write_to(clone);

    let content = fill(session, stores, opened, (&mut archive, wanted))?;

    stores.check_interrupt()?;
    let made_at = free_time(wanted.folder, project);
    let manifest = Manifest {
        format: if content.missing.is_empty() {
            COMPLETE
        } else {
            PARTIAL
        },
        name: manifest::file_name(project, made_at),
        made_at: render_timestamp(made_at),
        project: project.clone(),
        verified: wanted.verification == Verification::Restore,
        postgres: content.postgres,
        applications: applications(stores, versions)?,
        databases: content.databases,
        parts: archive.parts.clone(),
        missing: content.missing,
    };
    archive.finish(&manifest)?;
    let path = wanted.folder.join(&manifest.name);
    files::publish(draft, &path)?;

    report(&manifest, files::size(&path)?, wanted.env);
    Ok(Created {
        path,
        missing: manifest.missing,
    })
}

/// What a backup holds, and what it does not.
#[derive(Default)]
struct Content {
    /// The server's version.
    postgres: String,
    databases: BTreeMap<String, Database>,
    missing: BTreeMap<String, String>,
}

impl Content {
    /// What `save` saved of a store; else notes why it is missing.
    fn take<T>(
        &mut self,
        what: &str,
        condition: &Condition,
        save: impl FnOnce() -> anyhow::Result<Saved<T>>,
    ) -> anyhow::Result<Option<T>> {
        let reason = match condition.reason() {
            Some(reason) => reason.to_owned(),
            None => match save()? {
                Ok(saved) => return Ok(Some(saved)),
                Err(error) => format!("{error:#}"),
            },
        };
        self.missing.insert(what.to_owned(), reason);
        Ok(None)
    }

    fn lacks(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.missing.contains_key(*name))
    }
}

/// Fills an archive with all that is wanted and can be saved.
fn fill(
    session: &Session,
    stores: &Stores,
    opened: &Opened,
    (archive, wanted): (&mut Archive, &Wanted),
) -> anyhow::Result<Content> {
    let content = add_data(stores, opened, archive)?;
    if wanted.broken == Broken::KeepFiles {
        keep_files(stores, opened, &content, archive)?;
    }
    if !content.missing.is_empty() && (wanted.broken == Broken::Refuse || archive.parts.is_empty())
    {
        let reasons = content.missing.iter();
        let reasons: Vec<String> = reasons
            .map(|(what, why)| format!("{what} ({why})"))
            .collect();
        bail!("could not be saved: {}", reasons.join(", "));
    }

    if wanted.env == EnvPart::Include {
        let text = files::read_text(&session.checkout.env_file())?.unwrap_or_default();
        archive.add(ENV, &mut text.as_bytes())?;
    }
    if wanted.verification == Verification::Restore {
        verify(stores, archive, &content.databases)?;
    }
    Ok(content)
}

/// Adds all that is not derived from something else, as far as it can be read.
fn add_data(stores: &Stores, opened: &Opened, archive: &mut Archive) -> anyhow::Result<Content> {
    let mut content = Content::default();
    // Redis first: an event that is still queued in it may be in the database too by the time that is
    // dumped, and is stored once all the same; the other way round it could be in neither.
    content.take("redis", &opened.redis, || stores.dump_redis(archive))?;
    for service in SERVICES {
        let said = content.take(service, &opened.postgres, || stores.dump(service, archive))?;
        if let Some(said) = said {
            content.postgres = said.version;
            content.databases.insert(service.to_owned(), said.database);
        }
    }
    if !content.databases.is_empty() {
        let roles = || stores.dump_roles(archive);
        content.take("roles", &opened.postgres, roles)?;
    }
    content.take("uploads", &opened.uploads, || stores.dump_uploads(archive))?;
    // What Ctrl-C cut off is not broken.
    stores.check_interrupt()?;
    Ok(content)
}

/// Adds the files of each store that could not be saved otherwise.
fn keep_files(
    stores: &Stores,
    opened: &Opened,
    content: &Content,
    archive: &mut Archive,
) -> anyhow::Result<()> {
    for (service, key, condition, names) in [
        ("postgres", "postgres_data", &opened.postgres, &SERVICES[..]),
        ("redis", "redis_data", &opened.redis, &["redis"]),
    ] {
        if !content.lacks(names) || matches!(condition, Condition::Nothing(_)) {
            continue;
        }
        stores.stop(&[service])?;
        let copied = stores.copy_files(key, archive);
        if !condition.is_broken() {
            stores.ensure_services(&[service])?;
        }
        copied.with_context(|| format!("keeping the files of {key}"))?;
    }
    if content.lacks(&["uploads"]) && opened.uploads == Condition::Usable {
        bail!("{}", content.missing["uploads"]);
    }
    Ok(())
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
    let (rows, size) = (manifest.rows(), render_bytes(size));
    if manifest.is_complete() {
        say!("saved {rows} rows ({size}), {proof}");
    } else {
        say!("saved in part: {rows} rows ({size}), {proof}");
    }
    for (what, why) in &manifest.missing {
        terminal::say_warning(&Problem::new(format!("not saved: {what} ({why})")));
    }
    for key in ["postgres_data", "redis_data"] {
        let part = files_name(key);
        if manifest.parts.contains_key(&part) {
            say!("kept the files of {key} as they are, as {part} in the backup");
        }
    }
    if env == EnvPart::LeaveOut {
        say!("the secrets of .env are not in it: keep a copy of .env, or use `--with-env`");
    }
}
