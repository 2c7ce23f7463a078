//! `logs`: what the services print, followed by default.

use anyhow::bail;

use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::system;
use crate::terminal::say;

pub fn run(docker: &Docker, options: &cli::Logs) -> anyhow::Result<Outcome> {
    docker.check_engine()?;
    let config = docker.config()?;
    if docker.containers(&config.name)?.is_empty() {
        say!(
            "there are no containers, so there are no logs; start the stack with `cargo xtask up`"
        );
        return Ok(Outcome::Done);
    }
    let mut cmd = docker.compose().arg("logs");
    if !options.no_follow {
        cmd = cmd.arg("--follow");
    }
    if let Some(lines) = options.tail {
        cmd = cmd.args(["--tail", &lines.to_string()]);
    }
    if let Some(since) = &options.since {
        cmd = cmd.args(["--since", since]);
    }
    let interrupted = system::catch_interrupt()?;
    let status = docker.stream(cmd.args(&options.services))?;
    if !status.success() && !system::is_interrupted(&interrupted) {
        bail!("`docker compose logs` ended with {status}; its own message is above");
    }
    Ok(Outcome::Done)
}
