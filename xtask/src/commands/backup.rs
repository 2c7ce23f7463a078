//! `backup`: all data in one file, proven to be restorable. The stack runs on; nothing in it is changed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::backup::create::{self, Broken, Created, EnvPart, Verification, Wanted};
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

    let created = create::create(&session, &stores, &wanted(options, &folder))?;
    if let Some(keep) = options.keep {
        list::remove_older(checkout, &config.name, &folder, keep)?;
    }

    terminal::print(&format!("{}\n", created.path.display()))?;
    if created.missing.is_empty() {
        return Ok(Outcome::Done);
    }
    bail!(partial(&created, stores.newest_backup(&folder)))
}

fn wanted<'a>(options: &cli::Backup, folder: &'a Path) -> Wanted<'a> {
    Wanted {
        folder,
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
    }
}

/// What is wrong with a backup that lacks something; `newest` is the newest complete one.
fn partial(created: &Created, newest: Option<String>) -> Problem {
    let names: Vec<&str> = created.missing.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let problem = Problem::new(format!("the backup is partial: {names} could not be saved"));
    problem.hint(match newest {
        Some(name) => format!(
            "`cargo xtask restore {name}` replaces the data with the newest complete backup"
        ),
        None => {
            "`cargo xtask doctor` says what is wrong; there is no complete backup yet".to_owned()
        }
    })
}
