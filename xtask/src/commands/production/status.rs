//! `production status`: the release, and a service a row. Looks, changes nothing.

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::swarm::database::MEMBER_SERVICES;
use crate::swarm::status::Report;
use crate::terminal;

pub fn run(checkout: &Checkout, options: &cli::Status) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let (services, tasks, nodes) = (swarm.services()?, swarm.tasks()?, swarm.nodes()?);
    let releases = swarm.releases()?;

    let mut report = Report::of(&services, &tasks, &nodes);
    report.name_release(&swarm.name, releases.first());
    if services.contains_key(MEMBER_SERVICES[0]) {
        report.add_members(swarm.cluster().map_err(|error| format!("{error:#}")));
    }

    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        terminal::print(&report.render())?;
    }
    Ok(Outcome::from(report.healthy))
}
