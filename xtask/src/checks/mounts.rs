//! The files of the checkout that containers read. Only looks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Scene;
use super::finding::Finding;
use crate::checkout::Checkout;
use crate::docker::tool::Seen;
use crate::problem::Problem;
use crate::system::files;
use crate::system::git::{GitState, git_state};

const CHECK: &str = "files";

/// The files of the checkout that containers read, none of which runs as the checkout's owner.
///
/// # Errors
/// When the engine does not answer.
pub fn check(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let root = scene.checkout.root();
    if cfg!(unix) && root.to_string_lossy().contains(':') {
        return Ok(vec![Finding::error(CHECK, colon(root))]);
    }
    let mounts = scene.config.services.values();
    let mounts = mounts.flat_map(|service| &service.volumes);
    let sources: BTreeSet<&Path> = mounts
        .filter(|mount| mount.kind == "bind")
        .map(|mount| Path::new(&mount.source))
        .filter(|path| path.starts_with(root))
        .collect();
    let problems = sources
        .iter()
        .filter_map(|path| problem_of(scene.checkout, path));
    let findings: Vec<Finding> = problems
        .map(|problem| Finding::error(CHECK, problem))
        .collect();
    if !findings.is_empty() {
        return Ok(findings);
    }
    let small: BTreeSet<&Path> = sources.into_iter().filter(|it| is_small_file(it)).collect();
    let unseen = check_engine_sees(scene, &small)?;
    Ok(unseen
        .map(|problem| Finding::error(CHECK, problem))
        .into_iter()
        .collect())
}

/// The engine parts the paths of a mount by colons (Engine 26.1.5, tried 2026-11-25).
fn colon(root: &Path) -> Problem {
    let root = root.display().to_string();
    let better = root.replace(':', "-");
    Problem::new(format!(
        "the engine cannot mount files of {root}: the path has a colon"
    ))
    .hint(format!("move the checkout: `mv '{root}' '{better}'`"))
}

/// Whether the engine has the same files at the same paths: one on another machine, or in a container or
/// another mount namespace, has another file system. Not known before an image is here.
fn check_engine_sees(scene: &Scene, files: &BTreeSet<&Path>) -> anyhow::Result<Option<Problem>> {
    let images = scene.docker.images(scene.config.images())?;
    let image = images.into_keys().next().filter(|_| !files.is_empty());
    let Some(image) = image else {
        return Ok(None);
    };
    let paths = files.iter().map(|path| path.to_string_lossy().into_owned());
    let paths: Vec<String> = paths.collect();
    let project = &scene.config.name;
    let what = match scene.docker.look_through_mounts(project, &image, &paths)? {
        Seen::Unknown => return Ok(None),
        Seen::Nothing => "the engine does not see the files of this checkout".to_owned(),
        Seen::Archive(archive) => {
            let differs = |path: &&&Path| fs::read(path).is_ok_and(|it| !contains(&archive, &it));
            let Some(other) = files.iter().find(differs) else {
                return Ok(None);
            };
            let name = scene.checkout.display(other);
            format!("the engine sees something else in the place of {name}")
        }
    };
    let address = &scene.engine.address;
    let hint = format!(
        "its file system is another one: use an engine of this machine (asked was {address}; \
         `docker context ls` shows all), or work in a checkout at the same path where the engine runs"
    );
    Ok(Some(Problem::new(what).hint(hint)))
}

/// Whether it is worth comparing: an override may mount folders of any size.
fn is_small_file(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|it| it.is_file() && it.len() <= 1 << 20)
}

fn contains(archive: &[u8], text: &[u8]) -> bool {
    text.is_empty() || archive.windows(text.len()).any(|part| part == text)
}

fn problem_of(checkout: &Checkout, path: &Path) -> Option<Problem> {
    let name = checkout.display(path);
    let git = || git_state(checkout.root(), path);
    match files::is_readable_for_all(path) {
        // Git knows no empty folders: it has a file there.
        Some(_) if is_empty_folder(path) && git() == Some(GitState::Committed) => Some(
            Problem::new(format!(
                "{name} is a folder: an engine makes one where a file is missing"
            ))
            .hint(format!("`rmdir {name} && git checkout -- {name}`")),
        ),
        Some(true) => None,
        Some(false) => Some(
            Problem::new(format!(
                "{name} is readable for you alone, and the containers run as other users"
            ))
            .hint(format!("`chmod a+r {name}`")),
        ),
        None => {
            let problem = Problem::new(format!("{name} is missing"));
            Some(problem.hint(match git() {
                Some(GitState::Committed) | None => format!("`git checkout -- {name}`"),
                Some(GitState::NotIgnored | GitState::Ignored) => {
                    format!("create {name}, or correct its path in the override")
                }
            }))
        }
    }
}

fn is_empty_folder(path: &Path) -> bool {
    fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
}
