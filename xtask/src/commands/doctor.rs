//! `doctor`: what is wrong with this machine, the artifacts or the stack, and what to do about it.

use serde::Serialize;

use crate::checkout::Checkout;
use crate::checks::judge::{Finding, Level};
use crate::checks::{examine, mend, render};
use crate::cli;
use crate::commands::Outcome;
use crate::operations::open;
use crate::terminal::{self, say};

/// All that `--json` prints.
#[derive(Serialize)]
struct Report {
    /// Whether nothing would stop `up`.
    well: bool,
    findings: Vec<Finding>,
}

pub fn run(checkout: &Checkout, options: &cli::Doctor) -> anyhow::Result<Outcome> {
    open::mention_unfinished(checkout)?;
    let (mut findings, mut trouble) = examine::examine(checkout)?;
    if options.fix && mend::offer_fixes(checkout, trouble.as_ref(), options.yes)? {
        say!("looking again");
        (findings, trouble) = examine::examine(checkout)?;
    }

    let well = findings.iter().all(|finding| finding.level != Level::Stops);
    if options.json {
        let report = Report { well, findings };
        terminal::print(&format!("{}\n", serde_json::to_string_pretty(&report)?))?;
    } else {
        terminal::print(&findings.iter().map(render).collect::<String>())?;
        let fixable = trouble.is_some_and(|trouble| mend::can_fix(&trouble));
        if fixable && !options.fix {
            say!("`cargo xtask doctor --fix` offers to mend the engine");
        }
    }
    Ok(Outcome::from(well))
}
