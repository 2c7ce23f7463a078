//! `production verify`: proves that events arrive through every edge, by sending some and reading them back.

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::terminal;
use crate::verification::production;

pub fn run(checkout: &Checkout, options: &cli::ProductionVerify) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    // Two at once would remove each other's events.
    let _lock = swarm.lock("verify")?;
    let release = swarm.newest_release()?;

    let report = production::verify(&swarm, &release.stack, &here)?;

    terminal::print(&if options.json {
        report.render_json()?
    } else {
        report.render()
    })?;
    Ok(Outcome::from(report.passed))
}
