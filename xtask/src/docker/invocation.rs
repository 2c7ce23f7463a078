//! One docker command: how it is built, and what its three streams are for.
//!
//! Must never show a secret: what docker says on stderr is redacted before it goes anywhere.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, bail};
use xshell::Cmd;

use super::events::Waker;
use super::{Docker, versions};
use crate::system::lock::Lock;
use crate::system::{files, process};
use crate::terminal;

/// A docker command that is about to be run.
pub struct Invocation<'a> {
    docker: &'a Docker,
    cmd: Cmd<'a>,
    /// Held by the command even if this process is killed: the next one waits for it.
    lock: Option<&'a Lock>,
    /// Whether Ctrl-C is for this process alone.
    is_apart: bool,
}

/// A docker command that ended with an error, and what it said, without secrets.
#[derive(Debug)]
pub struct Failure {
    pub command: String,
    pub stderr: String,
}

impl Failure {
    /// What it said, without Compose's warnings where it said more than these, and once: Compose says of a
    /// pull what the engine says, in a line of its own.
    fn reason(&self) -> String {
        let said = self.stderr.trim();
        let engines = said
            .lines()
            .filter_map(|line| line.strip_prefix("Error response from daemon: "));
        let engines: Vec<&str> = engines.collect();
        let is_again = |line: &str| {
            line.split_once(" Error ")
                .is_some_and(|(_, reason)| engines.contains(&reason.trim_end()))
        };
        let errors = said
            .lines()
            .filter(|line| !line.contains(" level=warning msg=") && !is_again(line));
        let errors = errors.collect::<Vec<_>>().join("\n");
        if errors.trim().is_empty() {
            return said.to_owned();
        }
        errors
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}`: {}", self.command, self.reason())
    }
}

impl std::error::Error for Failure {}

impl<'a> Invocation<'a> {
    pub(super) fn new(docker: &'a Docker, cmd: Cmd<'a>) -> Invocation<'a> {
        Invocation {
            docker,
            cmd,
            lock: None,
            is_apart: false,
        }
    }

    pub fn arg(mut self, argument: impl AsRef<str>) -> Invocation<'a> {
        self.cmd = self.cmd.arg(argument.as_ref());
        self
    }

    pub fn args<S: AsRef<str>>(mut self, arguments: impl IntoIterator<Item = S>) -> Invocation<'a> {
        self.cmd = arguments
            .into_iter()
            .fold(self.cmd, |cmd, argument| cmd.arg(argument.as_ref()));
        self
    }

    /// Sets a variable of docker's own environment: where a secret goes that a container is to get by
    /// `--env NAME`.
    pub fn env(mut self, name: &str, value: &str) -> Invocation<'a> {
        self.cmd = self.cmd.env(name, value);
        self
    }

    /// For a command that changes the stack.
    pub fn holding(mut self, lock: &'a Lock) -> Invocation<'a> {
        self.lock = Some(lock);
        self
    }

    /// The same for one that takes things away. Ctrl-C does not end it: the engine would go on, and what is
    /// started next would be stopped.
    pub fn finishing(self, lock: &'a Lock) -> Invocation<'a> {
        Invocation {
            is_apart: true,
            ..self.holding(lock)
        }
    }

    /// Runs it and returns what it printed.
    ///
    /// # Errors
    /// [`Failure`] when the command failed; when there is no docker, with the remedy.
    pub fn text(self) -> anyhow::Result<String> {
        self.start()?.finish()
    }

    /// Runs it and returns whether it succeeded; what it prints is dropped.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn succeeds(self) -> anyhow::Result<bool> {
        Ok(self.output()?.status.success())
    }

    /// Runs it and returns all that it printed, however it ended.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn output(self) -> anyhow::Result<Output> {
        let mut command = self.command(Stdio::null())?;
        process::output(&mut command).map_err(explain_start)
    }

    /// Runs it on our own streams.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn shown(self) -> anyhow::Result<ExitStatus> {
        let mut command = self.command(Stdio::inherit())?;
        process::status(&mut command).map_err(explain_start)
    }

    /// The same with stdout going where no terminal is: without what Compose writes there to clear the line
    /// (2.26.1 begins each line of `logs` with it, whatever `--ansi` says).
    ///
    /// # Errors
    /// When there is no docker, with the remedy; when stdout is closed.
    pub fn shown_off_terminal(self) -> anyhow::Result<ExitStatus> {
        let mut command = self.command(Stdio::inherit())?;
        command.stdout(Stdio::piped());
        let mut child = process::spawn(&mut command).map_err(explain_start)?;
        let lines = child.stdout.take().map(BufReader::new);
        let written = lines.map_or(Ok(()), |lines| copy_lines(lines, &mut io::stdout()));
        if written.is_err() {
            // It may have ended by itself.
            let _ = child.kill();
        }
        let status = child.wait().context("waiting for docker")?;
        written.context("writing to stdout")?;
        Ok(status)
    }

    /// Starts it; several can be under way at once.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn start(self) -> anyhow::Result<Running<'a>> {
        let (docker, name) = (self.docker, self.cmd.to_string());
        let (child, said) = self.spawn(None, Stdio::piped())?;
        Ok(Running {
            docker,
            child,
            said,
            command: name,
        })
    }

    /// Starts it with stdin and stdout as streams of ours.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn pipe(self) -> anyhow::Result<Pipe<'a>> {
        let docker = self.docker;
        let (mut child, _) = self.spawn(Some(Stdio::piped()), Stdio::piped())?;
        let stderr = child
            .stderr
            .take()
            .map(|pipe| thread::spawn(move || read_all(pipe)));
        Ok(Pipe {
            docker,
            child,
            stderr,
        })
    }

    /// Starts a change of the stack whose end wakes those who wait for events.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn start_watched(self, waker: Waker) -> anyhow::Result<Change<'a>> {
        let mut running = self.start()?;
        let (stdout, stderr) = (running.child.stdout.take(), running.child.stderr.take());
        let reader = thread::spawn(move || {
            let text = stderr.map(read_all).unwrap_or_default();
            // Nothing comes here but the end.
            drop(stdout.map(read_all));
            waker.change_ended();
            text
        });
        Ok(Change {
            running,
            stderr: Some(reader),
        })
    }

    /// Starts it and returns its stdout, for reading what it prints until it is killed.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub(super) fn listen(self) -> anyhow::Result<Child> {
        let mut command = self.command(Stdio::null())?;
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        process::spawn(&mut command).map_err(explain_start)
    }

    /// Starts it as a connection: its stdin and stdout are streams of ours until it is killed.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub(super) fn dial(self) -> anyhow::Result<Child> {
        let mut command = self.command(Stdio::piped())?;
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        process::spawn(&mut command).map_err(explain_start)
    }

    /// Returns also the file that gets its stderr, where that is no pipe. A pipe ends with this process, and
    /// Compose ends when it writes to one that nobody reads, with the engine at work on half of what it was
    /// to do; so what holds the lock gets a file.
    fn spawn(self, stdin: Option<Stdio>, stdout: Stdio) -> anyhow::Result<(Child, Option<File>)> {
        let said = self.lock.and_then(|_| files::unnamed().ok());
        let stderr = match &said {
            Some(file) => Stdio::from(file.try_clone().context("sharing a file")?),
            None => Stdio::piped(),
        };
        let stdin = match (stdin, self.lock) {
            (Some(stdin), _) => stdin,
            (None, Some(lock)) => lock.share()?,
            (None, None) => Stdio::null(),
        };
        let is_apart = self.is_apart;
        let mut command = self.command(stdin)?;
        command.stdout(stdout).stderr(stderr);
        if is_apart {
            process::keep_apart(&mut command);
        }
        let child = process::spawn(&mut command).map_err(explain_start)?;
        Ok((child, said))
    }

    fn command(self, stdin: Stdio) -> anyhow::Result<Command> {
        terminal::say_command(&self.cmd);
        let mut command = Command::from(self.cmd);
        command.stdin(stdin);
        Ok(command)
    }
}

/// Copies lines as they come, without the sequence at their beginning that clears a line.
fn copy_lines(mut from: impl BufRead, to: &mut impl Write) -> io::Result<()> {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line)? > 0 {
        to.write_all(line.strip_prefix(b"\x1b[2K").unwrap_or(&line))?;
        to.flush()?;
        line.clear();
    }
    Ok(())
}

/// A docker command under way.
pub struct Running<'a> {
    docker: &'a Docker,
    child: Child,
    /// Its stderr, where that is no pipe.
    said: Option<File>,
    command: String,
}

impl Running<'_> {
    /// Waits for the end and returns what was printed.
    ///
    /// # Errors
    /// [`Failure`] when the command failed.
    pub fn finish(self) -> anyhow::Result<String> {
        let output = self.child.wait_with_output();
        let output = output.with_context(|| format!("running `{}`", self.command))?;
        text_of(self.docker, self.command, &with_said(output, self.said))
    }

    /// The same, for a command that needs no more than some time, after which it is ended.
    ///
    /// # Errors
    /// [`Failure`] when the command failed, or did not end.
    pub fn finish_within(self, patience: Duration) -> anyhow::Result<String> {
        let output = process::wait_within(self.child, patience);
        match output.with_context(|| format!("running `{}`", self.command))? {
            Some(output) => text_of(self.docker, self.command, &with_said(output, self.said)),
            None => bail!(Failure {
                command: self.command,
                stderr: format!("no answer within {} seconds", patience.as_secs()),
            }),
        }
    }
}

/// With its stderr from the file that got it, where one did.
fn with_said(output: Output, said: Option<File>) -> Output {
    match said {
        Some(said) => Output {
            stderr: read_from_start(said),
            ..output
        },
        None => output,
    }
}

/// What a command printed that has ended well.
fn text_of(docker: &Docker, command: String, output: &Output) -> anyhow::Result<String> {
    if !output.status.success() {
        let stderr = docker.redact(&String::from_utf8_lossy(&output.stderr));
        bail!(Failure { command, stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A command under way whose stdin and stdout are streams of bytes for us.
pub struct Pipe<'a> {
    docker: &'a Docker,
    child: Child,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Pipe<'_> {
    /// Writes to the command's stdin and closes it.
    ///
    /// # Errors
    /// What `write` says; but when the command no longer listens, why it does not.
    pub fn write(
        &mut self,
        write: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(mut stdin) = self.child.stdin.take() else {
            return Ok(());
        };
        let written = write(&mut stdin);
        drop(stdin);
        match written {
            Err(error) if is_broken_pipe(&error) => match self.wait() {
                Ok(_) => bail!("the container ended before it had read everything"),
                Err(error) => Err(error),
            },
            other => other,
        }
    }

    /// The command's stdout.
    ///
    /// # Errors
    /// The second time.
    pub fn stdout(&mut self) -> anyhow::Result<ChildStdout> {
        self.child
            .stdout
            .take()
            .context("reading a container's output twice")
    }

    /// Waits for the end and returns what it said on stderr, without secrets.
    ///
    /// # Errors
    /// The same, when it failed.
    pub fn finish(mut self) -> anyhow::Result<String> {
        self.wait()
    }

    fn wait(&mut self) -> anyhow::Result<String> {
        let status = self.child.wait().context("waiting for a container")?;
        let stderr = self
            .stderr
            .take()
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default();
        let stderr = self.docker.redact(&String::from_utf8_lossy(&stderr));
        if !status.success() {
            bail!("a container ended with {status}: {}", stderr.trim());
        }
        Ok(stderr)
    }
}

impl Drop for Pipe<'_> {
    /// Nobody reads on; the container itself goes with [`Docker::remove_tools`].
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that changes the stack, under way.
pub struct Change<'a> {
    running: Running<'a>,
    stderr: Option<JoinHandle<Vec<u8>>>,
}

impl Change<'_> {
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        let status = self
            .running
            .child
            .try_wait()
            .context("waiting for docker")?;
        Ok(status.is_some())
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// What it said, when it failed.
    pub fn finish(mut self) -> Result<(), Failure> {
        let status = self.running.child.wait();
        if status.is_ok_and(|status| status.success()) {
            return Ok(());
        }
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok());
        let stderr = match self.running.said.take() {
            Some(said) => read_from_start(said),
            None => stderr.unwrap_or_default(),
        };
        let stderr = self
            .running
            .docker
            .redact(&String::from_utf8_lossy(&stderr));
        Err(Failure {
            command: self.running.command.clone(),
            stderr,
        })
    }
}

impl Drop for Change<'_> {
    /// Whoever leaves before the end has seen that it leads nowhere.
    fn drop(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }
}

/// Whether whoever was to read what we wrote has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(is_pipe_error)
}

fn is_pipe_error(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

/// What a docker command that failed said, else what went wrong with it.
pub fn stderr_of(error: &anyhow::Error) -> String {
    match error.downcast_ref::<Failure>() {
        Some(failure) => failure.stderr.clone(),
        None => format!("{error:#}"),
    }
}

fn explain_start(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => versions::not_installed(std::env::consts::OS).into_error(),
        _ => anyhow::Error::new(error).context("running docker"),
    }
}

/// What a child has written to a file that it shares with us.
fn read_from_start(mut file: File) -> Vec<u8> {
    if file.rewind().is_err() {
        return Vec::new();
    }
    read_all(file)
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = from.read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_copied_without_what_clears_a_line() {
        let said = b"\x1b[2Kumami-1  | \x1b[2K\x1b[32mready\n\n\x1b[2Kredis-1  | PONG";
        let mut copied = Vec::new();
        copy_lines(&said[..], &mut copied).unwrap();
        let wanted = b"umami-1  | \x1b[2K\x1b[32mready\n\nredis-1  | PONG";
        assert_eq!(copied, wanted);
    }

    #[test]
    fn an_error_is_told_without_the_warnings_before_it() {
        let warning = "time=\"2026-11-30T19:02:02Z\" level=warning msg=\"The \\\"A\\\" variable is not set.\"";
        let reason = |stderr: String| {
            Failure {
                command: String::new(),
                stderr,
            }
            .reason()
        };
        assert_eq!(
            reason(format!("{warning}\n{warning}\nno such port\n")),
            "no such port"
        );
        assert_eq!(reason(format!("{warning}\n")), warning);

        let pulled = " redis Error no such tag\nError response from daemon: no such tag\n";
        let once = "Error response from daemon: no such tag";
        assert_eq!(reason(pulled.to_owned()), once);
    }
}
