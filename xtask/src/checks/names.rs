//! Whether names, projects and volumes of the stack belong to somebody else.

use std::fs;
use std::path::Path;

use anyhow::bail;

use super::judge::Finding;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::Engine;
use crate::problem::Problem;
use crate::stack::desired::Config;

/// Stops a command that would touch the stack of another checkout.
pub fn ensure_ours(project: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    match docker
        .everything()?
        .other_checkout(&config.name, |folder| is_other_checkout(project, folder))
    {
        Some(finding) => bail!(Problem::new(finding.finding).hint(finding.remedy)),
        None => Ok(()),
    }
}

fn is_other_checkout(project: &Checkout, folder: &str) -> bool {
    let theirs = Path::new(folder);
    let is_same = fs::canonicalize(theirs).ok() == fs::canonicalize(project.stack()).ok();
    !is_same && theirs.join("docker-compose.yml").is_file()
}

pub fn check_ours(project: &Checkout, engine: &Engine, config: &Config) -> Vec<Finding> {
    match engine.other_checkout(&config.name, |folder| is_other_checkout(project, folder)) {
        Some(finding) => vec![finding],
        None => engine.taken_names(config),
    }
}
