//! The files of the checkout that containers read.

use std::collections::BTreeSet;
use std::path::Path;

use super::judge::Finding;
use crate::checkout::Checkout;
use crate::stack::desired::Config;
use crate::system::files;

/// The files of the checkout that containers read, none of which runs as the checkout's owner.
pub fn check(project: &Checkout, config: &Config) -> Vec<Finding> {
    let mounts = config
        .services
        .values()
        .flat_map(|service| &service.volumes)
        .filter(|mount| mount.kind == "bind");
    let sources: BTreeSet<&Path> = mounts.map(|mount| Path::new(&mount.source)).collect();
    let judge = |path: &Path| {
        let name = project.display(path);
        match files::is_readable_for_all(path) {
            Some(true) => None,
            Some(false) => Some(Finding::stops(
                "files",
                format!("{name} is readable for you alone, and the containers run as other users"),
                format!("`chmod a+r {name}`"),
            )),
            None => Some(Finding::stops(
                "files",
                format!("{name} is missing"),
                format!("`git checkout -- {name}`"),
            )),
        }
    };
    sources
        .into_iter()
        .filter(|path| path.starts_with(project.root()))
        .filter_map(judge)
        .collect()
}
