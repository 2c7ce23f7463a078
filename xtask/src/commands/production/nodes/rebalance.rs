//! `production nodes rebalance`: replicas spread over the nodes again.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli::nodes::Rebalance;
use crate::commands::Outcome;
use crate::operations::production::nodes::rebalance;
use crate::swarm::Swarm;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &Rebalance) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let placement = swarm.placement()?;
    let plan = rebalance::plan(&placement);
    if options.dry_run {
        terminal::print(&rebalance::render(&plan))?;
        return Ok(Outcome::Done);
    }
    if plan.is_empty() {
        say!("already spread: no node has two tasks more of a service than another");
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("nodes rebalance")?;
    let timeout = Duration::from_secs(options.wait.timeout);
    rebalance::carry_out(&swarm, &plan, timeout)?;

    say!(
        "rebalanced: {}",
        plan.iter()
            .map(|(name, _)| *name)
            .collect::<Vec<_>>()
            .join(", ")
    );
    Ok(Outcome::Done)
}
