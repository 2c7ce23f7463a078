//! `restart`: makes containers anew, so that a changed `.env` or compose file takes effect. The data stays.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checkout::Checkout;
use crate::checks::preflight;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::open::{Resume, open};
use crate::operations::start;
use crate::stack::published;
use crate::terminal;

pub fn run(checkout: &Checkout, options: &cli::Restart) -> anyhow::Result<Outcome> {
    let timeout = Duration::from_secs(options.wait.timeout);
    let (session, stack) = open(checkout, Resume::Everything, timeout)?;

    let named: Vec<&str> = options.services.iter().map(String::as_str).collect();
    let awaited: BTreeSet<String> = match named.as_slice() {
        [] => stack.desired.services.keys().cloned().collect(),
        named => stack.desired.with_dependencies(named),
    };
    preflight::check(checkout, &session.docker, &stack.desired)?;

    let arguments = [&["--force-recreate"], named.as_slice()].concat();
    start::services(&session, &stack, &arguments, &awaited)?;

    let containers = session.docker.containers(&stack.desired.name)?;
    let endpoints = published::endpoints(&stack.desired, &containers);
    terminal::print(&published::render(&endpoints))?;
    Ok(Outcome::Done)
}
