//! Offers to mend what can be mended from here.

use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};

use super::repairs::System;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::versions::{Kind, Trouble};
use crate::system::{files, process};
use crate::terminal::{self, say};

/// Offers each remedy that we can run; returns whether one was.
pub fn offer_fixes(
    project: &Checkout,
    trouble: Option<&Trouble>,
    yes: bool,
) -> anyhow::Result<bool> {
    let mut has_run = false;
    let path = project.env_file();
    if path.exists() && !files::is_private(&path)? {
        let question = format!("Run `chmod 600 {}`?", project.display(&path));
        if yes || terminal::ask(&question)? {
            files::ensure_private(&path)?;
            has_run = true;
        }
    }
    let Some(trouble) = trouble else {
        return Ok(has_run);
    };
    if system().steps(trouble.kind).is_none() {
        say!("nothing that can be run from here mends the engine; see below");
    }
    Ok(fix_engine(&Docker::new(project)?, trouble, yes)? || has_run)
}

/// Offers to mend an engine that cannot be used; returns whether something was run.
///
/// # Errors
/// When a step fails; the next ones are not run then.
pub fn fix_engine(docker: &Docker, trouble: &Trouble, yes: bool) -> anyhow::Result<bool> {
    let Some(steps) = system().steps(trouble.kind) else {
        return Ok(false);
    };
    say!("{trouble}");
    for step in &steps {
        let shown = step.shown();
        if !yes && !terminal::ask(&format!("Run `{shown}`?"))? {
            return Ok(false);
        }
        say!("$ {shown}");
        step.run()?;
    }
    if trouble.kind == Kind::NotPermitted {
        say!("the group counts from your next login on; until then: `newgrp docker`");
        return Ok(true);
    }
    // A daemon may answer a moment after it was started.
    let deadline = Instant::now() + PATIENCE;
    while docker.check_engine().is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(250));
    }
    Ok(true)
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
        os: std::env::consts::OS,
        os_release: &RELEASE,
        has_systemd: Path::new("/run/systemd/system").is_dir(),
        has_colima: process::is_on_path("colima"),
        user: &USER,
    }
}

/// Whether a repair is known.
pub fn can_fix(trouble: &Trouble) -> bool {
    system().steps(trouble.kind).is_some()
}

/// On a terminal, offers to mend an engine that cannot be used, so that `up` is all there is to type.
///
/// # Errors
/// The one that was given, if nothing was done about it.
pub fn mend_engine(docker: &Docker, error: anyhow::Error) -> anyhow::Result<()> {
    match error.downcast_ref::<Trouble>() {
        Some(trouble) if terminal::is_interactive() && fix_engine(docker, trouble, false)? => {
            docker.check_engine()
        }
        _ => Err(error),
    }
}
