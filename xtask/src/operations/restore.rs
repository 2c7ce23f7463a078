//! A backup in the place of the data, as one operation: what is there stays until everything has come
//! back and was counted.

use anyhow::Context;

use super::journal::{self, Record};
use super::{prove, start};
use crate::apps::accounts;
use crate::backup::condition::Opened;
use crate::backup::create::{self, Wanted};
use crate::backup::file::Archive;
use crate::backup::manifest::Manifest;
use crate::backup::replace::{self, Way};
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

/// Replaces all data by that of a backup, and starts the stack again. A store that does not start is
/// replaced too; one that is missing in the backup stays as it is.
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

    let replaced = prepare(session, &stores, manifest, safety)
        .and_then(|way| take(session, &stores, (archive, manifest), way));
    if let Err(error) = replaced {
        undo(session)?;
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

/// Saves what is there, as far as it can be saved, and finds the way to replace it.
fn prepare(
    session: &Session,
    stores: &Stores,
    manifest: &Manifest,
    safety: Safety,
) -> anyhow::Result<Way> {
    if !stores.exist()? {
        stores.ensure_volumes()?;
        return Ok(replace::choose_way(&Opened::all(Vec::new()), manifest));
    }
    let opened = stores.open()?;
    if safety == Safety::Backup {
        let folder = session.checkout.backups();
        let created = create::create_from(session, stores, &opened, &Wanted::of_all(&folder))
            .context(
                Problem::new("the present data could not be saved")
                    .hint("to go on without saving it, repeat with `--no-backup`: it is lost then"),
            )?;
        say!(
            "saved the present data in {}",
            session.checkout.display(&created.path)
        );
    }
    Ok(replace::choose_way(&opened, manifest))
}

/// Replaces the data, with a record of it as long as it is under way.
fn take(
    session: &Session,
    stores: &Stores,
    (archive, manifest): (&mut Archive, &Manifest),
    way: Way,
) -> anyhow::Result<()> {
    let record = Record::Restore {
        backup: manifest.name.clone(),
        way,
    };
    journal::begin(session.checkout, &record)?;
    replace::replace(stores, archive, manifest, way)?;
    journal::end(session.checkout)
}

/// Lets go what was half restored, if anything was.
fn undo(session: &Session) -> anyhow::Result<()> {
    if let Some(Record::Restore { way, .. }) = journal::read(session.checkout)? {
        settle_way(session, way)?;
        journal::end(session.checkout)?;
    }
    Ok(())
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

/// Brings a restore that was killed to its end: forwards once it was committed, else back.
///
/// # Errors
/// When PostgreSQL is needed for it and does not start.
pub fn resume(session: &Session, way: Way) -> anyhow::Result<()> {
    say!("resuming an interrupted restore");
    let done = settle_way(session, way)?;
    say!("finished the interrupted restore: {done}");
    Ok(())
}

/// Lets what was half restored go, or takes it into use; returns which. For a restore of databases.
///
/// # Errors
/// When PostgreSQL does not start.
pub fn settle(session: &Session) -> anyhow::Result<String> {
    settle_way(session, Way::Databases)
}

fn settle_way(session: &Session, way: Way) -> anyhow::Result<String> {
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    stores.stop_applications()?;
    replace::settle(&stores, way)
}
