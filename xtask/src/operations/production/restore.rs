//! A restored cluster taken into use: PostgreSQL starts on it, and everything else gets used to it.
//!
//! The cluster before stays in the volume. Must never leave PostgreSQL on a cluster that does not start.

use std::time::Duration;

use anyhow::Context;

use super::prove;
use super::release::run_jobs;
use crate::swarm::Swarm;
use crate::swarm::files::JOBS;
use crate::swarm::operation::{Backup, Switch};
use crate::swarm::release::Release;
use crate::swarm::watch::{Others, Patience};
use crate::terminal::say;

/// What must begin anew with the database: GlitchTip's scheduler may be dead after a database that went away
/// (6.2.6).
const RESTARTED: [&str; 2] = ["postgres", "glitchtip-worker"];

/// Takes the cluster of this name into use, and proves that the applications are served from it. The caller
/// holds the lock; `here` is the id of the node whose engine is asked.
///
/// # Errors
/// When it does not work; if PostgreSQL itself does not, the cluster before is in use again.
pub fn take_into_use(
    swarm: &Swarm,
    release: &Release,
    cluster: &str,
    (timeout, here): (Duration, &str),
) -> anyhow::Result<()> {
    let switched: Switch = swarm.operate(release, "switch", cluster)?;
    say!("restarting PostgreSQL on {}", switched.cluster);
    if let Err(error) = restart(swarm, release, timeout) {
        say!("going back to {}", switched.was);
        swarm.operate::<Switch>(release, "switch", "previous")?;
        restart(swarm, release, timeout).context("going back to the cluster before failed too")?;
        return Err(
            error.context("the restored cluster does not work; the one before is in use again")
        );
    }

    run_jobs(swarm, release, &swarm.order_of(JOBS)?)?;
    prove::run(swarm, &release.stack, here)?;
    say!("backing up what is in use now");
    let backup: Backup = swarm.operate(release, "backup", "full")?;
    say!("backed up: {}", backup.label);
    Ok(())
}

fn restart(swarm: &Swarm, release: &Release, timeout: Duration) -> anyhow::Result<()> {
    swarm.stop(&RESTARTED)?;
    let before = swarm.before()?;
    swarm.deploy(&swarm.name, &release.stack, Others::Stay)?;
    let settle = Duration::ZERO;
    match swarm.watch(&release.stack, &before, Patience { timeout, settle })? {
        Ok(()) => Ok(()),
        Err(broken) => Err(broken.problem.into()),
    }
}
