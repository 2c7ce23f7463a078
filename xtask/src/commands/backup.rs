//! `backup`: all data in one file, proven to be restorable. The stack runs on; nothing in it is changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::backup::file::{self as archive, Archive};
use crate::backup::manifest::{self as backup, Application, Database, FORMAT, Manifest};
use crate::backup::stores::{SERVICES, Stores};
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::{Outcome, restore};
use crate::docker::Docker;
use crate::system::draft::sync_folder;
use crate::system::{self, Lock};
use crate::terminal::text::{render_bytes, render_table, render_timestamp};
use crate::terminal::{self, say};

/// The part with the secrets, where the user wants it.
pub const ENV: &str = "env";

pub fn run(project: &Checkout, docker: &Docker, options: &cli::Backup) -> anyhow::Result<Outcome> {
    let folder = match &options.output {
        Some(folder) => std::path::absolute(folder).context("finding the folder for the backup")?,
        None => project.backups(),
    };
    if options.list {
        let config = docker.config()?;
        return list(project, &config.name, &folder);
    }
    let lock = Lock::acquire(project)?;
    restore::finish_interrupted(project, docker, &lock)?;
    let config = docker.config()?;
    let stores = Stores::find(docker, &lock, &config)?;
    if !stores.exist()? {
        bail!(
            "the project {} has no data yet, so there is nothing to save",
            config.name
        );
    }
    let wanted = Wanted {
        folder: &folder,
        verify: !options.no_verify,
        with_env: options.with_env,
    };
    let path = make(project, &stores, &wanted)?;
    if let Some(keep) = options.keep {
        remove_older(project, &config.name, &folder, keep)?;
    }
    terminal::print(&format!("{}\n", path.display()))?;
    Ok(Outcome::Done)
}

pub struct Wanted<'a> {
    pub folder: &'a Path,
    pub verify: bool,
    pub with_env: bool,
}

/// Makes a backup and returns where it is.
///
/// # Errors
/// Whatever goes wrong, no file has got its final name.
pub fn make(project: &Checkout, stores: &Stores, wanted: &Wanted) -> anyhow::Result<PathBuf> {
    let config = stores.config;
    let was_started = stores.ensure_running()?;
    let versions =
        APPLICATIONS.map(|(service, owner)| (service, owner, stores.start_version(owner)));
    let draft = system::begin_draft(wanted.folder, &format!(".{}-backup-", config.name))?;
    let mut archive = Archive::write_to(draft.file().try_clone().context("writing the backup")?);

    // Redis first: an event that is still queued in it may be in the database too by the time that is
    // dumped, and is stored once all the same; the other way round it could be in neither.
    stores.dump_redis(&mut archive)?;
    let mut databases = BTreeMap::new();
    let mut postgres = String::new();
    for service in SERVICES {
        let said = stores.dump(service, &mut archive)?;
        postgres = said.version;
        databases.insert(service.to_owned(), said.database);
    }
    stores.dump_rest(&mut archive)?;
    if wanted.with_env {
        let text = system::read_text(&project.env_file())?.unwrap_or_default();
        archive.add(ENV, &mut text.as_bytes())?;
    }
    if wanted.verify {
        let found = stores
            .rehearse(&mut archive)
            .context("the backup cannot be restored; nothing was kept")?;
        check(&databases, &found)
            .context("the backup is not good; nothing was kept (`--no-verify` keeps it)")?;
    }
    if was_started {
        stores.stop(&["postgres", "redis"])?;
    }

    let images = stores.docker.images(
        config
            .services
            .values()
            .map(|service| service.image.as_str()),
    )?;
    let mut applications = BTreeMap::new();
    for (service, owner, version) in versions {
        let image = config
            .services
            .get(owner)
            .map_or("", |service| &service.image)
            .to_owned();
        // An image that is not here any more tells no version.
        let known = version
            .and_then(|running| running.finish())
            .map(|text| backup::parse_known(&text));
        applications.insert(
            service.to_owned(),
            Application {
                image_id: images.get(&image).cloned().unwrap_or_default(),
                version: known.unwrap_or_default().version,
                image,
            },
        );
    }
    let mut now = system::now();
    // Two in one second.
    while wanted
        .folder
        .join(backup::file_name(&config.name, now))
        .exists()
    {
        now += 1;
    }
    let manifest = Manifest {
        format: FORMAT,
        name: backup::file_name(&config.name, now),
        made_at: render_timestamp(now),
        project: config.name.clone(),
        verified: wanted.verify,
        postgres,
        applications,
        databases,
        parts: archive.parts.clone(),
    };
    archive.finish(&manifest)?;
    let path = wanted.folder.join(&manifest.name);
    let named = draft
        .file()
        .sync_all()
        .and_then(|()| draft.publish(&path))
        .and_then(|()| sync_folder(wanted.folder));
    named.with_context(|| format!("writing {}", path.display()))?;
    let state = if wanted.verify {
        "saved, restored once and counted"
    } else {
        "saved, not verified"
    };
    say!(
        "{state}: {} rows, {}",
        manifest.rows(),
        render_bytes(system::size(&path)?)
    );
    if !wanted.with_env {
        say!("the secrets of .env are not in it; keep a copy of .env elsewhere, or use --with-env");
    }
    Ok(path)
}

