//! The backups of a project in a folder.

use std::path::{Path, PathBuf};

use super::file;
use super::manifest::{self, Manifest};
use crate::checkout::Checkout;
use crate::problem::Problem;
use crate::system::files;
use crate::terminal::text::{render_bytes, render_table};
use crate::terminal::{self, say};

const TITLES: [&str; 8] = [
    "MADE",
    "SIZE",
    "ROWS",
    "STATE",
    "UMAMI",
    "GLITCHTIP",
    "POSTGRES",
    "FILE",
];

/// A table of the backups of a project, the newest first; says why a file is none. Empty when there are
/// none, which is said.
///
/// # Errors
/// When the folder cannot be read.
pub fn render(checkout: &Checkout, project: &str, folder: &Path) -> anyhow::Result<String> {
    let found = find(folder, project)?;
    if found.is_empty() {
        say!(
            "no backups of the project {project} in {}",
            checkout.display(folder)
        );
        return Ok(String::new());
    }
    let mut rows = vec![TITLES.map(str::to_owned).to_vec()];
    for (path, manifest) in &found {
        let (size, name) = (render_bytes(files::size(path)?), checkout.display(path));
        rows.push(match manifest {
            Ok(manifest) => row(manifest, size, name),
            Err(error) => {
                let what = format!("{name} is not a usable backup: {error:#}");
                terminal::say_warning(&Problem::new(what));
                ["-", &size, "-", "unusable", "-", "-", "-", &name]
                    .map(str::to_owned)
                    .to_vec()
            }
        });
    }
    Ok(render_table(&rows))
}

fn row(manifest: &Manifest, size: String, name: String) -> Vec<String> {
    let version = |service: &str| {
        let application = manifest.applications.get(service);
        application
            .and_then(|it| it.version.clone())
            .unwrap_or_else(|| "-".to_owned())
    };
    let state = if manifest.verified {
        "verified"
    } else {
        "not verified"
    };
    vec![
        manifest.made_at.clone(),
        size,
        manifest.rows().to_string(),
        state.to_owned(),
        version("umami"),
        version("glitchtip"),
        manifest.postgres.clone(),
        name,
    ]
}

/// Deletes what is older than the newest `keep` backups, except the newest verified one and what is none.
///
/// # Errors
/// When the folder cannot be read, or a file not be deleted.
pub fn remove_older(
    checkout: &Checkout,
    project: &str,
    folder: &Path,
    keep: u64,
) -> anyhow::Result<()> {
    let found = find(folder, project)?;
    let backups = found
        .iter()
        .filter_map(|(path, it)| Some((path, it.as_ref().ok()?)));
    let backups: Vec<(&PathBuf, &Manifest)> = backups.collect();
    let newest_verified = backups.iter().position(|(_, manifest)| manifest.verified);
    for (position, (path, _)) in backups.iter().enumerate().skip(usize::try_from(keep)?) {
        if Some(position) != newest_verified {
            files::remove(path)?;
            say!("deleted {}", checkout.display(path));
        }
    }
    Ok(())
}

type Found = Vec<(PathBuf, anyhow::Result<Manifest>)>;

/// The backups of a project in a folder, the newest first; a file that is none says why.
fn find(folder: &Path, project: &str) -> anyhow::Result<Found> {
    let is_ours = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_some_and(|name| manifest::is_file_name(project, name))
    };
    let mut paths: Vec<PathBuf> = files::list(folder)?.into_iter().filter(is_ours).collect();
    paths.sort_by(|a, b| b.cmp(a));
    let open = |path: PathBuf| {
        let manifest = file::open(&path).map(|(_, manifest)| manifest);
        (path, manifest)
    };
    Ok(paths.into_iter().map(open).collect())
}
