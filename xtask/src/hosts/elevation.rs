//! Runs one command of ours with more rights, after everything that needs none.

use std::env;
use std::fmt;
use std::process::{Command, Stdio};

use anyhow::bail;

use crate::hosts::platform::{Platform, render_command};
use crate::system::process;
use crate::terminal::{self, say};

/// What an elevated command of ours prints first: from then on its failures are its own.
pub const STARTED: &str = "elevated\n";

/// The system did not let us become root.
#[derive(Debug)]
pub struct Refused {
    by_hand: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "this needs more rights, which were refused; {}",
            self.by_hand
        )
    }
}

impl std::error::Error for Refused {}

/// Runs `command`, whose program is an absolute path, elevated the way of `platform`.
///
/// # Errors
/// [`Refused`] if it never ran, another error if it ran and did not do its work.
pub fn run(command: &[String], platform: Platform) -> anyhow::Result<()> {
    let distribution = env::var("WSL_DISTRO_NAME").ok();
    let words = platform.elevated(command, terminal::is_interactive(), distribution.as_deref());
    say!("this needs more rights; running {}", render_command(&words));
    // Ctrl-C at its question is for sudo, which has the terminal to put right.
    let _interrupted = crate::system::interrupt::Interrupt::catch()?;
    // Not `cmd!`: sudo asks on our terminal.
    let mut program = Command::new(&words[0]);
    program
        .args(&words[1..])
        .stdin(Stdio::inherit())
        .stderr(Stdio::inherit());
    let output = process::output(&mut program);
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) if output.stdout.starts_with(STARTED.as_bytes()) => {
            bail!(
                "the elevated step did not do its work ({}); it has said why",
                output.status
            )
        }
        _ => Err(Refused {
            by_hand: platform.by_hand(command),
        }
        .into()),
    }
}
