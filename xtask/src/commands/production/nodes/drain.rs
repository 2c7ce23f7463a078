//! `production nodes drain`: everything off a node, for work on its machine.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli::nodes::Change;
use crate::commands::Outcome;
use crate::operations::production::nodes::drain::Drain;
use crate::swarm::Swarm;
use crate::swarm::nodes::find;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &Change) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let placement = swarm.placement()?;
    let node = find(&placement.nodes, &options.node)?;
    let name = node.hostname();
    let drain = Drain::plan(&placement, node)?;
    if drain.is_done() {
        say!("already drained: {name}");
        return Ok(Outcome::Done);
    }
    drain.check_database(&swarm)?;
    if let Some(warning) = drain.warning() {
        terminal::say_warning(&warning);
    }
    if options.dry_run {
        terminal::print(&drain.render())?;
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("nodes drain")?;
    if !options.yes && !terminal::ask(&format!("Drain {name}?"))? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    drain.carry_out(&swarm, Duration::from_secs(options.wait.timeout))?;

    say!("drained: {name} runs nothing of {}", swarm.name);
    say!("afterwards: `cargo xtask production nodes activate {name}`");
    Ok(Outcome::Done)
}
