//! What is known when services do not become ready. Must never explain it.

use std::collections::BTreeMap;
use std::fmt;

use super::readiness::Progress;
use super::wait::Ended;
use crate::docker::inspect::Container;
use crate::problem::Problem;

/// Services that were to become ready and did not.
#[derive(Debug)]
pub struct NotReady {
    pub ended: Ended,
    /// Those that have failed, else those that are still awaited.
    pub rows: Vec<(String, Progress)>,
    /// The containers at the last look, by service.
    pub containers: BTreeMap<String, Container>,
    /// What the command that starts them said; empty unless it failed.
    pub said: String,
    /// Seconds that were waited at most.
    pub timeout: u64,
}

impl NotReady {
    /// The same as an error that says what to do.
    pub fn problem(&self) -> Problem {
        let problem = Problem::new(self.to_string());
        match self.ended {
            Ended::TimedOut => {
                let longer = self.timeout * 2;
                problem.hint(format!(
                    "wait longer with `cargo xtask up --timeout {longer}`"
                ))
            }
            Ended::Interrupted => problem.hint(
                "`cargo xtask up` continues from here, `cargo xtask down` stops what was started",
            ),
            _ => problem,
        }
    }
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let names: Vec<&str> = self.rows.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        match self.ended {
            Ended::TimedOut => {
                write!(f, "not healthy after {} s: {names}", self.timeout)
            }
            Ended::Interrupted => f.write_str("interrupted while waiting for the services"),
            Ended::StarterFailed => f.write_str("`docker compose up` failed"),
            Ended::ServiceFailed | Ended::Ready => {
                write!(f, "the stack did not become healthy: {names} failed")
            }
        }
    }
}

impl std::error::Error for NotReady {}
