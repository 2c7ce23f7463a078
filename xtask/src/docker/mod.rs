//! The only module that runs docker. One function builds every compose command.
//!
//! No secret may leave it: none in an argument, and what others print is redacted before it is shown.

pub mod inspect;
pub mod versions;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use xshell::{Cmd, Shell, cmd};

use crate::checkout::Checkout;
use crate::checks::judge::{self as doctor, Engine, Info, Login, Probe};
use crate::docker::inspect::{self as containers, Container, Image};
use crate::docker::versions as engine;
use crate::env::dialect as env;
use crate::stack::desired::{self as compose, Config, Variables};
use crate::system::{self, Lock};
use crate::terminal::say;

/// Variables that would make Compose look elsewhere than at the committed files.
const REDIRECTING: [&str; 3] = ["COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"];

/// Compose does not always name the file that it means.
pub const REFUSED_CONFIG: &str =
    "Compose does not take docker-compose.yml, docker-compose.override.yml or .env";

/// The label by which Compose finds what it made.
const PROJECT_LABEL: &str = "com.docker.compose.project";

/// The label of the containers that live for one script of ours; its value is the project.
const TOOL_LABEL: &str = "xtask.tool";

/// Docker as this checkout uses it.
pub struct Docker {
    shell: Shell,
    verbose: bool,
    /// Variables that a child must not inherit.
    hidden: BTreeSet<String>,
    secrets: Vec<String>,
}

/// A docker command that ended with an error, and what it said, without secrets.
#[derive(Debug)]
pub struct Failure {
    pub command: String,
    pub stderr: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "`{}`: {}", self.command, self.stderr.trim())
    }
}

impl std::error::Error for Failure {}

/// A docker command under way. Several can be at once.
pub struct Running<'a> {
    docker: &'a Docker,
    child: Child,
    command: String,
}

