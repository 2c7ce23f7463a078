//! `production remove`: takes the stack off the swarm, after asking and a last backup. Never deletes a volume
//! or what is in the bucket.

use anyhow::Context;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::operation::Backup;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionRemove) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    swarm.check()?;
    let services = swarm.services()?;
    if services.is_empty() && !swarm.has_objects()? {
        say!("nothing to remove: the swarm has no stack {}", swarm.name);
        return Ok(Outcome::Done);
    }
    let names: Vec<&str> = services.keys().map(String::as_str).collect();
    say!("removes the stack {}: {}", swarm.name, names.join(", "));
    if !options.yes && !terminal::ask_name(&swarm.name)? {
        say!("nothing was removed");
        return Ok(Outcome::NotDone);
    }

    let lock = swarm.lock("remove")?;
    if !options.no_backup && services.contains_key("postgres") {
        back_up(&swarm)?;
    }
    let volumes = swarm.remove_all(lock)?;

    say!(
        "removed the stack {}; the backups in the bucket stay",
        swarm.name
    );
    if !volumes.is_empty() {
        let delete = format!("volume rm {}", volumes.join(" "));
        let delete = swarm.docker.target().render_command(&delete);
        say!("the data stays in its volumes: `cargo xtask production deploy` finds it again");
        say!("to delete it for good: `{delete}`");
    }
    Ok(Outcome::Done)
}

fn back_up(swarm: &Swarm) -> anyhow::Result<()> {
    let releases = swarm.releases()?;
    let Some(release) = releases.first() else {
        say!("no release has worked yet, so there is nothing to back up");
        return Ok(());
    };
    say!("backing up");
    let backup: Backup = swarm.operate(release, "backup", "incr").context(
        Problem::new("nothing was removed, since the backup before it failed").hint(
            "to remove without a backup, repeat with `--no-backup`: the volumes stay in any case",
        ),
    )?;
    say!("backed up: {}", backup.label);
    Ok(())
}
