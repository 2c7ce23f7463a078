//! The only place that starts a process. Must never know what for.

use std::env;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::terminal;

/// Starts a command.
///
/// # Errors
/// When there is no such program, or the system refuses to start it.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    command.spawn()
}

/// Lets Ctrl-C reach this process and not the command.
pub fn keep_apart(command: &mut Command) {
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt;
        command.process_group(0);
    }
    #[cfg(windows)]
    {
        use std::os::windows::process::CommandExt;
        const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
        command.creation_flags(CREATE_NEW_PROCESS_GROUP);
    }
}

/// Runs a command to its end, whatever that is, and returns what it printed.
///
/// # Errors
/// As [`spawn`].
pub fn output(command: &mut Command) -> io::Result<Output> {
    command.output()
}

/// Hands a text to a program's stdin and returns what it printed, however it ended.
///
/// # Errors
/// As [`spawn`].
pub fn answer(program: &str, argument: &str, input: &str) -> io::Result<Output> {
    let mut command = Command::new(program);
    command.arg(argument).stdin(Stdio::piped());
    let mut child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read says why by its end.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output()
}

/// Waits for the end of a command whose output is ours to read, and ends it after `patience`; `None` then.
///
/// # Errors
/// When the system does not tell how it ended.
pub fn wait_within(mut child: Child, patience: Duration) -> io::Result<Option<Output>> {
    let deadline = Instant::now() + patience;
    let (stdout, stderr) = (read(child.stdout.take()), read(child.stderr.take()));
    let rest = || deadline.saturating_duration_since(Instant::now());
    let printed = stdout
        .recv_timeout(rest())
        .and_then(|printed| Ok((printed, stderr.recv_timeout(rest())?)));
    // A stream ends when all who write to it have ended.
    let Ok((stdout, stderr)) = printed else {
        child.kill()?;
        child.wait()?;
        return Ok(None);
    };
    Ok(Some(Output {
        status: child.wait()?,
        stdout,
        stderr,
    }))
}

/// All that comes from a stream, once it has ended.
fn read(stream: Option<impl Read + Send + 'static>) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What is cut off is what there is.
            let _ = stream.read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Runs a command on our streams to its end, whatever that is.
///
/// # Errors
/// As [`spawn`].
pub fn status(command: &mut Command) -> io::Result<ExitStatus> {
    command.status()
}

/// One command that mends something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// A line for `sh`; if it is elevated, words parted by single spaces.
    pub command: String,
    pub rights: Rights,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rights {
    /// The user's own are enough.
    Own,
    /// It takes an administrator.
    Elevated,
}

impl Step {
    /// The command as a user would type it.
    pub fn shown(&self) -> String {
        match self.rights {
            Rights::Elevated if !is_root() => format!("sudo {}", self.command),
            _ => self.command.clone(),
        }
    }

    /// Runs it on our terminal; what it prints goes to stderr, since it is no result of ours.
    ///
    /// # Errors
    /// When it fails; it has said why.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut command = match self.rights {
            Rights::Own => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &self.command]);
                shell
            }
            Rights::Elevated => elevated(&self.command)?,
        };

        let status = status(command.stdout(io::stderr()));
        let status = status.with_context(|| format!("running `{}`", self.command))?;

        if !status.success() {
            bail!("`{}` ended with {status}", self.command);
        }
        Ok(())
    }
}

fn elevated(line: &str) -> anyhow::Result<Command> {
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    // sudo wants the whole path.
    let file =
        find_on_path(program).with_context(|| format!("there is no {program} on the PATH"))?;
    if is_root() {
        let mut command = Command::new(file);
        command.args(words);
        return Ok(command);
    }
    let mut command = Command::new("sudo");
    if !terminal::is_interactive() {
        command.arg("--non-interactive");
    }
    command.arg(file).args(words);
    Ok(command)
}

/// The file that `program` on the `PATH` is.
pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

/// Whether a program is to be found on the `PATH`.
pub fn is_on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

/// Whether we may do everything. Known on Linux alone; elsewhere no.
pub fn is_root() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str) -> Child {
        let mut command = Command::new("sh");
        let command = command.args(["-c", line]).stdin(Stdio::null());
        spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped())).unwrap()
    }

    #[test]
    fn a_command_that_does_not_end_is_ended() {
        let began = Instant::now();
        let child = shell("exec sleep 60");
        assert!(
            wait_within(child, Duration::from_millis(100))
                .unwrap()
                .is_none()
        );
        assert!(began.elapsed() < Duration::from_secs(30));
        let output = wait_within(shell("echo a; echo b >&2; exit 3"), Duration::from_secs(60));
        let output = output.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(3));
        assert_eq!(
            (output.stdout, output.stderr),
            (b"a\n".to_vec(), b"b\n".to_vec())
        );
    }
}
