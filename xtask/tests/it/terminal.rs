//! The built xtask on a terminal of any size, with all that is on its screen and what has left it.
//!
//! `script` of util-linux makes the terminal, `stty` sets its size.

use std::fs;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::checkout::Checkout;

/// Columns and lines.
pub type Size = (u16, u16);

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(120);

pub struct Terminal {
    child: Child,
    keyboard: ChildStdin,
    /// Holds the path of the terminal's device.
    device: NamedTempFile,
    shared: Arc<Shared>,
    reader: JoinHandle<()>,
}

struct Shared {
    parser: Mutex<vt100::Parser>,
    changed: Condvar,
}

impl Terminal {
    /// Runs xtask on a terminal of this size.
    pub fn run(checkout: &Checkout, arguments: &[&str], size: Size) -> Terminal {
        let device = NamedTempFile::new().unwrap();
        let xtask = checkout.xtask_command(arguments);
        let line = format!(
            "tty > '{}'; stty cols {} rows {}; exec '{}' {}",
            device.path().display(),
            size.0,
            size.1,
            xtask.get_program().to_str().unwrap(),
            arguments.join(" ")
        );
        let mut command = checkout.command("script");
        command
            .args([
                "--quiet",
                "--return",
                "--flush",
                "--command",
                &line,
                "/dev/null",
            ])
            .current_dir(checkout.root())
            .env("TERM", "xterm-256color")
            .env("SHELL", "/bin/sh")
            .env_remove("NO_COLOR")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let keyboard = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let shared = Arc::new(Shared {
            parser: Mutex::new(vt100::Parser::new(number(size.1), number(size.0), 5000)),
            changed: Condvar::new(),
        });
        let writes = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                writes.parser.lock().unwrap().process(&buffer[..read]);
                writes.changed.notify_all();
            }
        });
        Terminal {
            child,
            keyboard,
            device,
            shared,
            reader,
        }
    }

    /// Waits until the screen is as `is_awaited` says, and returns its lines.
    #[track_caller]
    pub fn wait_for(&self, what: &str, is_awaited: impl Fn(&[String]) -> bool) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut parser = self.shared.parser.lock().unwrap();
        loop {
            let lines = screen(&parser);
            if is_awaited(&lines) {
                return lines;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let (waited, result) = self.shared.changed.wait_timeout(parser, left).unwrap();
            parser = waited;
            assert!(
                !result.timed_out(),
                "no {what} on\n{}",
                screen(&parser).join("\n")
            );
        }
    }

    /// Gives the window another size.
    pub fn resize(&self, size: Size) {
        let device = fs::read_to_string(self.device.path()).unwrap();
        let (columns, rows) = (size.0.to_string(), size.1.to_string());
        // The screen first: what is drawn for the new size must find it there.
        let mut parser = self.shared.parser.lock().unwrap();
        parser.set_size(number(size.1), number(size.0));
        let stty = Command::new("stty")
            .args(["-F", device.trim(), "cols", &columns, "rows", &rows])
            .status();
        assert!(stty.unwrap().success());
    }

    pub fn press(&mut self, key: u8) {
        self.keyboard.write_all(&[key]).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits for the end; returns the exit code and all lines that have ever been on the screen and were
    /// not redrawn.
    pub fn finish(mut self) -> (Option<i32>, Vec<String>) {
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let mut parser = self.shared.parser.lock().unwrap();
        let rows = usize::from(parser.screen().size().0.get());
        let mut lines = Vec::new();
        for above in (1..=parser.screen().scrollback_len()).rev() {
            parser.screen_mut().set_scrollback(above);
            lines.extend(screen(&parser).into_iter().next());
        }
        parser.screen_mut().set_scrollback(0);
        lines.extend(screen(&parser).into_iter().take(rows));
        (status.code(), lines)
    }
}

fn screen(parser: &vt100::Parser) -> Vec<String> {
    let columns = parser.screen().size().1.get();
    let rows = parser.screen().rows(0, columns);
    rows.map(|row| row.trim_end().to_owned()).collect()
}

fn number(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}
