//! What `production doctor` looks at: everything that would stop a deployment, and what must not go unnoticed
//! after it. Must change nothing.

mod backups;
mod edge;
mod machine;
mod members;
mod nodes;
mod settings;

use super::finding::{self, Finding};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::release::Release;
use crate::swarm::settings::Database;
use crate::swarm::status::Report;

/// Looks at everything; where something cannot be looked at, that is a finding too.
///
/// # Errors
/// When an engine that answered at first does not any more.
pub fn examine(swarm: &Swarm) -> anyhow::Result<Vec<Finding>> {
    let mut findings = settings::check(swarm.docker.values());
    let is_complete = finding::is_ok(&findings);
    let here = match swarm.check() {
        Ok(here) => here,
        Err(error) => {
            findings.push(Finding::error("swarm", Problem::of(&error)));
            return Ok(findings);
        }
    };
    let nodes = swarm.nodes()?;
    findings.extend(nodes::check(&nodes, database_of(swarm)));
    findings.extend(machine::check(&swarm.docker.info()?));
    findings.extend(edge::check_names(swarm.docker.values(), &nodes));
    findings.extend(edge::check_authority(swarm.docker.values(), &nodes));
    if is_complete {
        findings.extend(check_images(swarm));
    }

    let releases = swarm.releases()?;
    if releases.is_empty()
        && let Err(error) = swarm.check_volumes()
    {
        findings.push(Finding::error("volumes", Problem::of(&error)));
    }
    let services = swarm.services()?;
    if services.is_empty() {
        let hint = "bring it with `cargo xtask production deploy`";
        let none = Problem::new("nothing is deployed yet").hint(hint);
        findings.push(Finding::warning("services", none));
        return Ok(findings);
    }
    let report = Report::of(&services, &swarm.tasks()?, &nodes);
    findings.extend(check_services(&report));
    if let Some(release) = releases.first() {
        findings.extend(check_release(swarm, release, &here));
    }
    Ok(findings)
}

/// A value that is neither is a finding of the settings.
fn database_of(swarm: &Swarm) -> Database {
    Database::of(swarm.docker.values()).unwrap_or(Database::Single)
}

/// What only a release that runs can be asked.
fn check_release(swarm: &Swarm, release: &Release, here: &str) -> Vec<Finding> {
    let mut findings = vec![edge::check_served(swarm, &release.stack, here)];
    if release.stack.has_members() {
        findings.extend(members::check(swarm));
    }
    findings.extend(backups::check(swarm, release));
    findings
}

fn check_images(swarm: &Swarm) -> Vec<Finding> {
    let missing = swarm.plan().and_then(|plan| plan.missing_images(swarm));
    match missing {
        Ok(missing) if missing.is_empty() => {
            vec![Finding::good("images", "the engine has all of them")]
        }
        Ok(missing) => missing.iter().map(|it| missing_image(swarm, it)).collect(),
        Err(error) => vec![Finding::error("artifacts", Problem::of(&error))],
    }
}

fn missing_image(swarm: &Swarm, name: &str) -> Finding {
    if let Some(problem) = swarm.not_built(name) {
        return Finding::error("images", problem);
    }
    let what = format!("{name} is not on the engine; `deploy` pulls it");
    Finding::good("images", what)
}

fn check_services(report: &Report) -> Vec<Finding> {
    let ill = report.ill();
    if ill.is_empty() {
        return vec![Finding::good("services", "all are healthy")];
    }
    let finding = |(service, note): &(String, String)| {
        let problem = Problem::new(format!("{service} is not healthy: {note}"));
        let hint = format!("`cargo xtask production logs {service}` shows what it printed");
        Finding::error("services", problem.hint(hint))
    };
    ill.iter().map(finding).collect()
}
