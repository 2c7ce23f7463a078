//! Progress on stderr: redrawn in place on a terminal, plain lines elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use super::text::render_bytes;

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
