//! `production doctor`: what would stop a deployment, and what goes wrong unnoticed. Changes nothing.

use crate::checkout::Checkout;
use crate::checks::finding;
use crate::checks::production::examine;
use crate::cli;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::terminal;

pub fn run(checkout: &Checkout, options: &cli::ProductionDoctor) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;

    let findings = examine(&swarm)?;

    terminal::print(&if options.json {
        finding::render_json(&findings)?
    } else {
        finding::render(&findings, finding::paint)
    })?;
    Ok(Outcome::from(finding::is_ok(&findings)))
}
