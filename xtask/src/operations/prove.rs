//! Proof, after a change, that events still arrive.

use crate::diagnosis;
use crate::problem::Problem;
use crate::session::Session;
use crate::stack;
use crate::terminal::say;
use crate::verification::{self, Scope};

/// Sends test events and reads them back; says each step.
///
/// # Errors
/// When one was lost.
pub fn events_arrive(session: &Session) -> anyhow::Result<()> {
    let report = verification::verify(session.checkout, &session.docker, Scope::Here)?;
    say!("{}", report.render().trim_end());
    if report.passed {
        return Ok(());
    }
    let config = stack::read_config(&session.docker)?;
    diagnosis::explain_failed(&session.docker, &config)?;
    anyhow::bail!(Problem::new("test events did not arrive"))
}
