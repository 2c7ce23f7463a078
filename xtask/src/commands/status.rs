//! `status`: a service a row. Looks, changes nothing.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::operations::open;
use crate::stack;
use crate::stack::desired::{Config, Role};
use crate::stack::published;
use crate::stack::readiness::{self, Progress, Reason};
use crate::system::clock;
use crate::terminal;
use crate::terminal::text::{parse_timestamp, render_bytes, render_duration, render_table};

/// The version of what `--json` prints: it grows when a field changes its meaning or goes.
const VERSION: u32 = 1;

/// All that `--json` prints; deploy/analytics/README.md explains it.
#[derive(Serialize)]
struct Report {
    version: u32,
    project: String,
    /// Whether every service is as it should be.
    healthy: bool,
    /// Bytes in use by all services together.
    memory_used: u64,
    /// Bytes that the services which run may use together.
    memory_limit: u64,
    /// In the order of start, those that end by themselves last.
    services: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    service: String,
    /// What the engine says of its container, or what is wrong with it.
    state: String,
    /// Whether it is as it should be.
    healthy: bool,
    /// What its health check says, while it runs: starting, healthy or unhealthy.
    health: Option<String>,
    /// Seconds since the start, while it runs.
    uptime: Option<u64>,
    restarts: u64,
    memory_used: Option<u64>,
    memory_limit: Option<u64>,
    image: String,
    /// The version that the image's label names.
    image_version: Option<String>,
    url: Option<String>,
}

pub fn run(checkout: &Checkout, options: &cli::Status) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    let (config, containers) = stack::look(&docker)?;
    open::mention_unfinished(checkout)?;
    let running = containers.values().filter(|it| is_running(it));
    let ids: Vec<&str> = running.map(|container| container.id.as_str()).collect();
    let memory = docker.memory(&ids)?;

    let report = report(&config, &containers, &memory, clock::now());

    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        terminal::print(&render(&report))?;
    }
    Ok(if report.healthy {
        Outcome::Done
    } else {
        Outcome::NotDone
    })
}

fn is_running(container: &Container) -> bool {
    container.state.status == "running"
}

fn report(
    config: &Config,
    containers: &BTreeMap<String, Container>,
    memory: &BTreeMap<String, u64>,
    now: u64,
) -> Report {
    let urls: BTreeMap<String, String> = published::endpoints(config, containers)
        .into_iter()
        .map(|endpoint| (endpoint.service.clone(), endpoint.shown_url()))
        .collect();
    let mut names = config.in_start_order();
    names.sort_by_key(|name| config.role(name) == Role::OneShot);
    let row = |name: &str| {
        let mut row = match containers.get(name) {
            Some(container) => row(name, config.role(name), container, now),
            None => absent(name, &config.services[name].image),
        };
        let id = containers.get(name).map(|container| &container.id);
        row.memory_used = id.and_then(|id| memory.get(id).copied());
        row.url = urls.get(name).cloned();
        row
    };
    let services: Vec<Row> = names.into_iter().map(row).collect();
    Report {
        version: VERSION,
        project: config.name.clone(),
        healthy: services.iter().all(|row| row.healthy),
        memory_used: services.iter().filter_map(|row| row.memory_used).sum(),
        memory_limit: services.iter().filter_map(|row| row.memory_limit).sum(),
        services,
    }
}

fn row(service: &str, role: Role, container: &Container, now: u64) -> Row {
    let progress = readiness::progress(container, role, None, now);
    let state = match progress {
        Progress::Failed(Reason::Unhealthy) => container.state.status.clone(),
        Progress::Failed(reason) => reason.to_string(),
        Progress::Ready("done") => "done".to_owned(),
        _ => container.state.status.clone(),
    };
    let running = Some(container).filter(|it| is_running(it));
    let health = running.and_then(|it| Some(it.state.health.as_ref()?.status.clone()));
    let started = running.and_then(|it| parse_timestamp(&it.state.started_at));
    let limit = running.map(|it| it.host_config.memory);
    Row {
        service: service.to_owned(),
        state,
        healthy: matches!(progress, Progress::Ready(_)),
        health,
        uptime: started.map(|started| now.saturating_sub(started)),
        restarts: container.restart_count,
        memory_used: None,
        memory_limit: limit.filter(|&limit| limit > 0),
        image: container.config.image.clone(),
        image_version: container.image_version().map(str::to_owned),
        url: None,
    }
}

fn absent(service: &str, image: &str) -> Row {
    Row {
        service: service.to_owned(),
        state: "absent".to_owned(),
        healthy: false,
        health: None,
        uptime: None,
        restarts: 0,
        memory_used: None,
        memory_limit: None,
        image: image.to_owned(),
        image_version: None,
        url: None,
    }
}

