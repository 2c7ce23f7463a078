//! `production failover`: another member of the database becomes the primary.

use anyhow::bail;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::failover::{Manner, Plan, plan, say_done};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionFailover) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    if !swarm.has_members()? {
        bail!(one_copy());
    }
    let manner = if options.force {
        Manner::Forced
    } else {
        Manner::Planned
    };
    let (cluster, nodes) = (swarm.cluster()?, swarm.nodes()?);
    let failover = match plan(&cluster, &nodes, options.to.as_deref(), manner)? {
        Plan::Change(failover) => failover,
        Plan::Already(name) => {
            say!("already the primary: {name}");
            return Ok(Outcome::Done);
        }
    };
    if options.dry_run {
        terminal::print(&failover.render())?;
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("failover")?;
    if !options.yes && !terminal::ask(&failover.question())? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    let took = failover.carry_out(&swarm)?;

    say_done(&failover.to, took);
    Ok(Outcome::Done)
}

fn one_copy() -> Problem {
    Problem::new("the database is on one node, so no other can take its place").hint(
        "set DATABASE=ha in deploy/production/.env, on three nodes, then run `cargo xtask production deploy`",
    )
}
