//! A backup in the place of the data, as one operation: what is there stays until everything has come
//! back and was counted.

use anyhow::Context;

use super::journal::{self, Record};
use super::{prove, start};
use crate::apps::accounts;
use crate::backup::create::{self, Wanted};
use crate::backup::file::Archive;
use crate::backup::manifest::Manifest;
use crate::backup::replace;
use crate::backup::stores::Stores;
use crate::problem::Problem;
use crate::session::Session;
use crate::stack;
use crate::terminal::say;

/// Whether what is there is saved first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Safety {
    Backup,
    NoBackup,
}

/// Whether test events are sent afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Events,
    None,
}

/// Replaces all data by that of a backup, and starts the stack again.
///
/// # Errors
/// Before the data was replaced: everything is as it was. After it: what does not work with it.
pub fn run(
    session: &Session,
    (archive, manifest): (&mut Archive, &Manifest),
    safety: Safety,
    proof: Proof,
) -> anyhow::Result<()> {
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    let was_running = stores.are_applications_running()?;
    stores.stop_applications()?;

    if let Err(error) = replace_data(session, &stores, (archive, manifest), safety) {
        settle(session)?;
        journal::end(session.checkout)?;
        if was_running {
            start::everything(session)?;
        }
        return Err(error.context("nothing was replaced; the data is unchanged"));
    }

    start::everything(session)?;
    set_passwords(session, &accounts::ADMINISTRATORS)?;
    say!("restored {} rows", manifest.rows());
    say!("set all passwords to those in .env, also both administrators'");
    match proof {
        Proof::Events => prove::events_arrive(session),
        Proof::None => Ok(()),
    }
}

fn replace_data(
    session: &Session,
    stores: &Stores,
    (archive, manifest): (&mut Archive, &Manifest),
    safety: Safety,
) -> anyhow::Result<()> {
    if safety == Safety::Backup && stores.exist()? {
        let folder = session.checkout.backups();
        let path =
            create::create(session, stores, &Wanted::new(&folder))
                .context(Problem::new("the present data could not be saved").hint(
                    "to go on without saving it, repeat with `--no-backup`: it is lost then",
                ))?;
        say!(
            "saved the present data in {}",
            session.checkout.display(&path)
        );
    }
    let record = Record::Restore {
        backup: manifest.name.clone(),
    };
    journal::begin(session.checkout, &record)?;
    replace::replace(stores, archive, manifest)?;
    journal::end(session.checkout)
}

/// Gives administrators the passwords that `.env` says.
///
/// # Errors
/// When there is no such administrator.
pub fn set_passwords(session: &Session, keys: &[&str]) -> anyhow::Result<()> {
    for key in keys {
        let run = ["run", "--rm", "--no-deps", "--no-TTY", "--env"];
        let run = session.docker.compose().args(run);
        run.args([accounts::SET_PASSWORD, accounts::service(key)])
            .text()
            .with_context(|| format!("setting {key}"))?;
    }
    Ok(())
}

/// Brings a restore that was killed to its end: forwards once the databases were swapped, else back.
///
/// # Errors
/// When PostgreSQL does not start.
pub fn resume(session: &Session) -> anyhow::Result<()> {
    say!("resuming an interrupted restore");
    let done = settle(session)?;
    say!("finished the interrupted restore: {done}");
    Ok(())
}

/// Lets what was half restored go, or takes it into use; returns which.
///
/// # Errors
/// When PostgreSQL does not start.
pub fn settle(session: &Session) -> anyhow::Result<String> {
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    stores.stop_applications()?;
    stores.ensure_running()?;
    stores.stop(&["redis"])?;
    stores.settle()
}