fn render(report: &Report) -> String {
    let titles = [
        "SERVICE", "STATE", "UPTIME", "RESTARTS", "MEMORY", "IMAGE", "URL",
    ];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    rows.extend(report.services.iter().map(render_row));
    let healthy = report.services.iter().filter(|row| row.healthy).count();
    format!(
        "{}\n{healthy} of {} services are healthy; {} of {} memory\n",
        render_table(&rows),
        report.services.len(),
        render_bytes(report.memory_used),
        render_bytes(report.memory_limit)
    )
}

fn render_row(row: &Row) -> Vec<String> {
    let dash = || "-".to_owned();
    let state = match &row.health {
        Some(health) if row.state == "running" => format!("running ({health})"),
        _ => row.state.clone(),
    };
    let memory = match (row.memory_used, row.memory_limit) {
        (Some(used), Some(limit)) => {
            format!("{} of {}", render_bytes(used), render_bytes(limit))
        }
        (Some(used), None) => render_bytes(used),
        _ => dash(),
    };
    let image = match &row.image_version {
        Some(version) => format!("{} ({version})", row.image),
        None => row.image.clone(),
    };
    vec![
        row.service.clone(),
        state,
        row.uptime.map_or_else(dash, render_duration),
        row.restarts.to_string(),
        memory,
        image,
        row.url.clone().unwrap_or_default(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::inspect::parse_inspect;

    /// 2026-11-22T17:09:11Z
    const NOW: u64 = 1_795_367_351;

    const CONFIG: &str = "
name: x
services:
  app:
    image: app:3
    depends_on: {migrate: {condition: service_completed_successfully}}
    ports: [{target: 3000, published: '3001', host_ip: 127.0.0.1}]
  idle: {image: app:3, depends_on: {app: {condition: service_healthy}}}
  migrate: {image: app:3, depends_on: {postgres: {condition: service_healthy}}}
  postgres: {image: postgres:15}
";

    fn container(service: &str, state: &str) -> String {
        format!(
            r#"{{"Id":"{service}-id","Name":"/{service}","Image":"sha256:1","RestartCount":0,
                "State":{{{state},"StartedAt":"2026-11-22T17:08:11Z"}},
                "Config":{{"Image":"app:3","Labels":{{"com.docker.compose.service":"{service}"}}}},
                "HostConfig":{{"Memory":1073741824}},"NetworkSettings":{{"Ports":{{"3000/tcp":
                [{{"HostIp":"0.0.0.0","HostPort":"3001"}},{{"HostIp":"::","HostPort":"3001"}}]}}}}}}"#
        )
    }

    fn example() -> Report {
        let containers = [
            container(
                "app",
                r#""Status":"running","Health":{"Status":"unhealthy"}"#,
            ),
            container("migrate", r#""Status":"exited","ExitCode":0"#),
            container("postgres", r#""Status":"exited","ExitCode":137"#),
        ];
        let json = format!("[{}]", containers.join(","));
        let containers = parse_inspect(&json).unwrap().into_iter();
        let containers = containers.map(|it| (it.service().to_owned(), it)).collect();
        let memory = BTreeMap::from([("app-id".to_owned(), 512 * 1024 * 1024)]);
        report(&Config::parse(CONFIG).unwrap(), &containers, &memory, NOW)
    }

    #[test]
    fn services_come_in_the_order_of_start_with_one_state_each() {
        assert_eq!(
            render(&example()),
            "\
SERVICE   STATE                UPTIME     RESTARTS  MEMORY              IMAGE  URL
postgres  exited (137)         -          0         -                   app:3
app       running (unhealthy)  1 min 0 s  0         512 MiB of 1.0 GiB  app:3  http://localhost:3001
idle      absent               -          0         -                   app:3
migrate   done                 -          0         -                   app:3

1 of 4 services are healthy; 512 MiB of 1.0 GiB memory
"
        );
    }

    #[test]
    fn the_json_has_the_fields_that_the_documentation_names() {
        let json = serde_json::to_value(example()).unwrap();
        assert_eq!(json["version"], 1);
        let text = include_str!("../../../deploy/analytics/README.md");
        let section = text.split("### `status --json`").nth(1).unwrap();
        let section = section.split("\n#").next().unwrap();
        let documented: Vec<&str> = section
            .lines()
            .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
            .collect();
        let fields = |value: &serde_json::Value, prefix: &str| {
            let object = value.as_object().unwrap().keys();
            object
                .map(|key| format!("{prefix}{key}"))
                .collect::<Vec<_>>()
        };
        let mut wanted = fields(&json, "");
        wanted.extend(fields(&json["services"][0], "services[]."));
        wanted.sort();
        let mut documented: Vec<String> = documented.into_iter().map(str::to_owned).collect();
        documented.sort();
        assert_eq!(documented, wanted);
    }
}
