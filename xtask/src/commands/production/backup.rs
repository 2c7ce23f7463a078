//! `production backup`: a backup in the bucket now, whatever the schedule says.

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::swarm::Swarm;
use crate::swarm::operation::Backup;
use crate::terminal::say;
use crate::terminal::text::{render_bytes, render_duration};

pub fn run(checkout: &Checkout, options: &cli::ProductionBackup) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let _lock = swarm.lock("backup")?;
    let release = swarm.newest_release()?;

    let kind = if options.full { "full" } else { "incr" };
    let backup: Backup = swarm.operate(&release, "backup", kind)?;

    say!(
        "backed up: {} ({}), {} in {}",
        backup.label,
        backup.kind,
        render_bytes(backup.repository_bytes),
        render_duration(backup.seconds)
    );
    Ok(Outcome::Done)
}
