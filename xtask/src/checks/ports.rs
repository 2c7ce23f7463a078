//! Whether the stack's ports are free, and who has them otherwise.

use super::judge::Finding;
use crate::docker::Docker;
use crate::docker::engine::Engine;
use crate::stack::Stack;
use crate::stack::desired::Config;
use crate::system::ports::{self, Port};

pub fn check(docker: &Docker, engine: &Engine, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let published = config
        .services
        .iter()
        .flat_map(|(name, it)| it.ports.iter().map(move |port| (name, port)));
    for (service, published) in published {
        let Ok(port) = published.published.parse::<u16>() else {
            continue;
        };
        // Looked up for those that are taken alone: it takes Compose a fifth of a second.
        let moved = || match Stack::variables(docker).remove(service) {
            Some(variables) if !variables.port.is_empty() => {
                format!(
                    "or set {} in deploy/analytics/.env to a free port",
                    variables.port
                )
            }
            _ => {
                "or publish another port in deploy/analytics/docker-compose.override.yml".to_owned()
            }
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
                // By itself, it may be; if not, the engine refuses it by name.
                Port::Taken(_) if engine.has_restarting(&config.name) => continue,
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
