//! Why services are not ready: the cause and its remedy where a rule knows it, else the facts, in
//! order. Never a guess presented as a fact.

pub mod rules;

use std::collections::BTreeMap;

use anyhow::anyhow;

use crate::commands::doctor;
use crate::diagnosis::rules::{Explanation, Facts, OUT_OF_MEMORY, explain};
use crate::docker::inspect::{Container, Progress};
use crate::docker::{Docker, Failure};
use crate::stack::desired::Config;
use crate::terminal::text::render_bytes;
use crate::terminal::{self, say};

/// How many lines of a service's log are shown, and how many the rules read: a migration's name stands
/// above its traceback.
const SHOWN_LINES: usize = 12;
const READ_LINES: &str = "150";

/// Says of each service why it is not ready, without secrets.
pub fn print(
    docker: &Docker,
    config: &Config,
    containers: &BTreeMap<String, Container>,
    services: &[(&str, Progress)],
    engine_error: &str,
) -> anyhow::Result<()> {
    // Compose gave up: what it says is the news, not the services that it left as they were.
    if let Some(explanation) = explain_engine(docker, config, engine_error) {
        say!("");
        say_explanation(&explanation);
        return Ok(());
    }
    let mut explained: Vec<Explanation> = Vec::new();
    for (service, progress) in services {
        // Whoever waits for another has nothing to tell.
        let Some(container) = containers.get(*service).filter(|container| {
            container.state.status != "created" || !container.state.error.is_empty()
        }) else {
            continue;
        };
        let facts = facts(docker, config, containers, service, container)?;
        say!(
            "\n{}{service}{}: {progress}",
            terminal::BOLD,
            terminal::RESET
        );
        match explain(&facts) {
            // The same cause stops several services: a full disk, a password.
            Some(explanation)
                if explained
                    .iter()
                    .any(|known| known.remedy == explanation.remedy) =>
            {
                say!("  cause:  {}; see above", explanation.cause);
            }
            Some(explanation) => {
                say_explanation(&explanation);
                explained.push(explanation);
            }
            None => say_facts(docker, container, &facts),
        }
        say!("  more: cargo xtask logs --no-follow {service}");
    }
    if !engine_error.trim().is_empty() {
        say!(
            "\ndocker compose says:\n  {}",
            engine_error.trim().replace('\n', "\n  ")
        );
    }
    Ok(())
}

/// Says of each service that has failed why, where nothing was started.
pub fn print_failed(
    docker: &Docker,
    config: &Config,
    containers: &BTreeMap<String, Container>,
) -> anyhow::Result<()> {
    let progress =
        |name: &str, container: &Container| container.progress(config.is_one_shot(name), None);
    let all = containers
        .iter()
        .map(|(name, container)| (name.as_str(), progress(name, container)));
    let failed: Vec<_> = all
        .filter(|(_, progress)| matches!(progress, Progress::Failed(_)))
        .collect();
    print(docker, config, containers, &failed, "")
}

/// Puts the explanation of a docker command that failed in the place of its error.
pub fn explain_failure(docker: &Docker, config: &Config, error: anyhow::Error) -> anyhow::Error {
    let failure = error.downcast_ref::<Failure>();
    match failure.and_then(|failure| explain_engine(docker, config, &failure.stderr)) {
        Some(explanation) => {
            say_explanation(&explanation);
            anyhow!("{}", explanation.cause)
        }
        None => error,
    }
}

fn say_explanation(explanation: &Explanation) {
    say!(
        "  cause:  {}{}{}",
        terminal::BOLD,
        explanation.cause,
        terminal::RESET
    );
    say!("  remedy: {}", explanation.remedy);
    say!("  seen:   {}", explanation.evidence);
}

fn say_facts(docker: &Docker, container: &Container, facts: &Facts) {
    if !facts.engine.trim().is_empty() {
        say!("  the engine says: {}", facts.engine.trim());
    }
    if let Some(output) = container.failed_health_output() {
        say!(
            "  last health check: {}",
            docker.redact(output).replace('\n', "\n    ")
        );
    }
    let lines: Vec<&str> = facts.log.lines().collect();
    let last = &lines[lines.len().saturating_sub(SHOWN_LINES)..];
    if !last.is_empty() {
        say!("  last log lines:\n    {}", last.join("\n    "));
    }
}

fn facts(
    docker: &Docker,
    config: &Config,
    containers: &BTreeMap<String, Container>,
    service: &str,
    container: &Container,
) -> anyhow::Result<Facts> {
    let state = &container.state;
    let mut engine = docker.redact(&state.error);
    if state.oom_killed {
        engine = format!("{OUT_OF_MEMORY}\n{engine}");
    }
    // A container that restarts may have said nothing yet in this run.
    let since = if container.restart_count == 0 {
        state.started_at.as_str()
    } else {
        ""
    };
    let database_log = match containers.get("postgres") {
        Some(postgres) if service != "postgres" => {
            docker.logs(&postgres.id, READ_LINES, &state.started_at)?
        }
        _ => String::new(),
    };
    let log = docker.logs(&container.id, READ_LINES, since)?;
    let health = container
        .failed_health_output()
        .map(|output| docker.redact(output))
        .unwrap_or_default();
    let names = names(docker, config, service);
    Ok(Facts {
        service: service.to_owned(),
        engine,
        log: format!("{log}\n{health}"),
        database_log,
        names,
    })
}

/// Explains what Compose said when it failed as a whole.
fn explain_engine(docker: &Docker, config: &Config, stderr: &str) -> Option<Explanation> {
    let mut facts = Facts {
        engine: stderr.to_owned(),
        ..Facts::default()
    };
    explain(&facts)?;
    // It names the service that it could not pull for (` umami Error manifest unknown`); a limit that the
    // engine does not take is the lowest.
    let mut errors = stderr.lines().filter_map(|line| line.split_once(" Error "));
    let named = errors.find_map(|(before, _)| {
        config
            .services
            .get_key_value(before.split_whitespace().last()?)
    });
    let limited = config
        .services
        .iter()
        .filter(|(_, service)| service.memory_limit() > 0);
    let lowest = limited
        .min_by_key(|(_, service)| service.memory_limit())
        .filter(|_| stderr.contains("memory limit"));
    if let Some((service, _)) = named.or(lowest) {
        facts.names = names(docker, config, service);
        facts.service.clone_from(service);
    }
    explain(&facts)
}

/// What the rules may name of a service; only looked up when something failed.
fn names(docker: &Docker, config: &Config, service: &str) -> Vec<(&'static str, String)> {
    let variables = docker.variables().remove(service).unwrap_or_default();
    let Some(wanted) = config.services.get(service) else {
        return Vec::new();
    };
    let limit = wanted.memory_limit();
    let names = [
        ("image", wanted.image.clone()),
        ("image_variable", variables.image),
        (
            "limit",
            if limit == 0 {
                String::new()
            } else {
                render_bytes(limit)
            },
        ),
        ("limit_variable", variables.limit),
        ("port_variable", variables.port),
        (
            "holder",
            doctor::port_holder(docker, config, wanted).unwrap_or_default(),
        ),
    ];
    names
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
