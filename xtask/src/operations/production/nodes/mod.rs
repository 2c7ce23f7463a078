//! Work on the nodes of production while it is served: one is drained, used again, replaced or added, and replicas
//! are spread. Whatever is killed on the way is finished by the same command once more.

pub mod add;
pub mod drain;
pub mod rebalance;
pub mod replace;

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::placement::Placement;
use crate::terminal::say;
use crate::terminal::text::render_duration;

const GLANCE: Duration = Duration::from_millis(500);

/// Places all tasks of some services anew, one service after the other and without a pause: each until its new tasks
/// are healthy and the old ones have ended. The caller holds the lock.
///
/// # Errors
/// The first that does not get well: the swarm takes it back then.
fn place_anew(swarm: &Swarm, services: &[&str], timeout: Duration) -> anyhow::Result<()> {
    for service in services {
        say!("placing the tasks of {service} anew");
        let before = swarm.before()?;
        swarm.place_anew(service)?;
        let begin = Instant::now();
        loop {
            let placement = swarm.placement()?;
            if let Some(cause) = placement.failure(service, &before) {
                bail!(Problem::new(format!("{service} failed: {cause}")));
            }
            if placement.is_placed(service) {
                break;
            }
            if begin.elapsed() > timeout {
                let after = render_duration(timeout.as_secs());
                bail!(Problem::new(format!(
                    "{service} is not healthy after {after}: it is on {}",
                    placement.render_spread(service)
                )));
            }
            thread::sleep(GLANCE);
        }
    }
    Ok(())
}

/// Looks until nothing is left of what `left` finds; a swarm that does not answer meanwhile may be choosing another
/// leader. `left` says what it waits for.
///
/// # Errors
/// When something is left after `timeout`: what it is.
fn wait_until_none_is_left(
    swarm: &Swarm,
    timeout: Duration,
    left: impl Fn(&Placement) -> Option<String>,
) -> anyhow::Result<()> {
    let begin = Instant::now();
    loop {
        let seen = swarm.placement().map(|placement| left(&placement));
        let is_over = begin.elapsed() > timeout;
        match seen {
            Ok(None) => return Ok(()),
            Ok(Some(left)) if is_over => {
                let after = render_duration(timeout.as_secs());
                bail!(Problem::new(format!("after {after} {left}")));
            }
            Err(error) if is_over => return Err(error),
            Ok(Some(_)) | Err(_) => thread::sleep(GLANCE),
        }
    }
}

/// Waits until every member of the database does what it should, so that any one machine may die.
///
/// # Errors
/// When one does not after `timeout`.
fn wait_until_members_stream(swarm: &Swarm, timeout: Duration) -> anyhow::Result<()> {
    say!("waiting until every member of the database streams");
    let begin = Instant::now();
    while !swarm.cluster().is_ok_and(|cluster| cluster.is_well()) {
        if begin.elapsed() > timeout {
            let after = render_duration(timeout.as_secs());
            let what = format!("after {after} not every member of the database streams");
            let hint = "`cargo xtask production status` shows how they stand";
            bail!(Problem::new(what).hint(hint));
        }
        thread::sleep(GLANCE);
    }
    Ok(())
}

/// What is not well now and was before, or is not among `expected`.
fn newly_ill(placement: &Placement, expected: &BTreeSet<String>) -> Option<String> {
    let ill = placement.ill().into_iter();
    let mut new = ill.filter(|(name, _)| !expected.contains(name));
    let (name, note) = new.next()?;
    Some(format!("{name} is not healthy: {note}"))
}
