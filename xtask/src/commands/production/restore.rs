//! `production restore`: the databases as they were at a time. The present ones stay beside the restored ones.

use std::time::Duration;

use anyhow::bail;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::restore::take_into_use;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::operation::{Restored, parse_target};
use crate::swarm::release::Release;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionRestore) -> anyhow::Result<Outcome> {
    let target = options.at.as_deref().map(parse_target).transpose()?;
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    let _lock = swarm.lock("restore")?;
    let release = swarm.newest_release()?;
    check_single(&release)?;

    say!("restoring beside the databases in use, which run on meanwhile");
    let target = target.unwrap_or_default();
    let restored: Restored = swarm.operate(&release, "restore", &target)?;
    terminal::print(&restored.render())?;

    let question = "Take the restored databases into use? Requests fail for some seconds.";
    if !options.yes && !terminal::ask(question)? {
        say!(
            "nothing was changed; the next restore removes {}",
            restored.cluster
        );
        return Ok(Outcome::NotDone);
    }
    let timeout = Duration::from_secs(options.wait.timeout);
    take_into_use(&swarm, &release, &restored.cluster, (timeout, &here))?;

    say!(
        "restored: the databases are those of {}",
        restored.recovered_to()
    );
    say!("the ones before are kept in the volume until the next restore");
    Ok(Outcome::Done)
}

/// The members of a database on three nodes would each hold on to the history that is gone back from.
fn check_single(release: &Release) -> anyhow::Result<()> {
    if release.stack.has_members() {
        bail!(
            Problem::new("with DATABASE=ha the databases cannot be restored").hint(
                "set DATABASE=single in deploy/production/.env, `cargo xtask production deploy`, restore, then go back to ha alike"
            )
        );
    }
    Ok(())
}
