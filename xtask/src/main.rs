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
mod operations;
mod problem;
mod session;
mod stack;
mod swarm;
mod system;
mod terminal;
mod verification;

use std::process::ExitCode;

use checkout::Checkout;
use cli::{Cli, Command, Production};
use commands::Outcome;
use docker::invocation::is_broken_pipe;
use hosts::elevation::Refused;
use problem::Problem;

fn main() -> ExitCode {
    let checkout = Checkout::discover();
    let services = || checkout.as_ref().map(stack::service_names);
    let cli = Cli::parse_with_services(|| services().unwrap_or_default());
    if cli.verbose {
        terminal::show_commands();
    }
    let result = match &cli.command {
        // Root runs this wherever sudo starts it.
        Command::HostsAsRoot(options) => commands::hosts::run_as_root(options),
        command => checkout.and_then(|checkout| run(command, &checkout)),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::NotDone) => ExitCode::FAILURE,
        // Whoever reads our output has seen enough (`| head`).
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
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

fn run(command: &Command, checkout: &Checkout) -> anyhow::Result<Outcome> {
    match command {
        Command::Setup => commands::setup::run(checkout),
        Command::Up(options) => commands::up::run(checkout, options),
        Command::Down => commands::down::run(checkout),
        Command::Restart(options) => commands::restart::run(checkout, options),
        Command::Logs(options) => commands::logs::run(checkout, options),
        Command::Status(options) => commands::status::run(checkout, options),
        Command::Connect(options) => commands::connect::run(checkout, options),
        Command::Verify(options) => commands::verify::run(checkout, options),
        Command::Backup(options) => commands::backup::run(checkout, options),
        Command::Restore(options) => commands::restore::run(checkout, options),
        Command::Rotate(options) => commands::rotate::run(checkout, options),
        Command::Upgrade(options) => commands::upgrade::run(checkout, options),
        Command::Clean(options) => commands::clean::run(checkout, options),
        Command::Hosts(options) => commands::hosts::run(checkout, options),
        Command::HostsAsRoot(options) => commands::hosts::run_as_root(options),
        Command::Doctor(options) => commands::doctor::run(checkout, options),
        Command::Production(verb) => produce(verb, checkout),
        Command::Ci(options) => commands::ci::run(checkout, options),
    }
}

fn produce(verb: &Production, checkout: &Checkout) -> anyhow::Result<Outcome> {
    use commands::production;
    match verb {
        Production::Setup => production::setup::run(checkout),
        Production::Doctor(options) => production::doctor::run(checkout, options),
        Production::Deploy(options) => production::deploy::run(checkout, options),
        Production::Status(options) => production::status::run(checkout, options),
        Production::Logs(options) => production::logs::run(checkout, options),
        Production::Verify(options) => production::verify::run(checkout, options),
        Production::Rollback(options) => production::rollback::run(checkout, options),
        Production::Backup(options) => production::backup::run(checkout, options),
        Production::Restore(options) => production::restore::run(checkout, options),
        Production::Drill => production::drill::run(checkout),
        Production::Rotate(options) => production::rotate::run(checkout, options),
        Production::Import(options) => production::import::run(checkout, options),
        Production::Export(options) => production::export::run(checkout, options),
        Production::Failover(options) => production::failover::run(checkout, options),
        Production::Nodes(options) => work_on_nodes(options, checkout),
        Production::Remove(options) => production::remove::run(checkout, options),
    }
}

fn work_on_nodes(options: &cli::nodes::Nodes, checkout: &Checkout) -> anyhow::Result<Outcome> {
    use cli::nodes::Verb;
    use commands::production::nodes;
    match &options.verb {
        None => nodes::list::run(checkout, options),
        Some(Verb::Add(options)) => nodes::add::run(checkout, options),
        Some(Verb::Drain(options)) => nodes::drain::run(checkout, options),
        Some(Verb::Activate(options)) => nodes::activate::run(checkout, options),
        Some(Verb::Replace(options)) => nodes::replace::run(checkout, options),
        Some(Verb::Rebalance(options)) => nodes::rebalance::run(checkout, options),
    }
}
