//! `production rollback`: the release before runs again. What the databases were migrated to stays.

use std::time::Duration;

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::release::go_back;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::release::Release;
use crate::system::clock;
use crate::terminal::text::render_timestamp;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionRollback) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    let lock = swarm.lock("rollback")?;
    let releases = swarm.releases()?;
    let (present, target) = choose(&releases)?;
    say!(
        "release {} runs; going back to release {} of {}",
        present.number,
        target.number,
        target.at
    );
    let question = "Go back? The databases stay as they are.";
    if !options.yes && !terminal::ask(question)? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }

    let release = Release {
        number: present.number + 1,
        at: render_timestamp(clock::now()),
        by: swarm.owner(),
        mark: None,
        ..target.clone()
    };
    let timeout = Duration::from_secs(options.wait.timeout);
    go_back(&lock, present, &release, (timeout, &here))?;

    say!(
        "rolled back: release {} is release {} again; `cargo xtask production deploy` brings what .env says",
        release.number,
        target.number
    );
    Ok(Outcome::Done)
}

/// The release that runs, and the newest before it that differs.
fn choose(releases: &[Release]) -> anyhow::Result<(&Release, &Release)> {
    let (present, older) = releases.split_first().context(
        Problem::new("no release has worked yet")
            .hint("make one with `cargo xtask production deploy`"),
    )?;
    let target = older.iter().find(|release| !release.is_same_as(present));
    let Some(target) = target else {
        bail!(
            Problem::new("there is no other release to go back to")
                .hint("`cargo xtask production status` shows the one that runs")
        );
    };
    Ok((present, target))
}
