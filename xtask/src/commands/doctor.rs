//! `doctor`: what is wrong with this machine, the artifacts or the stack, and what to do about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use crate::docker::Docker;
use crate::formats::compose::{Config, Service};
use crate::formats::doctor::{self, Engine, Finding, Level};
use crate::formats::env;
use crate::host;
use crate::host::ports::{self, Port};
use crate::project::Project;
use crate::terminal::{self, say};

/// What can stop `up`, looked at before anything is started. Warnings are said.
///
/// # Errors
/// When something would stop it; all of that has been said.
pub fn preflight(project: &Project, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let engine = docker.everything()?;
    let mut findings = check_ours(project, &engine, config);
    findings.extend(check_ports(docker, &engine, config));
    findings.extend(check_mounts(project, config));
    findings.extend(check_values(project, config)?);
    findings.retain(|finding| finding.level != Level::Good);
    for finding in &findings {
        say_finding(finding);
    }
    match findings.iter().filter(|finding| finding.level == Level::Stops).count() {
        0 => Ok(()),
        1 => bail!("nothing was started, for the reason above"),
        count => bail!("nothing was started, for the {count} reasons above"),
    }
}

/// Stops a command that would touch the stack of another checkout.
pub fn ensure_ours(project: &Project, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    match docker.everything()?.other_checkout(&config.name, |folder| is_other_checkout(project, folder)) {
        Some(finding) => bail!("{}; {}", finding.finding, finding.remedy),
        None => Ok(()),
    }
}

/// Who else has the port that a service publishes.
pub fn port_holder(docker: &Docker, config: &Config, service: &Service) -> Option<String> {
    let published = service.ports.first()?;
    let port = published.published.parse().ok()?;
    match docker.everything().ok()?.port_owner(port, &config.name) {
        Some(Err(container)) => Some(format!("the container {}", container.name)),
        Some(Ok(())) => None,
        None => match ports::look(&published.host_ip, port) {
            Port::Taken(holder) => holder,
            _ => None,
        },
    }
}

fn say_finding(finding: &Finding) {
    let (style, word) = match finding.level {
        Level::Good => (terminal::GREEN, "good"),
        Level::Warning => (terminal::BOLD, "warning"),
        Level::Stops => (terminal::RED, "stops"),
    };
    say!("{style}{word:7}{} {}: {}", terminal::RESET, finding.check, finding.finding);
    if !finding.remedy.is_empty() {
        say!("        remedy: {}", finding.remedy);
    }
}

fn is_other_checkout(project: &Project, folder: &str) -> bool {
    let theirs = Path::new(folder);
    let is_same = fs::canonicalize(theirs).ok() == fs::canonicalize(project.stack()).ok();
    !is_same && theirs.join("docker-compose.yml").is_file()
}

fn check_ours(project: &Project, engine: &Engine, config: &Config) -> Vec<Finding> {
    match engine.other_checkout(&config.name, |folder| is_other_checkout(project, folder)) {
        Some(finding) => vec![finding],
        None => engine.taken_names(config),
    }
}

fn check_ports(docker: &Docker, engine: &Engine, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let published = config.services.iter().flat_map(|(name, it)| it.ports.iter().map(move |port| (name, port)));
    for (service, published) in published {
        let Ok(port) = published.published.parse::<u16>() else { continue };
        // Looked up for those that are taken alone: it takes Compose a fifth of a second.
        let moved = || match docker.variables().remove(service) {
            Some(variables) if !variables.port.is_empty() => {
                format!("or set {} in deploy/analytics/.env to a free port", variables.port)
            }
            _ => "or publish another port in deploy/analytics/docker-compose.override.yml".to_owned(),
        };
        findings.push(match engine.port_owner(port, &config.name) {
            Some(Ok(())) => Finding::good("ports", format!("{port} is ours")),
            Some(Err(container)) => Finding::stops(
                "ports",
                format!("{port}, for {service}, is taken by the container {}", container.name),
                format!("`docker stop {}`, {}", container.name, moved()),
            ),
            None => match ports::look(&published.host_ip, port) {
                Port::Free => Finding::good("ports", format!("{port} is free")),
                Port::NoSuchAddress => Finding::stops(
                    "ports",
                    format!("{} is no address of this machine", published.host_ip),
                    "set BIND_ADDRESS in deploy/analytics/.env to one that it has; 127.0.0.1 is the default",
                ),
                // With an engine on another machine our own ports say nothing.
                Port::Taken(_) if engine.is_remote() => continue,
                Port::Taken(holder) => {
                    let who = holder.clone().unwrap_or_else(|| "a process of another user".to_owned());
                    let by_hand = match holder.as_deref().and_then(|holder| holder.split_once("(pid ")) {
                        Some((_, pid)) => format!("`kill {}`", pid.trim_end_matches(')')),
                        None if cfg!(target_os = "linux") => format!("stop what `sudo ss -ltnp sport = :{port}` shows"),
                        None => format!("stop what `sudo lsof -iTCP:{port} -sTCP:LISTEN` shows"),
                    };
                    Finding::stops(
                        "ports",
                        format!("{port}, for {service}, is taken by {who}"),
                        format!("{by_hand}, {}", moved()),
                    )
                }
            },
        });
    }
    findings
}

/// The files of the checkout that containers read, none of which runs as the checkout's owner.
fn check_mounts(project: &Project, config: &Config) -> Vec<Finding> {
    let mounts = config.services.values().flat_map(|service| &service.volumes).filter(|mount| mount.kind == "bind");
    let sources: BTreeSet<&Path> = mounts.map(|mount| Path::new(&mount.source)).collect();
    let judge = |path: &Path| {
        let name = project.display(path);
        match host::is_readable_for_all(path) {
            Some(true) => None,
            Some(false) => Some(Finding::stops(
                "files",
                format!("{name} is readable for you alone, and the containers run as other users"),
                format!("`chmod a+r {name}`"),
            )),
            None => Some(Finding::stops("files", format!("{name} is missing"), format!("`git checkout -- {name}`"))),
        }
    };
    sources.into_iter().filter(|path| path.starts_with(project.root())).filter_map(judge).collect()
}

fn check_values(project: &Project, config: &Config) -> anyhow::Result<Vec<Finding>> {
    let template = host::read_text(&project.env_template())?.unwrap_or_default();
    let known = env::template_variables(&template).with_context(|| project.display(&project.env_template()))?;
    let port = config.services.get("glitchtip-web").and_then(|service| service.ports.first());
    Ok(doctor::check_values(&project.env_assignments()?, &known, port.map_or("", |port| &port.published)))
}
