//! Why services are not ready: the cause and its remedy where a rule knows it, else the facts, in
//! order. Must never change anything, and never present a guess as a fact.

pub mod pattern;
pub mod rules;
mod silence;

use std::collections::BTreeMap;

use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::docker::invocation::Failure;
use crate::problem::Problem;
use crate::stack::desired::Config;
use crate::stack::not_ready::NotReady;
use crate::stack::readiness::{self, Progress, Reason};
use crate::stack::{Stack, holder};
use crate::system::clock;
use crate::terminal::text::render_bytes;
use crate::terminal::{self, say};
use rules::{Facts, OUT_OF_MEMORY, explain as explain_facts};

/// Explains an error of docker or of the stack: says of each service why it is not ready, and returns the
/// error to end with. Another error comes back as it is.
pub fn explain(docker: &Docker, config: &Config, error: anyhow::Error) -> anyhow::Error {
    if let Some(not_ready) = error.downcast_ref::<NotReady>() {
        if not_ready.ended != crate::stack::wait::Ended::Interrupted
            && let Err(error) = print(docker, config, not_ready)
        {
            say!("what is wrong with the services could not be looked at: {error:#}");
        }
        return not_ready.problem().into();
    }
    explain_failure(docker, config, error)
}

/// `explain` for a command that has to be given again itself, where the rules know `up` alone.
pub fn explain_again(
    docker: &Docker,
    config: &Config,
    error: anyhow::Error,
    command: &str,
) -> anyhow::Error {
    match explain(docker, config, error).downcast::<Problem>() {
        Ok(mut problem) => {
            let again = |hint: String| hint.replace("`cargo xtask up`", &format!("`{command}`"));
            problem.hint = problem.hint.map(again);
            problem.into()
        }
        Err(error) => error,
    }
}

/// Says of each service that has failed why.
///
/// # Errors
/// When the engine does not answer.
pub fn explain_failed(docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let containers = docker.containers(&config.name)?;
    let now = clock::now();
    let progress = |name: &String, container: &Container| {
        readiness::progress(container, config.role(name), None, now)
    };
    let all = containers
        .iter()
        .map(|(name, it)| (name.clone(), progress(name, it)));
    let failed: Vec<_> = all
        .filter(|(_, it)| matches!(it, Progress::Failed(_)))
        .collect();
    print_services(docker, config, &containers, &failed)
}

/// How many lines of a service's log are shown, and how many the rules read: a migration's name stands
/// above its traceback.
const SHOWN_LINES: usize = 12;
const READ_LINES: &str = "150";

/// Says of each service why it is not ready, without secrets.
fn print(docker: &Docker, config: &Config, not_ready: &NotReady) -> anyhow::Result<()> {
    let said = not_ready.said.trim();
    // Compose gave up: what it says is the news, not the services that it left as they were.
    if let Some(explanation) = explain_engine(docker, config, said) {
        say_explanation(&explanation);
        return Ok(());
    }
    let mut containers = not_ready.containers.clone();
    if not_ready.ended == crate::stack::wait::Ended::TimedOut {
        // With what the health checks have said since the last event.
        containers = docker.containers(&config.name)?;
    }
    print_services(docker, config, &containers, &not_ready.rows)?;
    if !said.is_empty() {
        say!(
            "\n`docker compose up` printed:\n  {}",
            said.replace('\n', "\n  ")
        );
    }
    Ok(())
}

fn print_services(
    docker: &Docker,
    config: &Config,
    containers: &BTreeMap<String, Container>,
    services: &[(String, Progress)],
) -> anyhow::Result<()> {
    let mut explained: Vec<Problem> = Vec::new();
    // Whoever waits for another has nothing to tell.
    let has_news = |it: &&Container| it.state.status != "created" || !it.state.error.is_empty();
    for (service, progress) in services {
        let Some(container) = containers.get(service).filter(has_news) else {
            continue;
        };
        let facts = facts(docker, config, containers, container)?;
        say!(
            "\n{}{service}{}: {progress}",
            terminal::BOLD,
            terminal::RESET
        );
        match explain_facts(&facts) {
            // The same cause stops several services: a full disk, a password.
            Some(it) if explained.iter().any(|known| known.hint == it.hint) => {
                say!("  cause: {} (see above)", it.what);
            }
            Some(explanation) => {
                say_explanation(&explanation);
                explained.push(explanation);
            }
            None if *progress == Progress::Failed(Reason::Exited(0)) => {
                say_explanation(&ended_by_itself(service));
                say_facts(&facts);
            }
            None => say_unexplained(docker, container, *progress, &facts)?,
        }
        say!("  more: `cargo xtask logs --no-follow {service}`");
    }
    Ok(())
}

