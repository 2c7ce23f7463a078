//! `upgrade`: newer images of the pinned versions.

use std::time::Duration;

use crate::backup::stores::Stores;
use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::docker::inspect::short_id;
use crate::operations::open::{Resume, open};
use crate::operations::upgrade::{self, Images};
use crate::session::Session;
use crate::stack::{Stack, images};
use crate::terminal::say;
use crate::terminal::text::render_table;
use crate::{cli, diagnosis};

pub fn run(checkout: &Checkout, options: &cli::Upgrade) -> anyhow::Result<Outcome> {
    let timeout = Duration::from_secs(options.wait.timeout);
    let (session, stack) = open(checkout, Resume::Everything, timeout)?;
    let (old, new) = look_for_newer(&session, &stack, options)?;
    if new.is_empty() {
        say!("already up to date: every image is the newest of its version");
        if !stack.is_current(&session.docker)? {
            say!("the running stack differs from the configuration: `cargo xtask up` applies it");
        }
        return Ok(Outcome::Done);
    }

    say_changes(&session, &stack, (&old, &new))?;
    if options.dry_run {
        upgrade::discard(&session, &old)?;
        say!("nothing was changed; `cargo xtask upgrade` does it");
        return Ok(Outcome::Done);
    }

    upgrade::run(&session, old, new)?;
    say!("upgraded: the newer images are in use");
    Ok(Outcome::Done)
}

/// The images that change, as they are and as they will be. Until all is saved the names mean what they
/// meant before.
fn look_for_newer(
    session: &Session,
    stack: &Stack,
    options: &cli::Upgrade,
) -> anyhow::Result<(Images, Images)> {
    let docker = &session.docker;
    let mut old = docker.images(stack.desired.images())?;
    // What runs counts: the name may mean something newer by now.
    old.extend(stack.images());
    upgrade::begin_pull(session, &old)?;
    if !options.no_pull
        && let Err(error) = images::pull_all(session)
    {
        upgrade::discard(session, &old)?;
        let again = "cargo xtask upgrade";
        return Err(diagnosis::explain_again(
            docker,
            &stack.desired,
            error,
            again,
        ));
    }
    let new = docker.images(stack.desired.images())?;
    let (changed_old, new) = upgrade::changes(old.clone(), new);
    if new.is_empty() {
        upgrade::discard(session, &old)?;
    }
    upgrade::tag(session, &changed_old)?;
    Ok((changed_old, new))
}

fn say_changes(
    session: &Session,
    stack: &Stack,
    (old, new): (&Images, &Images),
) -> anyhow::Result<()> {
    let stores = Stores::find(session, &stack.desired)?;
    let version = |id: &String| match stores.version_of(id) {
        Some(version) => format!("{version} ({})", short_id(id)),
        None => short_id(id).to_owned(),
    };
    let row = |(name, id): (&String, &String)| {
        let before = old.get(name).map(version).unwrap_or_default();
        vec![name.clone(), before, "->".to_owned(), version(id)]
    };
    let rows: Vec<Vec<String>> = new.iter().map(row).collect();
    say!("{}", render_table(&rows).trim_end());
    Ok(())
}