/// The two applications, and the service whose image each is.
pub const APPLICATIONS: [(&str, &str); 2] = [("umami", "umami"), ("glitchtip", "glitchtip-web")];

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
        if let Some(difference) = backup::difference(saved, found) {
            bail!("{service}: {difference}");
        }
    }
    Ok(())
}

/// The backups of a project in a folder, the newest first; a file that is none says why.
fn find(folder: &Path, project: &str) -> anyhow::Result<Vec<(PathBuf, anyhow::Result<Manifest>)>> {
    let doing = || format!("reading {}", folder.display());
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        if entry
            .file_name()
            .to_str()
            .is_some_and(|name| backup::is_file_name(project, name))
        {
            paths.push(entry.path());
        }
    }
    paths.sort_by(|a, b| b.cmp(a));
    Ok(paths
        .into_iter()
        .map(|path| {
            (
                path.clone(),
                archive::open(&path).map(|(_, manifest)| manifest),
            )
        })
        .collect())
}

fn list(project: &Checkout, name: &str, folder: &Path) -> anyhow::Result<Outcome> {
    let found = find(folder, name)?;
    if found.is_empty() {
        say!(
            "no backups of the project {name} in {}",
            project.display(folder)
        );
        return Ok(Outcome::Done);
    }
    let mut rows = vec![
        [
            "MADE",
            "SIZE",
            "ROWS",
            "STATE",
            "UMAMI",
            "GLITCHTIP",
            "POSTGRES",
            "FILE",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for (path, manifest) in &found {
        let size = render_bytes(system::size(path)?);
        let file = project.display(path);
        rows.push(match manifest {
            Ok(manifest) => {
                let version = |service: &str| {
                    let application = manifest.applications.get(service);
                    application
                        .and_then(|application| application.version.clone())
                        .unwrap_or_else(|| "-".to_owned())
                };
                vec![
                    manifest.made_at.clone(),
                    size,
                    manifest.rows().to_string(),
                    if manifest.verified {
                        "verified"
                    } else {
                        "not verified"
                    }
                    .to_owned(),
                    version("umami"),
                    version("glitchtip"),
                    manifest.postgres.clone(),
                    file,
                ]
            }
            Err(_) => ["-", &size, "-", "no backup", "-", "-", "-", &file]
                .map(str::to_owned)
                .to_vec(),
        });
    }
    terminal::print(&render_table(&rows))?;
    for (path, error) in found
        .iter()
        .filter_map(|(path, manifest)| Some((path, manifest.as_ref().err()?)))
    {
        say!("{}: {error:#}", project.display(path));
    }
    Ok(Outcome::Done)
}

/// Deletes what is older than the newest `keep` backups, except the newest verified one and what is none.
fn remove_older(project: &Checkout, name: &str, folder: &Path, keep: u64) -> anyhow::Result<()> {
    let found = find(folder, name)?;
    let backups: Vec<(&PathBuf, &Manifest)> = found
        .iter()
        .filter_map(|(path, manifest)| Some((path, manifest.as_ref().ok()?)))
        .collect();
    let newest_verified = backups.iter().position(|(_, manifest)| manifest.verified);
    for (position, (path, _)) in backups.iter().enumerate().skip(usize::try_from(keep)?) {
        if Some(position) != newest_verified {
            system::remove_file(path)?;
            say!("deleted {}", project.display(path));
        }
    }
    Ok(())
}
