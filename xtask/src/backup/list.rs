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
    let postgres = match manifest.postgres.as_str() {
        "" => "-",
        version => version,
    };
    vec![
        manifest.made_at.clone(),
        size,
        manifest.rows().to_string(),
        manifest.state(),
        version("umami"),
        version("glitchtip"),
        postgres.to_owned(),
        name,
    ]
}

/// Deletes what is older than the newest `keep` backups, except the newest verified one and what is none.
/// Partial backups are counted apart, so that they never push out a complete one.
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
    for path in outdated(&found, usize::try_from(keep)?) {
        files::remove(path)?;
        say!("deleted {}", checkout.display(path));
    }
    Ok(())
}

fn outdated(found: &Found, keep: usize) -> Vec<&PathBuf> {
    let backups = found
        .iter()
        .filter_map(|(path, it)| Some((path, it.as_ref().ok()?)));
    let (complete, partial): (Vec<_>, Vec<_>) = backups.partition(|(_, it)| it.is_complete());
    let newest_verified = complete.iter().find(|(_, it)| it.verified);
    let newest_verified = newest_verified.map(|(path, _)| *path);
    let older = complete.iter().skip(keep).chain(partial.iter().skip(keep));
    older
        .map(|(path, _)| *path)
        .filter(|path| Some(*path) != newest_verified)
        .collect()
}

/// The newest backup of a project in a folder that brings back all data.
pub fn newest_complete(folder: &Path, project: &str) -> Option<PathBuf> {
    let found = find(folder, project).ok()?;
    let is_complete = |it: &anyhow::Result<Manifest>| it.as_ref().is_ok_and(Manifest::is_complete);
    found
        .into_iter()
        .find(|(_, it)| is_complete(it))
        .map(|(path, _)| path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backup::manifest::{COMPLETE, PARTIAL};

    fn backup(name: &str, state: &str) -> (PathBuf, anyhow::Result<Manifest>) {
        let partial = state == "partial";
        let json = serde_json::json!({
            "format": if partial { PARTIAL } else { COMPLETE },
            "name": name, "made_at": "", "project": "", "verified": state != "not verified",
            "postgres": "", "applications": {}, "databases": {}, "parts": {},
            "missing": if partial { serde_json::json!({"redis": "why"}) } else { serde_json::json!({}) },
        });
        let manifest = Manifest::parse(&json.to_string()).map_err(anyhow::Error::msg);
        (PathBuf::from(name), manifest)
    }

    #[track_caller]
    fn check(backups: &[(&str, &str)], keep: usize, wanted: &[&str]) {
        let found: Found = backups
            .iter()
            .map(|(name, state)| backup(name, state))
            .collect();
        let wanted: Vec<PathBuf> = wanted.iter().map(PathBuf::from).collect();
        assert_eq!(outdated(&found, keep), wanted.iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_partial_backup_never_pushes_out_a_complete_one() {
        let verified = [("c", "verified"), ("b", "verified"), ("a", "verified")];
        check(&verified, 2, &["a"]);
        check(&verified, 0, &["b", "a"]);
        let broken = [
            ("d", "partial"),
            ("c", "partial"),
            ("b", "verified"),
            ("a", "verified"),
        ];
        check(&broken, 1, &["a", "c"]);
        let unverified = [("c", "partial"), ("b", "not verified"), ("a", "verified")];
        check(&unverified, 1, &[]);
    }
}
