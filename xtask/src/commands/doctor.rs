//! `doctor`: what is wrong with this machine, the artifacts or the stack, and what to do about it.

use crate::checkout::Checkout;
use crate::checks::examine::examine;
use crate::checks::finding;
use crate::checks::repairs::{self, Consent};
use crate::cli;
use crate::commands::Outcome;
use crate::operations::open;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::Doctor) -> anyhow::Result<Outcome> {
    open::mention_unfinished(checkout)?;
    let mut found = examine(checkout)?;

    if options.fix {
        let consent = if options.yes {
            Consent::Given
        } else {
            Consent::Needed
        };
        if repairs::offer(checkout, found.trouble.as_ref(), consent)? {
            say!("checking again");
            found = examine(checkout)?;
        }
    }

    if options.json {
        terminal::print(&finding::render_json(&found.findings)?)?;
    } else {
        terminal::print(&finding::render(&found.findings, finding::paint))?;
        if !options.fix && found.trouble.is_some_and(|it| repairs::can_fix(&it)) {
            say!("`cargo xtask doctor --fix` offers to repair the engine");
        }
    }
    Ok(Outcome::from(finding::is_ok(&found.findings)))
}
