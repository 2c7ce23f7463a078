//! What `doctor` and the preflight look at, one file a subject, and the repairs. Must change nothing
//! unless it is asked to mend.

pub mod examine;
pub mod files;
pub mod judge;
pub mod mend;
pub mod names;
pub mod ports;
pub mod preflight;
pub mod repairs;

use crate::terminal;
use judge::{Finding, Level};

pub fn render(finding: &Finding) -> String {
    let (style, word) = match finding.level {
        Level::Good => (terminal::GREEN, "good"),
        Level::Warning => (terminal::BOLD, "warning"),
        Level::Stops => (terminal::RED, "stops"),
    };
    let line = format!(
        "{style}{word:7}{} {}: {}\n",
        terminal::RESET,
        finding.check,
        finding.finding
    );
    match finding.remedy.as_str() {
        "" => line,
        remedy => format!("{line}        remedy: {remedy}\n"),
    }
}
