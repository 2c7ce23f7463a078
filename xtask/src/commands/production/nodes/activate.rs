//! `production nodes activate`: a node takes tasks again.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli::nodes::Activate;
use crate::commands::Outcome;
use crate::operations::production::nodes::drain::activate;
use crate::swarm::Swarm;
use crate::swarm::nodes::find;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &Activate) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let nodes = swarm.nodes()?;
    let node = find(&nodes, &options.node)?;
    let name = node.hostname();
    if node.availability() == "active" {
        say!("already active: {name}");
        return Ok(Outcome::Done);
    }
    if options.dry_run {
        terminal::print(&format!("would let {name} take tasks\n"))?;
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("nodes activate")?;
    activate(&swarm, node, Duration::from_secs(options.wait.timeout))?;

    say!("activated: {name} takes tasks again");
    say!("the replicas stay where they are; `cargo xtask production nodes rebalance` spreads them");
    Ok(Outcome::Done)
}
