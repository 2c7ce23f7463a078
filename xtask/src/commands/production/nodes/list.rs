//! `production nodes`: a node a row, and what would stop with it. Looks, changes nothing.

use crate::checkout::Checkout;
use crate::cli::nodes::Nodes;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::swarm::roster::Roster;
use crate::terminal;

pub fn run(checkout: &Checkout, options: &Nodes) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let placement = swarm.placement()?;

    let roster = Roster::of(&swarm.name, &placement);

    if options.json {
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&roster)?))?;
    } else {
        terminal::print(&roster.render())?;
        let warnings = Roster::warnings(&placement);
        warnings.iter().for_each(terminal::say_warning);
    }
    Ok(Outcome::Done)
}
