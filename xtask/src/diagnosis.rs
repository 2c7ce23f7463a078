//! Why services are not ready: the facts, in order. Never a guess presented as a fact.

use std::collections::BTreeMap;

use crate::docker::Docker;
use crate::formats::containers::{Container, Progress};
use crate::terminal::{self, say};

/// How many lines of a service's log are shown.
const LOG_LINES: &str = "12";

/// Prints, for each service, its state, the last health output and the last log lines, without secrets.
pub fn print(
    docker: &Docker,
    containers: &BTreeMap<String, Container>,
    services: &[(&str, Progress)],
    engine_error: &str,
) -> anyhow::Result<()> {
    for (service, progress) in services {
        // Whoever waits for another has nothing to tell.
        let Some(container) = containers
            .get(*service)
            .filter(|container| container.state.status != "created" || !container.state.error.is_empty())
        else {
            continue;
        };
        say!("\n{}{service}{}: {progress}", terminal::BOLD, terminal::RESET);
        if !container.state.error.is_empty() {
            say!("  the engine says: {}", docker.redact(&container.state.error));
        }
        if let Some(output) = container.failed_health_output() {
            say!("  last health check: {}", docker.redact(output).replace('\n', "\n    "));
        }
        let logs = docker.logs(&container.id, LOG_LINES)?;
        if !logs.is_empty() {
            say!("  last log lines:\n    {}", logs.trim_end().replace('\n', "\n    "));
        }
        say!("  more: cargo xtask logs --no-follow {service}");
    }
    if !engine_error.trim().is_empty() {
        say!("\ndocker compose says:\n  {}", engine_error.trim().replace('\n', "\n  "));
    }
    Ok(())
}
