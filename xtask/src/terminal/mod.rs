//! What the user sees: results on stdout, everything else on stderr. Never a secret.

pub mod progress;
pub mod text;

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail};
use clap::builder::styling::{AnsiColor, Reset, Style};

use crate::problem::Problem;

pub const RED: Style = AnsiColor::Red.on_default().bold();
pub const GREEN: Style = AnsiColor::Green.on_default();
pub const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub const BOLD: Style = Style::new().bold();
pub const RESET: Reset = Reset;

/// Writes one line to stderr. A closed stderr is no reason to stop working.
macro_rules! say {
    ($($argument:tt)*) => { $crate::terminal::write_line(format_args!($($argument)*)) };
}
pub(crate) use say;

/// Whether each command is shown before it runs.
static SHOWS_COMMANDS: AtomicBool = AtomicBool::new(false);

/// From now on each command is shown before it runs.
pub fn show_commands() {
    SHOWS_COMMANDS.store(true, Ordering::Relaxed);
}

/// Says which command is about to run, if the user wants to know.
pub fn say_command(command: &dyn std::fmt::Display) {
    if SHOWS_COMMANDS.load(Ordering::Relaxed) {
        say!("$ {command}");
    }
}

pub fn write_line(line: std::fmt::Arguments) {
    let _ = progress::aside(|| writeln!(anstream::stderr(), "{line}"));
}

/// Says an error: `error: WHAT`, then its evidence and `  hint: DO` where it has them.
pub fn say_error(problem: &Problem) {
    say!("{RED}error:{RESET} {problem}");
    say_details(problem);
}

/// Says a warning, in the form of an error.
pub fn say_warning(problem: &Problem) {
    say!("{YELLOW}warning:{RESET} {problem}");
    say_details(problem);
}

fn say_details(problem: &Problem) {
    if let Some(evidence) = &problem.evidence {
        say!("  seen: {}", evidence.trim().replace('\n', "\n        "));
    }
    if let Some(hint) = &problem.hint {
        say!("  hint: {}", hint.replace('\n', "\n        "));
    }
}

/// Writes a result to stdout, as it is.
///
/// # Errors
/// When stdout is closed; `main` takes a broken pipe for success.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = anstream::stdout();
    let write = || {
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
    };
    progress::aside(write).context("writing to stdout")
}

/// Whether someone is there to answer a question.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks a question whose default is no.
///
/// # Errors
/// Without a terminal: nobody could have answered, and silence is not consent.
pub fn ask(question: &str) -> anyhow::Result<bool> {
    if !is_interactive() {
        let what = format!("\"{question}\" was not answered: there is no terminal");
        bail!(Problem::new(what).hint("to answer yes, repeat the command with --yes"));
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "{question} [y/N] ")
        .and_then(|()| stderr.flush())
        .context("asking a question")?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    Ok(matches!(
        answer.trim().to_ascii_lowercase().as_str(),
        "y" | "yes"
    ))
}

/// Asks for a text; one that is empty means that there is no answer yet.
///
/// # Errors
/// When the terminal has gone.
pub fn ask_text(question: &str, example: &str) -> anyhow::Result<Option<String>> {
    let mut stderr = anstream::stderr();
    write!(stderr, "{question} (such as {example}): ")
        .and_then(|()| stderr.flush())
        .context("asking a question")?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    let answer = answer.trim();
    Ok((!answer.is_empty()).then(|| answer.to_owned()))
}

/// Asks for a name to be typed, for what cannot be undone.
///
/// # Errors
/// Without a terminal: nobody could have answered, and silence is not consent.
pub fn ask_name(name: &str) -> anyhow::Result<bool> {
    if !is_interactive() {
        let what = format!("the name {name} was not typed to confirm: there is no terminal");
        bail!(Problem::new(what).hint("to confirm, repeat the command with --yes"));
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "Type the name {name} to go on: ")
        .and_then(|()| stderr.flush())
        .context("asking for a name")?;
    let mut answer = String::new();
    io::stdin()
        .read_line(&mut answer)
        .context("reading the answer")?;
    Ok(answer.trim() == name)
}
