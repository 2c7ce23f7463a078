//! The one preamble of every command that changes the stack: the lock, the env file, the engine, and the
//! end of whatever an earlier command left unfinished.

use std::time::Duration;

use super::journal::{self, Record};
use super::upgrade::{self, Phase, Upgrade};
use super::{env_file, restore, rotate};
use crate::backup::load::Settled;
use crate::checkout::Checkout;
use crate::checks::repairs;
use crate::session::Session;
use crate::stack::Stack;
use crate::system::lock::Lock;
use crate::terminal::{self, say};

/// How much of an unfinished operation a command needs to be finished before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// All of it, with the whole stack started: for commands that start the stack anyway.
    Everything,
    /// Only that the data is whole: for commands that read, replace or delete it.
    Data,
    /// Nothing: for a command that deletes everything.
    Nothing,
}

/// Opens a session for a command that changes the stack, and looks at the stack. Completes `.env` where the
/// command starts the stack anyway ([`Resume::Everything`]), and asks to mend an engine that does not
/// answer.
///
/// # Errors
/// When there is no usable engine, or what is unfinished cannot be brought to an end.
pub fn open(
    checkout: &Checkout,
    resume: Resume,
    timeout: Duration,
) -> anyhow::Result<(Session<'_>, Stack)> {
    let lock = Lock::acquire(&checkout.lock_file())?;
    if resume == Resume::Everything {
        env_file::ensure(checkout)?;
    }
    open_locked(checkout, lock, resume, timeout)
}

/// [`open`] for a command that holds the lock already, and has seen to `.env` itself.
///
/// # Errors
/// As [`open`].
pub fn open_locked(
    checkout: &Checkout,
    lock: Lock,
    resume: Resume,
    timeout: Duration,
) -> anyhow::Result<(Session<'_>, Stack)> {
    let mut session = Session::new(checkout, lock, timeout)?;
    if journal::read(checkout)?.is_some() && resume != Resume::Nothing {
        if let Err(error) = session.docker.check_engine() {
            repairs::mend_engine(&session.docker, error)?;
        }
        resume_unfinished(&mut session, resume)?;
    }
    let stack = match Stack::read(&session.docker) {
        Err(error) => {
            repairs::mend_engine(&session.docker, error)?;
            Stack::read(&session.docker)?
        }
        stack => stack?,
    };
    Ok((session, stack))
}

fn resume_unfinished(session: &mut Session, resume: Resume) -> anyhow::Result<()> {
    // Up to three: earlier versions could leave one of each.
    while let Some(record) = journal::read(session.checkout)? {
        match (&record, resume) {
            (Record::Restore { way, .. }, _) => {
                if restore::resume(session, *way)? == Settled::Unknown {
                    return leave(session, resume);
                }
            }
            (Record::Rotate { before }, Resume::Everything) => rotate::resume(session, before)?,
            (Record::Upgrade(it), _) if it.phase == Phase::Pulling => {
                upgrade::resume(session, it)?;
            }
            (Record::Upgrade(it), Resume::Everything) => upgrade::resume(session, it)?,
            (Record::Rotate { .. } | Record::Upgrade(_), _) => {
                settle_data(session, &record)?;
                mention(&record);
                return Ok(());
            }
        }
        journal::end_one(session.checkout, &record)?;
    }
    Ok(())
}

/// What to do about a restore that cannot be finished: whoever reads or replaces the data goes on.
fn leave(session: &Session, resume: Resume) -> anyhow::Result<()> {
    let problem = restore::unfinished(session)?;
    match resume {
        Resume::Everything => Err(problem.into()),
        Resume::Data | Resume::Nothing => {
            terminal::say_warning(&problem);
            Ok(())
        }
    }
}

/// A restore that is part of an upgrade's way back must not stay half done.
fn settle_data(session: &Session, record: &Record) -> anyhow::Result<()> {
    match record {
        Record::Upgrade(Upgrade {
            phase: Phase::RollingBack,
            ..
        }) => restore::settle(session).map(drop),
        _ => Ok(()),
    }
}

/// For commands that only look: says what is unfinished and how to resume it.
///
/// # Errors
/// When the record cannot be read.
pub fn mention_unfinished(checkout: &Checkout) -> anyhow::Result<()> {
    if let Some(record) = journal::read(checkout)? {
        mention(&record);
    }
    Ok(())
}

fn mention(record: &Record) {
    say!(
        "an interrupted {} is unfinished; `cargo xtask up` resumes it",
        record.name()
    );
}