impl Running<'_> {
    /// Waits for the end and returns what was printed.
    ///
    /// # Errors
    /// [`Failure`] when the command failed.
    pub fn finish(self) -> anyhow::Result<String> {
        let output = self
            .child
            .wait_with_output()
            .with_context(|| format!("running `{}`", self.command))?;
        if !output.status.success() {
            let stderr = self.docker.redact(&String::from_utf8_lossy(&output.stderr));
            bail!(Failure {
                command: self.command,
                stderr
            });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Docker {
    /// # Errors
    /// When `.env` cannot be parsed: Compose would quote the line, secrets included.
    pub fn new(project: &Checkout, verbose: bool) -> anyhow::Result<Docker> {
        let shell = Shell::new().context("finding the current folder")?;
        shell.change_dir(project.stack());
        let template = system::read_text(&project.env_template())?.unwrap_or_default();
        let known = env::template_variables(&template)
            .with_context(|| project.display(&project.env_template()))?;
        let assignments = project.env_assignments()?;

        // Compose lets an exported variable win over `.env`, even an empty one, so the child must not
        // inherit any name that the stack knows.
        let mut hidden: BTreeSet<String> = known.keys().cloned().collect();
        hidden.extend(assignments.iter().map(|assignment| assignment.key.clone()));
        hidden.remove("COMPOSE_PROJECT_NAME");
        hidden.extend(REDIRECTING.map(str::to_owned));

        let is_secret = |key: &str| known.get(key).is_some_and(|value| env::is_secret(value));
        let secrets = assignments
            .into_iter()
            .filter(|assignment| is_secret(&assignment.key) && !assignment.value.is_empty())
            .map(|assignment| assignment.value)
            .collect();
        Ok(Docker {
            shell,
            verbose,
            hidden,
            secrets,
        })
    }

    /// `docker`, in the stack's folder, with an environment that is ours alone.
    pub fn docker(&self) -> Cmd<'_> {
        self.hidden
            .iter()
            .fold(cmd!(self.shell, "docker"), |cmd, name| cmd.env_remove(name))
    }

    /// Every compose command begins here. Compose finds the compose file and its override by itself.
    pub fn compose(&self) -> Cmd<'_> {
        self.docker().arg("compose")
    }

    /// A container for one script of ours: without network, gone when it ends. Its output is no log on
    /// the disk: it may be a whole database.
    pub fn tool(&self, project: &str, image: &str, script: &str, options: &[String]) -> Cmd<'_> {
        let label = format!("{TOOL_LABEL}={project}");
        self.docker()
            .args([
                "run",
                "--rm",
                "--interactive",
                "--pull",
                "never",
                "--network",
                "none",
                "--log-driver",
                "none",
            ])
            .args([
                "--security-opt",
                "no-new-privileges",
                "--label",
                &label,
                "--entrypoint",
                "sh",
            ])
            .args(options)
            .args([image, "-c", script])
    }

    /// Removes the tools that a killed xtask left behind, with all that is in them.
    pub fn remove_tools(&self, project: &str) -> anyhow::Result<()> {
        let filter = format!("label={TOOL_LABEL}={project}");
        let ids = self.read(self.docker().args([
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filter,
        ]))?;
        if !ids.is_empty() {
            // One that has ended meanwhile removes itself.
            let _ = self.read(
                self.docker()
                    .args(["rm", "--force", "--volumes"])
                    .args(ids.lines()),
            );
        }
        Ok(())
    }

    /// Starts a command whose stdin and stdout are ours.
    pub fn start_pipe(&self, cmd: Cmd) -> anyhow::Result<Pipe<'_>> {
        let mut child = self.child(cmd, Stdio::piped(), Stdio::piped(), Stdio::piped())?;
        let stderr = child.stderr.take().map(|mut pipe| {
            thread::spawn(move || {
                let mut text = Vec::new();
                let _ = pipe.read_to_end(&mut text);
                text
            })
        });
        Ok(Pipe {
            docker: self,
            child,
            stderr,
        })
    }

    pub fn has_volume(&self, name: &str) -> anyhow::Result<bool> {
        let cmd = self.docker().args(["volume", "inspect", name]);
        let output = self.output(cmd)?;
        Ok(output.status.success())
    }

    fn child(&self, cmd: Cmd, stdin: Stdio, stdout: Stdio, stderr: Stdio) -> anyhow::Result<Child> {
        self.announce(&cmd);
        Command::from(cmd)
            .stdin(stdin)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .map_err(explain_spawn)
    }

    /// Runs a command that may fail; what it printed says how.
    fn output(&self, cmd: Cmd) -> anyhow::Result<Output> {
        self.announce(&cmd);
        Command::from(cmd)
            .stdin(Stdio::null())
            .output()
            .map_err(explain_spawn)
    }

    /// Starts a command whose output is wanted; its stdin is `stdin`.
    fn spawn(&self, cmd: Cmd, stdin: Stdio) -> anyhow::Result<Running<'_>> {
        let command = cmd.to_string();
        let child = self.child(cmd, stdin, Stdio::piped(), Stdio::piped())?;
        Ok(Running {
            docker: self,
            child,
            command,
        })
    }

    /// Starts a command whose output is wanted.
    ///
    /// # Errors
    /// When there is no docker, with the remedy.
    pub fn start(&self, cmd: Cmd) -> anyhow::Result<Running<'_>> {
        self.spawn(cmd, Stdio::null())
    }

    /// Runs a command and returns what it printed.
    pub fn read(&self, cmd: Cmd) -> anyhow::Result<String> {
        self.start(cmd)?.finish()
    }

    /// Runs a command that changes the stack. While it runs it holds `lock`, even if we are killed:
    /// the next command of ours waits for it.
    pub fn start_change(&self, cmd: Cmd, lock: &Lock) -> anyhow::Result<Running<'_>> {
        self.spawn(cmd, lock.share()?)
    }

    /// Runs a command whose output is the user's.
    pub fn stream(&self, cmd: Cmd) -> anyhow::Result<ExitStatus> {
        self.announce(&cmd);
        Command::from(cmd).status().map_err(explain_spawn)
    }

    /// Runs a command that shows its progress on stderr, which is kept for the case that it fails.
    pub fn stream_progress(&self, cmd: Cmd, lock: &Lock) -> anyhow::Result<()> {
        let command = cmd.to_string();
        let mut child = self.child(cmd, lock.share()?, Stdio::null(), Stdio::piped())?;
        let mut stderr = String::new();
        if let Some(pipe) = child.stderr.take() {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                say!("{line}");
                stderr.push_str(&line);
                stderr.push('\n');
            }
        }
        if child
            .wait()
            .with_context(|| format!("running `{command}`"))?
            .success()
        {
            return Ok(());
        }
        bail!(Failure {
            command,
            stderr: self.redact(&stderr)
        })
    }

    fn announce(&self, cmd: &Cmd) {
        if self.verbose {
            say!("$ {cmd}");
        }
    }

    /// `text` without any secret of `.env`.
    pub fn redact(&self, text: &str) -> String {
        self.secrets
            .iter()
            .fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }

    /// Checks that an engine and a Compose that can run the stack answer.
    ///
    /// # Errors
    /// Each way in which this can fail has a message and a remedy of its own.
    pub fn check_engine(&self) -> anyhow::Result<()> {
        let version = self.start(self.docker().args(["version", "--format", "{{json .}}"]))?;
        let compose = self.start(self.compose().args(["version", "--short"]))?;
        let version = version.finish();
        let compose = compose.finish();
        engine::check(
            version.as_deref().map_err(stderr_of),
            compose.as_deref().map_err(stderr_of),
            std::env::consts::OS,
            system::is_on_path("docker-compose"),
        )
        .map_err(anyhow::Error::from)
    }

    /// The configuration as Compose resolves it from the compose file, its override and `.env`.
    pub fn config(&self) -> anyhow::Result<Config> {
        Config::parse(&self.start_config()?.finish().context(REFUSED_CONFIG)?)
    }

    /// [`Docker::config`] under way, for [`Config::parse`].
    pub fn start_config(&self) -> anyhow::Result<Running<'_>> {
        self.start(self.compose().arg("config"))
    }

    /// Every container of a project, by service; what `run` made is left out.
    pub fn containers(&self, project: &str) -> anyhow::Result<BTreeMap<String, Container>> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        let ids = self.read(self.docker().args([
            "ps",
            "--all",
            "--quiet",
            "--no-trunc",
            "--filter",
            &filter,
        ]))?;
        let containers = self.inspect(ids.lines())?;
        Ok(containers
            .into_iter()
            .map(|container| (container.service().to_owned(), container))
            .collect())
    }

    /// Looks again at those of `containers` that have these ids; at every container of the project when
    /// there is none, or one that is not among them.
    pub fn refresh(
        &self,
        containers: &mut BTreeMap<String, Container>,
        project: &str,
        ids: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        let is_known = |id: &String| containers.values().any(|container| container.id == *id);
        if ids.is_empty() || !ids.iter().all(is_known) {
            *containers = self.containers(project)?;
            return Ok(());
        }
        let changed = self.inspect(ids.iter().map(String::as_str))?;
        containers.retain(|_, container| !ids.contains(&container.id));
        containers.extend(
            changed
                .into_iter()
                .map(|container| (container.service().to_owned(), container)),
        );
        Ok(())
    }

    /// Looks at containers by id. One that has gone meanwhile is left out.
    pub fn inspect<'b>(
        &self,
        ids: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<Vec<Container>> {
        let ids: Vec<&str> = ids.into_iter().collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let cmd = self
            .docker()
            .args(["inspect", "--type", "container"])
            .args(ids)
            .ignore_status();
        let output = self.output(cmd)?;
        containers::parse_inspect(&String::from_utf8_lossy(&output.stdout))
    }

    /// The ids of those images that the engine has, by the name that was asked for.
    pub fn images<'b>(
        &self,
        names: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        Ok(self
            .inspect_images(names)?
            .into_iter()
            .map(|(name, image)| (name, image.id))
            .collect())
    }

    /// Those images that the engine has, by the name that was asked for.
    pub fn inspect_images<'b>(
        &self,
        names: impl IntoIterator<Item = &'b str>,
    ) -> anyhow::Result<BTreeMap<String, Image>> {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let cmd = self.docker().args(["image", "inspect"]).args(&names);
        // It fails when one is missing, and has printed the others.
        let output = self.output(cmd)?;
        let images = containers::parse_images(&String::from_utf8_lossy(&output.stdout))?;
        let find = |name: &str| images.iter().find(|image| image.is_called(name)).cloned();
        Ok(names
            .iter()
            .filter_map(|&name| Some((name.to_owned(), find(name)?)))
            .collect())
    }

    /// Lists what carries the project's label: `list` is a command such as `volume ls`.
    pub fn start_names(
        &self,
        list: &[&str],
        format: &str,
        project: &str,
    ) -> anyhow::Result<Running<'_>> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        self.start(
            self.docker()
                .args(list)
                .args(["--filter", &filter, "--format", format]),
        )
    }

    /// The variables of `.env` by which each service can be changed; none where Compose cannot say.
    pub fn variables(&self) -> BTreeMap<String, Variables> {
        let yaml = self.read(self.compose().args(["config", "--no-interpolate"]));
        yaml.map(|yaml| compose::parse_variables(&yaml))
            .unwrap_or_default()
    }

    /// Every container, network and volume of the engine, with what their labels say of their owner.
    pub fn everything(&self) -> anyhow::Result<Engine> {
        let containers =
            self.start(
                self.docker()
                    .args(["ps", "--all", "--format", doctor::CONTAINER_FORMAT]),
            )?;
        let networks =
            self.start(
                self.docker()
                    .args(["network", "ls", "--format", doctor::THING_FORMAT]),
            )?;
        let volumes =
            self.start(
                self.docker()
                    .args(["volume", "ls", "--format", doctor::THING_FORMAT]),
            )?;
        let context = self.start(self.docker().args([
            "context",
            "inspect",
            "--format",
            "{{.Endpoints.docker.Host}}",
        ]))?;
        Ok(Engine {
            address: context.finish().unwrap_or_default().trim().to_owned(),
            containers: doctor::parse_things(&containers.finish()?),
            networks: doctor::parse_things(&networks.finish()?),
            volumes: doctor::parse_things(&volumes.finish()?),
        })
    }

    /// What the engine says of itself and the machine that it runs on.
    pub fn info(&self) -> anyhow::Result<Info> {
        Info::parse(&self.read(self.docker().args(["info", "--format", "{{json .}}"]))?)
    }

    /// Looks with the tools of `image` at what a volume holds and at the disk that it is on. Starts a
    /// container that sees nothing else, and removes it; `None` if that does not work.
    pub fn probe(&self, image: &str, volume: Option<&str>) -> Option<Probe> {
        let mount = volume.map(|volume| format!("{volume}:/probe:ro"));
        let mount = mount.iter().flat_map(|mount| ["--volume", mount]);
        let run = self.docker().args([
            "run",
            "--rm",
            "--pull",
            "never",
            "--network",
            "none",
            "--entrypoint",
            "sh",
        ]);
        let output = self
            .read(run.args(mount).args([image, "-c", doctor::PROBE]))
            .ok()?;
        Some(Probe::parse(&output))
    }

    /// Whether a role can log in with a password, over TCP and the stack's network as the applications do.
    pub fn start_login(&self, login: &Login, container: &str) -> anyhow::Result<Running<'_>> {
        // From 127.0.0.1 the image trusts everybody.
        let options = ["--no-psqlrc", "--host", "postgres", "--command", "SELECT"];
        let names = ["--username", &login.role, "--dbname", &login.database];
        let exec = self
            .docker()
            .args(["exec", "--env", "PGPASSWORD", container, "psql"]);
        self.start(
            exec.args(options)
                .args(names)
                .env("PGPASSWORD", &login.password),
        )
    }

    /// How much each volume of the engine holds, as it states it.
    pub fn volume_sizes(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let format = "{{range .Volumes}}{{.Name}} {{.Size}}\n{{end}}";
        let text =
            self.read(
                self.docker()
                    .args(["system", "df", "--verbose", "--format", format]),
            )?;
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .map(|(name, size)| (name.to_owned(), size.to_owned()))
            .collect())
    }

    /// The last lines that a container printed since a time (empty: ever), stdout and stderr together,
    /// without secrets.
    pub fn logs(&self, container: &str, lines: &str, since: &str) -> anyhow::Result<String> {
        let cmd = self
            .docker()
            .args(["logs", "--tail", lines, "--since", since, container]);
        let output = self.output(cmd)?;
        let text = [output.stdout, output.stderr].concat();
        Ok(self.redact(&String::from_utf8_lossy(&text)))
    }

    /// [`Docker::start_change`] whose end wakes those who wait for `events`.
    pub fn start_watched_change(
        &self,
        cmd: Cmd,
        lock: &Lock,
        events: &Events,
    ) -> anyhow::Result<Change<'_>> {
        let mut running = self.start_change(cmd, lock)?;
        let stderr = running.child.stderr.take();
        let sender = events.sender.clone();
        let reader = thread::spawn(move || {
            let mut text = Vec::new();
            let read = stderr.map_or(Ok(0), |mut stderr| stderr.read_to_end(&mut text));
            let _ = sender.send(None);
            read.map(|_| text)
        });
        Ok(Change {
            running,
            stderr: Some(reader),
        })
    }

    /// Tells of each event of a project's containers until it is dropped.
    pub fn events(&self, project: &str) -> anyhow::Result<Events> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        let filters = ["events", "--filter", &filter, "--filter", "type=container"];
        let cmd = self
            .docker()
            .args(filters)
            .args(["--format", "{{.Actor.ID}} {{.Action}}"]);
        let mut child = self.child(cmd, Stdio::null(), Stdio::piped(), Stdio::null())?;
        let (sender, receiver) = mpsc::channel();
        let ours = sender.clone();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                for happened in lines.filter_map(|line| containers::parse_event(&line)) {
                    if sender.send(happened).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Events {
            child,
            sender: ours,
            receiver,
        })
    }
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

    pub fn stdout(&mut self) -> anyhow::Result<impl Read + use<>> {
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

/// Whether whoever was to read what we wrote has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// A command that changes the stack, under way.
pub struct Change<'a> {
    running: Running<'a>,
    stderr: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl Change<'_> {
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
        let stderr = self
            .stderr
            .take()
            .and_then(|reader| reader.join().ok()?.ok())
            .unwrap_or_default();
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

/// Events that follow each other faster than this belong together.
const BURST: Duration = Duration::from_millis(100);

/// The events of a project's containers: the id of one whose state changed, else none.
pub struct Events {
    child: Child,
    sender: mpsc::Sender<Option<String>>,
    receiver: mpsc::Receiver<Option<String>>,
}

impl Events {
    /// Waits until something happened to a container, at most `limit`. Returns the ids of the containers
    /// that changed; none when that may not be all.
    pub fn wait(&self, limit: Duration) -> BTreeSet<String> {
        let begin = Instant::now();
        let mut happened = BTreeSet::new();
        let mut patience = limit;
        while let Ok(id) = self.receiver.recv_timeout(patience) {
            happened.insert(id);
            // What comes together is looked at together.
            patience = limit.saturating_sub(begin.elapsed()).min(BURST);
        }
        happened
            .into_iter()
            .collect::<Option<_>>()
            .unwrap_or_default()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a docker command that failed said, else what went wrong with it.
pub fn stderr_of(error: &anyhow::Error) -> String {
    error
        .downcast_ref::<Failure>()
        .map_or_else(|| format!("{error:#}"), |failure| failure.stderr.clone())
}

fn explain_spawn(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => engine::not_installed(std::env::consts::OS).into(),
        _ => anyhow::Error::new(error).context("running docker"),
    }
}
