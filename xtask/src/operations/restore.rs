//! A backup in the place of the data, as one operation: what is there stays until everything has come
//! back and was counted.

use anyhow::Context;

use super::journal::{self, Record};
use super::{prove, start};
use crate::apps::accounts;
use crate::backup::condition::Opened;
use crate::backup::create::{self, Wanted};
use crate::backup::file::Archive;
use crate::backup::load::Settled;
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
        match undo(session)? {
            Settled::Replaced => say!("the data had been replaced already"),
            Settled::Unchanged => {
                let error = explain(&stores, error);
                start_again(session, was_running.into())?;
                return Err(error);
            }
            Settled::Unknown => return Err(error.context(unfinished(session)?)),
        }
    }

    // From here on Ctrl-C is for whoever waits.
    drop(stores);
    start::everything(session)?;
    set_passwords(session, &accounts::ADMINISTRATORS)?;
    say!("restored {} rows", manifest.rows());
    say!("set all passwords to those in .env, also both administrators'");
    match proof {
        Proof::Events => prove::events_arrive(session),
        Proof::None => Ok(()),
    }
}

/// Whether the applications ran before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Running,
    Down,
}

impl From<bool> for Before {
    fn from(was_running: bool) -> Before {
        if was_running {
            Before::Running
        } else {
            Before::Down
        }
    }
}

/// Starts the applications again if they ran, or says how to.
fn start_again(session: &Session, before: Before) -> anyhow::Result<()> {
    match before {
        Before::Running => {
            say!("starting the applications again");
            start::everything(session)
        }
        Before::Down => {
            say!("the applications are stopped; `cargo xtask up` starts them");
            Ok(())
        }
    }
}

/// After Ctrl-C it is no news that a container ended.
fn explain(stores: &Stores, error: anyhow::Error) -> anyhow::Error {
    match stores.check_interrupt() {
        Ok(()) => error.context("nothing was replaced; the data is unchanged"),
        Err(interrupted) => interrupted.context("nothing was replaced; the data is unchanged"),
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
    stores.check_interrupt()?;
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

/// Lets go what was half restored, if anything was. What was committed already is brought to its end.
fn undo(session: &Session) -> anyhow::Result<Settled> {
    let Some(Record::Restore { way, .. }) = journal::read(session.checkout)? else {
        return Ok(Settled::Unchanged);
    };
    let settled = settle_way(session, way)?;
    if settled != Settled::Unknown {
        journal::end(session.checkout)?;
    }
    Ok(settled)
}

/// The restore that cannot be brought to its end, with the way out: another one replaces it.
///
/// # Errors
/// When the record cannot be read.
pub fn unfinished(session: &Session) -> anyhow::Result<Problem> {
    let problem = Problem::new(
        "an interrupted restore cannot be finished, because PostgreSQL does not start",
    );
    let Some(Record::Restore { backup, .. }) = journal::read(session.checkout)? else {
        return Ok(problem);
    };
    let path = session.checkout.backups().join(backup);
    let name = session.checkout.display(&path);
    Ok(problem.hint(if path.exists() {
        format!("`cargo xtask restore {name}` restores that backup again, over what is broken")
    } else {
        "restore that backup, or one that `cargo xtask backup --list` shows, again".to_owned()
    }))
}

/// Gives administrators the passwords that `.env` says.
///
/// # Errors
/// When there is no such administrator.
pub fn set_passwords(session: &Session, keys: &[&str]) -> anyhow::Result<()> {
    let mut started = Vec::new();
    for key in keys {
        let run = ["run", "--rm", "--no-deps", "--no-TTY", "--env"];
        let run = session.docker.compose().args(run);
        let run = run.args([accounts::SET_PASSWORD, accounts::service(key)]);
        started.push((key, run.start()?));
    }
    // All of them end before the first failure is told.
    let ended: Vec<_> = started
        .into_iter()
        .map(|(key, run)| run.finish().with_context(|| format!("setting {key}")))
        .collect();
    ended.into_iter().try_for_each(|it| it.map(drop))
}

/// Brings a restore that was killed to its end: forwards once it was committed, else back. Where nobody
/// knows, it stays as it is.
///
/// # Errors
/// When the engine does not answer.
pub fn resume(session: &Session, way: Way) -> anyhow::Result<Settled> {
    say!("resuming an interrupted restore");
    let settled = settle_way(session, way)?;
    if settled != Settled::Unknown {
        say!("finished the interrupted restore: {settled}");
    }
    Ok(settled)
}

/// Lets what was half restored go, or takes it into use; returns which. For a restore of databases.
///
/// # Errors
/// When PostgreSQL does not start.
pub fn settle(session: &Session) -> anyhow::Result<Settled> {
    settle_way(session, Way::Databases)
}

fn settle_way(session: &Session, way: Way) -> anyhow::Result<Settled> {
    let config = stack::read_config(&session.docker)?;
    let stores = Stores::find(session, &config)?;
    stores.stop_applications()?;
    replace::settle(&stores, way)
}
