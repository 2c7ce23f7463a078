//! `production import`: a file of `cargo xtask backup` becomes production's data.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::import;
use crate::swarm::Swarm;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionImport) -> anyhow::Result<Outcome> {
    let (mut archive, manifest) = import::open(&options.file)?;
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    import::check_place(&swarm, &here)?;
    let _lock = swarm.lock("import")?;
    let release = swarm.newest_release()?;

    let (name, rows) = (&manifest.name, manifest.rows());
    say!(
        "{name} was made at {} and has {rows} rows",
        manifest.made_at
    );
    let question = "Replace production's data by it? The applications stop meanwhile.";
    if !options.yes && !terminal::ask(question)? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    let timeout = Duration::from_secs(options.wait.timeout);
    let imported = import::run(&swarm, &release, &mut archive, (timeout, &here))?;

    say!("imported {name}: {} rows", imported.total());
    say!(
        "passwords of accounts are those of the file now: write ADMIN_EMAIL, UMAMI_ADMIN_PASSWORD and GLITCHTIP_ADMIN_PASSWORD of \
         the single machine into deploy/production/.env, and `cargo xtask production verify` can log in"
    );
    say!("what was replaced is kept until the next import");
    Ok(Outcome::Done)
}
