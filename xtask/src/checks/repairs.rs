//! Offers to mend what can be mended from here. Must run nothing that was not asked for.

use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::packages::System;
use crate::checkout::Checkout;
use crate::docker::versions::{Kind, Trouble};
use crate::docker::{self, Docker};
use crate::system::files;
use crate::terminal::{self, say};

/// Whether the user has agreed already to whatever is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    Given,
    /// Each step is asked for.
    Needed,
}

/// Offers each remedy that can be run from here; returns whether one was run.
///
/// # Errors
/// When a remedy fails, or there is no terminal to ask on.
pub fn offer(
    checkout: &Checkout,
    trouble: Option<&Trouble>,
    consent: Consent,
) -> anyhow::Result<bool> {
    let has_closed = offer_private_env_file(checkout, consent)?;
    let Some(trouble) = trouble else {
        return Ok(has_closed);
    };
    if !can_fix(trouble) {
        say!("the engine cannot be repaired from here; the report below says what to do");
    }
    Ok(fix_engine(&Docker::new(checkout)?, trouble, consent)? || has_closed)
}

fn offer_private_env_file(checkout: &Checkout, consent: Consent) -> anyhow::Result<bool> {
    let path = checkout.env_file();
    if !path.is_file() || files::is_private(&path)? {
        return Ok(false);
    }
    let agreed = agrees(consent, &format!("chmod 600 {}", checkout.display(&path)))?;
    if agreed {
        files::ensure_private(&path)?;
    }
    Ok(agreed)
}

fn agrees(consent: Consent, command: &str) -> anyhow::Result<bool> {
    match consent {
        Consent::Given => Ok(true),
        Consent::Needed => terminal::ask(&format!("Run `{command}`?")),
    }
}

/// Whether a repair of the engine is known.
pub fn can_fix(trouble: &Trouble) -> bool {
    system().steps(trouble.kind).is_some()
}

/// On a terminal, offers to mend an engine that cannot be used, so that `up` is all there is to type.
///
/// # Errors
/// The one that was given, if nothing was done about it.
pub fn mend_engine(docker: &Docker, error: anyhow::Error) -> anyhow::Result<()> {
    match error.downcast_ref::<Trouble>() {
        Some(trouble)
            if terminal::is_interactive() && fix_engine(docker, trouble, Consent::Needed)? =>
        {
            docker.check_engine()
        }
        _ => Err(error),
    }
}

/// Offers to mend an engine that cannot be used; returns whether something was run. A step that fails ends
/// it.
fn fix_engine(docker: &Docker, trouble: &Trouble, consent: Consent) -> anyhow::Result<bool> {
    let Some(steps) = system().steps(trouble.kind) else {
        return Ok(false);
    };
    say!("{}: {trouble}", trouble.what);
    for step in &steps {
        let shown = step.shown();
        if !agrees(consent, &shown)? {
            return Ok(false);
        }
        say!("$ {shown}");
        step.run()?;
    }
    if trouble.kind == Kind::NotPermitted {
        say!("the group counts from your next login on; until then: `newgrp docker`");
    } else {
        wait_for_engine(docker);
    }
    Ok(true)
}

/// A daemon may answer a moment after it was started.
fn wait_for_engine(docker: &Docker) {
    let deadline = Instant::now() + PATIENCE;
    while docker.check_engine().is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(250));
    }
}

/// How long a daemon may take to answer after its start.
const PATIENCE: Duration = Duration::from_secs(20);

fn system() -> System<'static> {
    static RELEASE: LazyLock<String> = LazyLock::new(|| {
        files::read_text(Path::new("/etc/os-release"))
            .ok()
            .flatten()
            .unwrap_or_default()
    });
    static USER: LazyLock<String> = LazyLock::new(|| std::env::var("USER").unwrap_or_default());
    System {
        machine: docker::machine(),
        os_release: &RELEASE,
        user: &USER,
    }
}
