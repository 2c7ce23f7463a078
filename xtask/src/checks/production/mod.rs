//! What `production doctor` looks at: everything that would stop a deployment, and what must not go unnoticed
//! after it. Must change nothing of the stack.

mod backups;
mod certificates;
mod edge;
mod machine;
pub mod machines;
mod members;
mod nodes;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use super::finding::Finding;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::nodes::Node;
use crate::swarm::release::Release;
use crate::swarm::settings::{Database, check_complete};
use crate::swarm::status::Report;
pub use edge::check_authority;
use machines::Preflight;

/// How long a node may take that is looked at, and pulls what it lacks.
const PATIENCE: Duration = Duration::from_secs(300);

/// Looks at everything; where something cannot be looked at, that is a finding too.
///
/// # Errors
/// When an engine that answered at first does not any more.
pub fn examine(swarm: &Swarm) -> anyhow::Result<Vec<Finding>> {
    let mut findings = settings::check(swarm.docker.values());
    let is_complete = check_complete(swarm.docker.values()).is_ok();
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
    findings.extend(check_authority(swarm.docker.values(), &nodes));
    if is_complete {
        findings.extend(check_plan(swarm, &nodes, &here)?);
    } else {
        let unasked = BTreeMap::new();
        findings.extend(edge::check_names(swarm.docker.values(), &nodes, &unasked));
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
    findings.extend(certificates::check(swarm, release, here));
    findings.extend(backups::check(swarm, release));
    findings.extend(check_rotation(swarm));
    findings
}

fn check_rotation(swarm: &Swarm) -> Option<Finding> {
    match swarm.is_rotating() {
        Ok(false) => None,
        Ok(true) => {
            let what = "a rotation of the databases' passwords was not finished: logins are open that nobody uses";
            let hint = "`cargo xtask production deploy` closes them, unless the rotation is still under way";
            Some(Finding::warning("logins", Problem::new(what).hint(hint)))
        }
        Err(error) => Some(Finding::error("logins", Problem::of(&error))),
    }
}

/// What a plan can be asked.
fn check_plan(swarm: &Swarm, nodes: &[Node], here: &str) -> anyhow::Result<Vec<Finding>> {
    match swarm.plan() {
        Ok(plan) => check_before(swarm, plan, nodes, here),
        Err(error) => Ok(vec![Finding::error("artifacts", Problem::of(&error))]),
    }
}

/// What would stop the deployment of a plan, as far as there are images to look with.
///
/// # Errors
/// When the engine does not answer any more.
pub fn check_before(
    swarm: &Swarm,
    mut plan: Plan,
    nodes: &[Node],
    here: &str,
) -> anyhow::Result<Vec<Finding>> {
    let missing = plan.missing_images(swarm)?;
    if !missing.is_empty() {
        let mut findings: Vec<Finding> =
            missing.iter().map(|it| missing_image(swarm, it)).collect();
        let unasked = BTreeMap::new();
        findings.extend(edge::check_names(swarm.docker.values(), nodes, &unasked));
        let rest = "disks, ports and bucket were not looked at: that takes the images";
        findings.push(Finding::warning("machines", Problem::new(rest)));
        return Ok(findings);
    }
    let mut findings = vec![Finding::good("images", "the engine has all of them")];
    if nodes.len() > 1 {
        plan.pin(swarm, nodes.len())?;
    }
    let preflight = Preflight {
        swarm,
        plan: &plan,
        nodes,
        here,
        patience: PATIENCE,
    };
    findings.extend(preflight.check()?);
    Ok(findings)
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
