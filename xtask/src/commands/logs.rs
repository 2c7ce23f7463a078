//! `logs`: what the services print, followed by default.

use std::io::{self, IsTerminal};

use anyhow::bail;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::operations::open;
use crate::stack;
use crate::system::interrupt::Interrupt;
use crate::terminal::say;

pub fn run(checkout: &Checkout, options: &cli::Logs) -> anyhow::Result<Outcome> {
    let docker = Docker::new(checkout)?;
    docker.check_engine()?;
    let config = stack::read_config(&docker)?;
    open::mention_unfinished(checkout)?;
    if docker.containers(&config.name)?.is_empty() {
        say!("no containers, so no logs; `cargo xtask up` starts the stack");
        return Ok(Outcome::Done);
    }

    let mut logs = docker.compose().arg("logs");
    if !options.no_follow {
        logs = logs.arg("--follow");
    }
    if let Some(lines) = options.tail {
        logs = logs.args(["--tail", &lines.to_string()]);
    }
    if let Some(since) = &options.since {
        logs = logs.args(["--since", since]);
    }
    let interrupt = Interrupt::catch()?;
    let logs = logs.args(&options.services);
    let status = if io::stdout().is_terminal() {
        logs.shown()?
    } else {
        logs.shown_off_terminal()?
    };

    if !status.success() && !interrupt.is_pressed() {
        bail!("`docker compose logs` ended with {status}; its own message is above");
    }
    Ok(Outcome::Done)
}