/// Says what is known where no rule explains it.
fn say_unexplained(
    docker: &Docker,
    container: &Container,
    progress: Progress,
    facts: &Facts,
) -> anyhow::Result<()> {
    let is_silent = facts.log.trim().is_empty() && facts.engine.trim().is_empty();
    let silence = if is_silent {
        let last = docker.last_exit_code(&container.id)?;
        silence::explain(&facts.service, progress, last)
    } else {
        None
    };
    match silence {
        Some(explanation) => {
            say_explanation(&explanation);
            if !facts.health.is_empty() {
                say_facts(facts);
            }
        }
        None => say_facts(facts),
    }
    Ok(())
}

/// Puts the explanation of a docker command that failed in the place of its error.
fn explain_failure(docker: &Docker, config: &Config, error: anyhow::Error) -> anyhow::Error {
    let failure = error.downcast_ref::<Failure>();
    match failure.and_then(|failure| explain_engine(docker, config, &failure.stderr)) {
        Some(problem) => problem.into(),
        None => error,
    }
}

fn say_explanation(explanation: &Problem) {
    let (bold, reset) = (terminal::BOLD, terminal::RESET);
    say!("  cause: {bold}{explanation}{reset}");
    if let Some(hint) = &explanation.hint {
        say!("  hint: {hint}");
    }
    if let Some(evidence) = &explanation.evidence {
        say!("  seen: {evidence}");
    }
}

/// Compose's own services that end are awaited by another; that one who added a service did not know.
fn ended_by_itself(service: &str) -> Problem {
    Problem::new(format!(
        "{service} ended by itself, without an error, and is expected to go on running"
    ))
    .hint(format!(
        "if it is meant to end, let another service wait for it, in its `depends_on` with the condition \
         `service_completed_successfully`; else correct the `command` of {service}"
    ))
}

fn say_facts(facts: &Facts) {
    if facts.log.trim().is_empty() && facts.health.is_empty() && facts.engine.trim().is_empty() {
        say!("  it printed nothing");
    }
    if !facts.engine.trim().is_empty() {
        say!("  the engine says: {}", facts.engine.trim());
    }
    if !facts.health.is_empty() {
        let output = facts.health.replace('\n', "\n    ");
        say!("  last health check: {output}");
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
    container: &Container,
) -> anyhow::Result<Facts> {
    let service = container.service();
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
    let health = container
        .failed_health_output()
        .map(|output| docker.redact(output))
        .unwrap_or_default();
    let names = names(docker, config, service);
    Ok(Facts {
        service: service.to_owned(),
        engine,
        log: docker.logs(&container.id, READ_LINES, since)?,
        health,
        database_log,
        names,
    })
}

/// Explains what Compose said when it failed as a whole.
fn explain_engine(docker: &Docker, config: &Config, stderr: &str) -> Option<Problem> {
    let mut facts = Facts {
        engine: stderr.to_owned(),
        names: docker_names(docker),
        ..Facts::default()
    };
    explain_facts(&facts)?;
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
        facts.names.extend(names(docker, config, service));
        facts.service.clone_from(service);
    }
    explain_facts(&facts)
}

/// What the rules may name of docker itself.
fn docker_names(docker: &Docker) -> Vec<(&'static str, String)> {
    let file = docker.config_file().into_iter();
    file.map(|file| ("docker_configuration", file.display().to_string()))
        .collect()
}

/// What the rules may name of a service; only looked up when something failed.
fn names(docker: &Docker, config: &Config, service: &str) -> Vec<(&'static str, String)> {
    let variables = Stack::variables(docker).remove(service).unwrap_or_default();
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
            holder::port_holder(docker, &config.name, wanted).unwrap_or_default(),
        ),
    ];
    names
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
