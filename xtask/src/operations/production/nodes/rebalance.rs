//! Replicas spread over the nodes again: the swarm moves nothing by itself to a node that came back.

use std::time::Duration;

use super::place_anew;
use crate::swarm::Swarm;
use crate::swarm::placement::Placement;
use crate::terminal::say;

/// The services that one node has too many tasks of, each with where they are, for people.
pub fn plan(placement: &Placement) -> Vec<(&str, String)> {
    let crowded = placement.crowded().into_iter();
    crowded
        .map(|service| (service, placement.render_spread(service)))
        .collect()
}

/// What would be done, a line each.
pub fn render(plan: &[(&str, String)]) -> String {
    if plan.is_empty() {
        return "would change nothing\n".to_owned();
    }
    let line = |(service, spread): &(&str, String)| {
        format!("would place the tasks of {service} anew, which are on {spread}\n")
    };
    plan.iter().map(line).collect()
}

/// Places the tasks of these services anew, one service after the other: each new task answers before an old one
/// ends. The caller holds the lock.
///
/// # Errors
/// The first service that does not get well: the swarm has taken it back then.
pub fn carry_out(swarm: &Swarm, plan: &[(&str, String)], timeout: Duration) -> anyhow::Result<()> {
    for (service, before) in plan {
        place_anew(swarm, &[service], timeout)?;
        let after = swarm.placement()?.render_spread(service);
        say!("{service} was on {before}, and is on {after}");
    }
    Ok(())
}
