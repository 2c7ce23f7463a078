//! `up`: from whatever is there to a healthy stack. Never changes data; what is right already stays.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checkout::Checkout;
use crate::checks::preflight;
use crate::commands::Outcome;
use crate::hosts::check::mention;
use crate::operations::open::{Resume, open};
use crate::operations::start;
use crate::session::Session;
use crate::stack::desired::Config;
use crate::stack::{images, published};
use crate::terminal::{self, say};
use crate::{cli, diagnosis};

pub fn run(checkout: &Checkout, options: &cli::Up) -> anyhow::Result<Outcome> {
    let had_env_file = checkout.env_file().exists();
    let timeout = Duration::from_secs(options.wait.timeout);
    let (session, stack) = open(checkout, Resume::Everything, timeout)?;
    if !had_env_file {
        mention_older_data(&session, &stack.desired)?;
    }

    if !options.pull && stack.is_current(&session.docker)? {
        let count = stack.desired.services.len();
        say!("already up to date: {count} services are healthy");
        return welcome(&session, &stack.desired);
    }

    preflight::check(checkout, &session.docker, &stack.desired)?;
    if options.pull {
        let pulled = images::pull_all(&session);
        let again = "cargo xtask up --pull";
        pulled.map_err(|error| {
            diagnosis::explain_again(&session.docker, &stack.desired, error, again)
        })?;
    }
    let all: BTreeSet<String> = stack.desired.services.keys().cloned().collect();
    start::services(&session, &stack, &[], &all)?;

    welcome(&session, &stack.desired)
}

fn welcome(session: &Session, config: &Config) -> anyhow::Result<Outcome> {
    let checkout = session.checkout;
    let containers = session.docker.containers(&config.name)?;
    terminal::print(&published::render(&published::endpoints(
        config,
        &containers,
    )))?;
    mention(checkout);
    let env_file = checkout.display(&checkout.env_file());
    let email = session.docker.settings().admin_email;
    say!("log in to Umami as admin, to GlitchTip as {email}; both passwords are in {env_file}");
    say!("next: `cargo xtask verify` proves that events arrive");
    say!("      `cargo xtask connect` prints what the website needs");
    Ok(Outcome::Done)
}

/// A new `.env` beside data that knows other passwords is the classic way to lock oneself out.
fn mention_older_data(session: &Session, config: &Config) -> anyhow::Result<()> {
    let volumes = session
        .docker
        .start_names(&["volume", "ls"], "{{.Name}}", &config.name)?;
    let volumes = volumes.finish()?;
    if !volumes.is_empty() {
        let names = volumes.lines().collect::<Vec<_>>().join(", ");
        say!("found data that is older than this .env: {names}");
        say!("setting the new passwords in its databases; the applications keep their own logins");
    }
    Ok(())
}
