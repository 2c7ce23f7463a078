//! `production export`: production's data as a file that `cargo xtask restore` takes on a single machine.

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::{export, import};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionExport) -> anyhow::Result<Outcome> {
    let path = std::path::absolute(&options.file).context("finding the file")?;
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    if swarm.has_members()? {
        bail!(
            Problem::new("the databases are on three nodes, and an export takes all data from one")
                .hint(
                    "bring them back to one node first: set DATABASE=single in deploy/production/.env, then `cargo xtask production deploy`"
                )
        );
    }
    import::check_place(&swarm, &here)?;
    let _lock = swarm.lock("export")?;
    let release = swarm.newest_release()?;

    let manifest = export::run(&swarm, &release, &path)?;

    for (what, why) in &manifest.missing {
        let problem = Problem::new(format!("the file has no {what}: {why}"));
        let hint =
            "copy them with any client of S3 into GlitchTip's volume, once the file was restored";
        terminal::say_warning(&problem.hint(hint));
    }
    terminal::print(&format!("{}\n", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    say!(
        "on the other machine: `cargo xtask restore {name}`, with UMAMI_WEBSITE_ID and ADMIN_EMAIL in deploy/analytics/.env as they are here"
    );
    Ok(Outcome::Done)
}
