//! What the user sees: results on stdout, everything else on stderr. Never a secret.

pub mod text;

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::builder::styling::{AnsiColor, Reset, Style};

use crate::problem::Problem;
use crate::terminal::text::render_bytes;

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

pub fn write_line(line: std::fmt::Arguments) {
    let _ = writeln!(anstream::stderr(), "{line}");
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
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context("writing to stdout")
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
        bail!("{question} There is no terminal to ask on; pass --yes if you mean it");
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

/// Lines that are redrawn in place on a terminal; elsewhere a line is printed when it changes.
pub struct LiveLines {
    redraws: bool,
    shown: Vec<String>,
}

impl LiveLines {
    pub fn new() -> LiveLines {
        LiveLines {
            redraws: io::stderr().is_terminal(),
            shown: Vec::new(),
        }
    }

    /// Shows `lines`, one a thing that is being waited for, always in the same order.
    pub fn show(&mut self, lines: Vec<String>) {
        let mut stderr = anstream::stderr().lock();
        if self.redraws && !self.shown.is_empty() && lines != self.shown {
            let _ = write!(stderr, "\x1b[{}A\x1b[J", self.shown.len());
        }
        if self.redraws && lines != self.shown {
            for line in &lines {
                let _ = writeln!(stderr, "{line}");
            }
        } else if !self.redraws {
            for line in lines.iter().filter(|line| !self.shown.contains(line)) {
                let _ = writeln!(stderr, "{line}");
            }
        }
        self.shown = lines;
    }
}

/// A line that tells how much has been moved and how fast; elsewhere than on a terminal only at the end.
pub struct Meter {
    what: String,
    begin: Instant,
    drawn: Instant,
    bytes: u64,
    redraws: bool,
}

impl Meter {
    pub fn new(what: &str) -> Meter {
        let now = Instant::now();
        Meter {
            what: what.to_owned(),
            begin: now,
            drawn: now,
            bytes: 0,
            redraws: io::stderr().is_terminal(),
        }
    }

    pub fn add(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.redraws && self.drawn.elapsed() > Duration::from_millis(200) {
            self.drawn = Instant::now();
            let _ = write!(anstream::stderr(), "\r  {}\x1b[K", self.line());
        }
    }

    pub fn finish(self) {
        let _ = writeln!(
            anstream::stderr(),
            "{}  {}",
            if self.redraws { "\r\x1b[K" } else { "" },
            self.line()
        );
    }

    fn line(&self) -> String {
        let rate = self.bytes as f64 / self.begin.elapsed().as_secs_f64().max(0.001);
        format!(
            "{:24} {:>9} {:>9}/s",
            self.what,
            render_bytes(self.bytes),
            render_bytes(rate as u64)
        )
    }
}
