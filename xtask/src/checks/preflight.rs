//! What can stop `up`, looked at before anything is started.

use anyhow::bail;

use super::judge::{self, Finding, Level};
use super::{files, names, ports, render};
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::env::assignments;
use crate::env::template::Template;
use crate::stack::desired::Config;
use crate::system;
use crate::terminal::say;

/// What can stop `up`, looked at before anything is started. Warnings are said.
///
/// # Errors
/// When something would stop it; all of that has been said.
pub fn check(project: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let engine = docker.everything()?;
    let mut findings = names::check_ours(project, &engine, config);
    findings.extend(ports::check(docker, &engine, config));
    findings.extend(files::check(project, config));
    findings.extend(check_values(project, config)?);
    findings.retain(|finding| finding.level != Level::Good);
    for finding in &findings {
        say!("{}", render(finding).trim_end());
    }
    match findings
        .iter()
        .filter(|finding| finding.level == Level::Stops)
        .count()
    {
        0 => Ok(()),
        1 => bail!("nothing was started, for the reason above"),
        count => bail!("nothing was started, for the {count} reasons above"),
    }
}

pub fn check_values(project: &Checkout, config: &Config) -> anyhow::Result<Vec<Finding>> {
    let template = system::files::read_text(&project.env_template())?.unwrap_or_default();
    let template = Template::parse(&template)?;
    let port = config
        .services
        .get("glitchtip-web")
        .and_then(|service| service.ports.first());
    Ok(judge::check_values(
        &assignments(project)?,
        &template,
        port.map_or("", |port| &port.published),
    ))
}
