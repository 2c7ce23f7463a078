//! `cargo xtask`: the hand that works the committed stack in `deploy/analytics`.
//!
//! This file parses, dispatches and turns an error into an exit code; nothing else may choose one.

mod apps;
mod backup;
mod checkout;
mod checks;
mod cli;
mod commands;
mod diagnosis;
mod docker;
mod env;
mod hosts;
mod problem;
mod stack;
mod system;
mod terminal;
mod verification;

use std::process::ExitCode;

use checkout::Checkout;
use cli::{Cli, Command};
use commands::Outcome;
use docker::Docker;
use hosts::elevation::Refused;
use problem::Problem;

fn main() -> ExitCode {
    let project = Checkout::discover();
    let services = project
        .as_ref()
        .map(Checkout::service_names)
        .unwrap_or_default();
    let cli = Cli::parse_with_services(&services);
    let result = match &cli.command {
        // Root runs this wherever sudo starts it.
        Command::HostsAsRoot(options) => commands::hosts::run_as_root(options),
        _ => project.and_then(|project| run(&cli, &project)),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotDone) => ExitCode::FAILURE,
        // Whoever reads our output has seen enough (`| head`).
        Err(error) if docker::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::say_error(&Problem::of(&error));
            if error.is::<Refused>() {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}

fn run(cli: &Cli, project: &Checkout) -> anyhow::Result<Outcome> {
    let docker = || Docker::new(project, cli.verbose);
    match &cli.command {
        Command::Setup => commands::setup::run(project),
        Command::Up(options) => commands::up::run(project, cli.verbose, options),
        Command::Down => commands::down::run(project, &docker()?),
        Command::Restart(options) => commands::restart::run(project, cli.verbose, options),
        Command::Logs(options) => commands::logs::run(&docker()?, options),
        Command::Status(options) => commands::status::run(&docker()?, options),
        Command::Connect(options) => commands::connect::run(project, &docker()?, options),
        Command::Verify(options) => commands::verify::run(project, &docker()?, options),
        Command::Backup(options) => commands::backup::run(project, &docker()?, options),
        Command::Restore(options) => commands::restore::run(project, cli.verbose, options),
        Command::Rotate(options) => commands::rotate::run(project, cli.verbose, options),
        Command::Upgrade(options) => commands::upgrade::run(project, cli.verbose, options),
        Command::Clean(options) => commands::clean::run(project, &docker()?, options),
        Command::Hosts(options) => commands::hosts::run(project, options),
        Command::HostsAsRoot(options) => commands::hosts::run_as_root(options),
        Command::Doctor(options) => commands::doctor::run(project, cli.verbose, options),
        Command::Ci(options) => commands::ci::run(project, cli.verbose, options),
    }
}
