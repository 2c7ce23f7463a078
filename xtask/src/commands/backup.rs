//! `backup`: all data in one file, proven to be restorable. The stack runs on; nothing in it is changed.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::backup::create::{self, Broken, EnvPart, Verification, Wanted};
use crate::backup::list;
use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::operations::open::{Resume, open};
use crate::problem::Problem;
use crate::stack;
use crate::terminal;

pub fn run(checkout: &Checkout, options: &cli::Backup) -> anyhow::Result<Outcome> {
    let folder: PathBuf = match &options.output {
        Some(folder) => std::path::absolute(folder).context("finding the folder for the backup")?,
        None => checkout.backups(),
    };
    if options.list {
        let config = stack::read_config(&Docker::new(checkout)?)?;
        terminal::print(&list::render(checkout, &config.name, &folder)?)?;
        return Ok(Outcome::Done);
    }

    let timeout = Duration::from_secs(cli::Wait::DEFAULT);
    let (session, stack) = open(checkout, Resume::Data, timeout)?;
    let config = &stack.desired;
    let stores = Stores::find(&session, config)?;
    if !stores.exist()? {
        let what = format!(
            "the project {} has no data yet, so there is nothing to save",
            config.name
        );
        bail!(Problem::new(what).hint("`cargo xtask up` starts the stack"));
    }

    let wanted = Wanted {
        folder: &folder,
        verification: if options.no_verify {
            Verification::Skip
        } else {
            Verification::Restore
        },
        env: if options.with_env {
            EnvPart::Include
        } else {
            EnvPart::LeaveOut
        },
        broken: Broken::LeaveOut,
    };
    let created = create::create(&session, &stores, &wanted)?;
    if let Some(keep) = options.keep {
        list::remove_older(checkout, &config.name, &folder, keep)?;
    }

    terminal::print(&format!("{}\n", created.path.display()))?;
    if created.missing.is_empty() {
        return Ok(Outcome::Done);
    }
    let names: Vec<&str> = created.missing.keys().map(String::as_str).collect();
    let what = format!(
        "the backup is partial: {} could not be saved",
        names.join(", ")
    );
    bail!(Problem::new(what).hint(match stores.newest_backup(&folder) {
        Some(name) => format!("`cargo xtask restore {name}` puts the newest complete backup in its place"),
        None => "`cargo xtask doctor` says what is wrong; there is no complete backup yet".to_owned(),
    }))
}
