//! Runs the step that changes the hosts file with more rights, after everything that needs none.
//!
//! Must never elevate anything else.

use std::env;
use std::fmt;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, anyhow, bail};

use crate::hosts::edit::Wanted;
use crate::hosts::hostname::Hostname;
use crate::hosts::location::HostsFile;
use crate::hosts::platform::{Prompt, render_command};
use crate::problem::Problem;
use crate::system::interrupt::Interrupt;
use crate::system::process;
use crate::terminal::{self, say};

/// What the elevated step prints first: from then on its failures are its own.
pub const STARTED: &str = "elevated\n";

/// Marks an error: the system did not give us the right to change the hosts file.
#[derive(Debug)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("changing the hosts file needs administrator rights")
    }
}

/// Makes `file` as `wanted` by a command of ours that runs elevated.
///
/// # Errors
/// Marked as [`Refused`] if it never ran; another if it ran and did not do its work.
pub fn change(file: &HostsFile, wanted: &Wanted) -> anyhow::Result<()> {
    let command = step(&file.target, wanted)?;
    let distribution = env::var("WSL_DISTRO_NAME").ok();
    let prompt = if terminal::is_interactive() {
        Prompt::Allowed
    } else {
        Prompt::Never
    };
    let words = file
        .platform
        .elevated(&command, prompt, distribution.as_deref());

    say!("running as administrator: {}", render_command(&words));
    let refused = |reason: String| {
        let problem = Problem::new(reason).hint(file.platform.by_hand(&command));
        anyhow!(problem).context(Refused)
    };
    // Ctrl-C at its question is for sudo, which has the terminal to put right.
    let _interrupted = Interrupt::catch()?;
    match run(&words) {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) if output.stdout.starts_with(STARTED.as_bytes()) => {
            bail!("the command above failed ({}), as it said", output.status)
        }
        Ok(output) => Err(refused(format!(
            "{} refused to run that ({})",
            words[0], output.status
        ))),
        Err(error) => Err(refused(format!("{} cannot be run: {error}", words[0]))),
    }
}

/// The command line of the elevated step: absolute paths, since sudo has its own PATH and folder.
fn step(target: &Path, wanted: &Wanted) -> anyhow::Result<Vec<String>> {
    let program = env::current_exe().context("looking for this program's own path")?;
    let names = match wanted {
        Wanted::Mapped(names) => names.as_slice(),
        Wanted::Removed => &[],
    };
    let mut command = vec![
        text(&program)?,
        "hosts-as-root".to_owned(),
        "--file".to_owned(),
        text(target)?,
    ];
    command.extend(names.iter().map(Hostname::to_string));
    Ok(command)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let text = path.to_str().map(str::to_owned);
    text.with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// Not through a shell, and on our terminal: there sudo asks for the password.
fn run(words: &[String]) -> io::Result<Output> {
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit());
    process::output(&mut command)
}
