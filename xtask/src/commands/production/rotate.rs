//! `production rotate`: new passwords for the databases, without a failed request; or other secrets by name.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::deploy::How;
use crate::operations::production::rotate;
use crate::swarm::Swarm;
use crate::swarm::images::Pull;
use crate::terminal::say;

pub fn run(checkout: &Checkout, options: &cli::ProductionRotate) -> anyhow::Result<Outcome> {
    let keys = rotate::choose(&options.keys)?;
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    let lock = swarm.lock("rotate")?;
    // What has never worked has nothing that could go on.
    swarm.newest_release()?;

    let how = How {
        pull: Pull::Missing,
        timeout: Duration::from_secs(options.wait.timeout),
        watch: Duration::from_secs(options.watch.seconds),
        here,
    };
    let release = rotate::run(&swarm.checkout, &lock, &keys, &how)?;

    say!(
        "rotated {}: release {} runs with the new values",
        keys.join(", "),
        release.number
    );
    Ok(Outcome::Done)
}
