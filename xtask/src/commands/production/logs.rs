//! `production logs`: what the services print, followed by default.

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::swarm::logs::Wanted;
use crate::terminal::say;

pub fn run(checkout: &Checkout, options: &cli::Logs) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let services = swarm.services()?;
    if services.is_empty() {
        say!("no services, so no logs; `cargo xtask production deploy` starts the stack");
        return Ok(Outcome::Done);
    }
    swarm.check_names(&services, &options.services)?;

    let wanted = Wanted {
        follow: !options.no_follow,
        tail: options.tail,
        since: options.since.clone(),
    };
    let sources = swarm.log_sources(&services, &options.services)?;
    swarm.show_logs(&sources, &wanted)?;
    Ok(Outcome::Done)
}
