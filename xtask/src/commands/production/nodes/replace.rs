//! `production nodes replace`: another node takes the place of a dead one.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli::nodes::Replace;
use crate::commands::Outcome;
use crate::operations::production::nodes::replace::Replacement;
use crate::swarm::Swarm;
use crate::swarm::nodes::find;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &Replace) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let nodes = swarm.nodes()?;
    let (dead, new) = (find(&nodes, &options.dead)?, find(&nodes, &options.new)?);
    let replacement = Replacement::plan(dead, new)?;
    if options.dry_run {
        terminal::print(&replacement.render())?;
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("nodes replace")?;
    let (dead, new) = (dead.hostname(), new.hostname());
    let question = format!("Remove {dead} from the swarm, and let {new} take its place?");
    if !options.yes && !terminal::ask(&question)? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    replacement.carry_out(&swarm, Duration::from_secs(options.wait.timeout))?;

    say!("replaced: {new} has the place of {dead}");
    say!("if {dead} ever comes back, it must leave first: `docker swarm leave --force` on it");
    Ok(Outcome::Done)
}
