//! `status`: a service a row. Looks, changes nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::docker::inspect::{self, Container};
use crate::operations::open;
use crate::stack::Stack;
use crate::stack::desired::Config;
use crate::stack::readiness::{self, Progress};
use crate::system::clock;
use crate::terminal;
use crate::terminal::text::{parse_timestamp, render_bytes, render_duration, render_table};

/// All that `--json` prints.
#[derive(Serialize)]
struct Report {
    project: String,
    /// Whether every service is as it should be.
    well: bool,
    /// Bytes in use by all services together.
    memory_used: u64,
    /// Bytes that the services which run may use together.
    memory_limit: u64,
    services: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    service: String,
    state: String,
    well: bool,
    health: Option<String>,
    /// Seconds since the start, while it runs.
    uptime: Option<u64>,
    restarts: u64,
    memory_used: Option<u64>,
    memory_limit: Option<u64>,
    image: String,
    /// The version that the image's label names.
    version: Option<String>,
    url: Option<String>,
}

pub fn run(checkout: &Checkout, options: &cli::Status) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    let stack = Stack::read(&docker)?;
    open::mention_unfinished(checkout)?;
    let memory = memory(&docker, &stack.observed)?;

    let report = report(&stack.desired, &stack.observed, &memory, clock::now());
    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        terminal::print(&render(&report))?;
    }
    Ok(if report.well {
        Outcome::Done
    } else {
        Outcome::NotDone
    })
}

/// Bytes in use by each container that runs, by id.
fn memory(
    docker: &Docker,
    containers: &BTreeMap<String, Container>,
) -> anyhow::Result<BTreeMap<String, u64>> {
    let running: Vec<&str> = containers
        .values()
        .filter(|container| container.state.status == "running")
        .map(|container| container.id.as_str())
        .collect();
    if running.is_empty() {
        return Ok(BTreeMap::new());
    }
    let stats = docker
        .docker()
        .args([
            "stats",
            "--no-stream",
            "--no-trunc",
            "--format",
            "{{json .}}",
        ])
        .args(running);
    inspect::parse_memory(&stats.text()?)
}

fn report(
    config: &Config,
    containers: &BTreeMap<String, Container>,
    memory: &BTreeMap<String, u64>,
    now: u64,
) -> Report {
    let urls: BTreeMap<&str, String> = config.endpoints().into_iter().collect();
    let services: Vec<Row> = config
        .services
        .iter()
        .map(|(name, service)| {
            let container = containers.get(name);
            let running = container.filter(|container| container.state.status == "running");
            let progress = container
                .map(|container| readiness::progress(container, config.role(name), None, now));
            let started =
                running.and_then(|container| parse_timestamp(&container.state.started_at));
            Row {
                service: name.clone(),
                state: match progress {
                    Some(Progress::Failed(reason)) => reason.to_string(),
                    Some(Progress::Ready("done")) => "done".to_owned(),
                    _ => container
                        .map_or("absent", |container| &container.state.status)
                        .to_owned(),
                },
                well: matches!(progress, Some(Progress::Ready(_))),
                health: running
                    .and_then(|container| Some(container.state.health.as_ref()?.status.clone())),
                uptime: started.map(|started| now.saturating_sub(started)),
                restarts: container.map_or(0, |container| container.restart_count),
                memory_used: running.and_then(|container| memory.get(&container.id).copied()),
                memory_limit: running
                    .map(|container| container.host_config.memory)
                    .filter(|&limit| limit > 0),
                image: container
                    .map_or(&service.image, |container| &container.config.image)
                    .clone(),
                version: container
                    .and_then(Container::image_version)
                    .map(str::to_owned),
                url: urls.get(name.as_str()).cloned(),
            }
        })
        .collect();
    Report {
        project: config.name.clone(),
        well: services.iter().all(|row| row.well),
        memory_used: services.iter().filter_map(|row| row.memory_used).sum(),
        memory_limit: services.iter().filter_map(|row| row.memory_limit).sum(),
        services,
    }
}

fn render(report: &Report) -> String {
    let titles = [
        "SERVICE", "STATE", "HEALTH", "UPTIME", "RESTARTS", "MEMORY", "IMAGE", "URL",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let dash = || "-".to_owned();
    for row in &report.services {
        let memory = match (row.memory_used, row.memory_limit) {
            (Some(used), Some(limit)) => {
                format!("{} of {}", render_bytes(used), render_bytes(limit))
            }
            (Some(used), None) => render_bytes(used),
            _ => dash(),
        };
        let image = match &row.version {
            Some(version) => format!("{} ({version})", row.image),
            None => row.image.clone(),
        };
        rows.push(vec![
            row.service.clone(),
            row.state.clone(),
            row.health.clone().unwrap_or_else(dash),
            row.uptime.map_or_else(dash, render_duration),
            row.restarts.to_string(),
            memory,
            image,
            row.url.clone().unwrap_or_default(),
        ]);
    }
    let well = report.services.iter().filter(|row| row.well).count();
    format!(
        "{}\n{well} of {} services are well; {} of {} memory\n",
        render_table(&rows),
        report.services.len(),
        render_bytes(report.memory_used),
        render_bytes(report.memory_limit)
    )
}
