//! New secrets as one operation: the old ones are kept in the journal until the new ones have been seen
//! to work.

use anyhow::Context;

use super::journal::{self, Record};
use super::{prove, restore, start};
use crate::apps::accounts::ADMINISTRATORS;
use crate::env::dialect::{self, Assignment};
use crate::env::file;
use crate::problem::Problem;
use crate::session::Session;
use crate::system::files;
use crate::terminal::say;

/// Writes the new `.env` and takes its secrets into use. `before` is the `.env` that is there.
///
/// # Errors
/// When they do not work; the old ones are kept in the journal then.
pub fn run(session: &mut Session, before: &str, after: &str) -> anyhow::Result<()> {
    let record = Record::Rotate {
        before: before.to_owned(),
    };
    journal::begin(session.checkout, &record)?;
    files::replace_private(&session.checkout.env_file(), after)?;
    apply(session, before)?;
    journal::end(session.checkout)
}

/// Brings a rotation that was killed to its end: forwards, to what `.env` says.
///
/// # Errors
/// When the new secrets do not work.
pub fn resume(session: &mut Session, before: &str) -> anyhow::Result<()> {
    let now = files::read_text(&session.checkout.env_file())?.unwrap_or_default();
    if now == before {
        say!("discarding an interrupted rotation of secrets: no new secret had been written");
        return Ok(());
    }
    say!("resuming an interrupted rotation of secrets");
    apply(session, before)
}

/// Takes the secrets of `.env` into use, wherever they differ from those before.
fn apply(session: &mut Session, before: &str) -> anyhow::Result<()> {
    let kept = kept(session);
    let before = dialect::parse(before).with_context(|| kept.clone())?;
    let after = dialect::parse(&file::read(session.checkout)?.unwrap_or_default())
        .with_context(|| kept.clone())?;
    let has_changed = |key: &&str| value(&before, key) != value(&after, key);
    let changed: Vec<&str> = ADMINISTRATORS.into_iter().filter(has_changed).collect();

    session.reread_env_file()?;
    start::everything(session).with_context(|| kept.clone())?;
    restore::set_passwords(session, &changed).with_context(|| kept.clone())?;
    prove::events_arrive(session).context(kept)
}

fn kept(session: &Session) -> Problem {
    let path = session.checkout.display(&journal::path(session.checkout));
    Problem::new("the new secrets do not work yet").hint(format!(
        "`cargo xtask up` tries again; the secrets from before are kept in {path}"
    ))
}

fn value<'a>(assignments: &'a [Assignment], key: &str) -> Option<&'a str> {
    let last = assignments.iter().rfind(|assignment| assignment.key == key);
    last.map(|assignment| assignment.value.as_str())
}
