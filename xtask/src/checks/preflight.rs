//! What can stop `up`, looked at before anything is started.

use anyhow::bail;

use super::judge::{Finding, Level};
use super::{files, names, ports, render};
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::env::rules::{Severity, Violation};
use crate::env::settings::Settings;
use crate::stack::desired::Config;
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
    findings.extend(check_values(project, Some(config))?);
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

/// What of the env file will break; without a configuration where Compose refuses it.
///
/// # Errors
/// When the env file or its template cannot be read.
pub fn check_values(checkout: &Checkout, config: Option<&Config>) -> anyhow::Result<Vec<Finding>> {
    let settings = Settings::read(checkout)?;
    let glitchtip = config.and_then(|config| config.services.get("glitchtip-web"));
    let port = glitchtip.and_then(|service| service.ports.first());

    let port = port.and_then(|port| port.published.parse().ok());
    let violations = settings.check(port);
    Ok(violations.into_iter().map(finding).collect())
}

fn finding(violation: Violation) -> Finding {
    let hint = violation.problem.hint.unwrap_or_default();
    match violation.severity {
        Severity::Warning => Finding::warning(".env", violation.problem.what, hint),
        Severity::Stops | Severity::Refused => Finding::stops(".env", violation.problem.what, hint),
    }
}
