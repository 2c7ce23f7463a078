//! The files of the checkout that containers read. Only looks.

use std::collections::BTreeSet;
use std::path::Path;

use super::Scene;
use super::finding::Finding;
use crate::checkout::Checkout;
use crate::problem::Problem;
use crate::system::files;

/// The files of the checkout that containers read, none of which runs as the checkout's owner.
pub fn check(scene: &Scene) -> Vec<Finding> {
    let mounts = scene.config.services.values();
    let mounts = mounts.flat_map(|service| &service.volumes);
    let sources: BTreeSet<&Path> = mounts
        .filter(|mount| mount.kind == "bind")
        .map(|mount| Path::new(&mount.source))
        .filter(|path| path.starts_with(scene.checkout.root()))
        .collect();
    let problems = sources
        .into_iter()
        .filter_map(|path| problem_of(scene.checkout, path));
    problems
        .map(|problem| Finding::error("files", problem))
        .collect()
}

fn problem_of(checkout: &Checkout, path: &Path) -> Option<Problem> {
    let name = checkout.display(path);
    match files::is_readable_for_all(path) {
        Some(true) => None,
        Some(false) => Some(
            Problem::new(format!(
                "{name} is readable for you alone, and the containers run as other users"
            ))
            .hint(format!("`chmod a+r {name}`")),
        ),
        None => Some(
            Problem::new(format!("{name} is missing")).hint(format!("`git checkout -- {name}`")),
        ),
    }
}
