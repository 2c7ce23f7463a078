//! A temporary checkout, and the built xtask run in it.
//!
//! Its stack has a project name, ports and container names of its own, and images that need no
//! network, so that it never meets a stack that someone uses. It is gone with the value, also on panic.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_yaml::Value;
use tempfile::TempDir;

/// The repository that is tested.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

pub fn compose_file() -> Value {
    let text =
        fs::read_to_string(repository().join("deploy/analytics/docker-compose.yml")).unwrap();
    let mut file: Value = serde_yaml::from_str(&text).unwrap();
    // A merge may bring a merge along; ours are two deep.
    file.apply_merge().unwrap();
    file.apply_merge().unwrap();
    file
}

/// Which version of GlitchTip a stack runs: what stands in for it differs as the versions do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GlitchTip {
    V5,
    V6,
}

impl GlitchTip {
    /// The tag of its stand-in.
    pub fn tag(self) -> &'static str {
        match self {
            GlitchTip::V5 => "5.2",
            GlitchTip::V6 => "6",
        }
    }
}

pub struct Checkout {
    folder: TempDir,
    pub project: String,
    pub umami_port: u16,
    pub glitchtip_port: u16,
    has_stack: bool,
}

impl Checkout {
    /// The committed artifacts, nothing else; for tests that start no container.
    pub fn new() -> Checkout {
        Checkout::named("xtask test")
    }

    /// With a part of the path that has this name.
    pub fn named(name: &str) -> Checkout {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let folder = tempfile::Builder::new()
            .prefix(&format!("{name} "))
            .tempdir()
            .unwrap();
        copy(
            &repository().join("deploy/analytics"),
            &folder.path().join("deploy/analytics"),
        );
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let ports = [free_port(), free_port()];
        Checkout {
            folder,
            project: format!("xtask-test-{}-{number}", std::process::id()),
            umami_port: ports[0],
            glitchtip_port: ports[1],
            has_stack: false,
        }
    }

    /// With an override by which the stack runs from the stand-in images, beside any other.
    pub fn with_stack() -> Checkout {
        Checkout::with_glitchtip(GlitchTip::V6)
    }

    /// The same with the version of GlitchTip that is wanted.
    pub fn with_glitchtip(version: GlitchTip) -> Checkout {
        let mut checkout = Checkout::new();
        checkout.has_stack = true;
        let file = compose_file();
        let mut text = "services:\n".to_owned();
        for (name, service) in file["services"].as_mapping().unwrap() {
            let name = name.as_str().unwrap();
            let image = standin(service["image"].as_str().unwrap(), version);
            text.push_str(&format!(
                "  {name}:\n    image: {image}\n    container_name: !reset null\n"
            ));
            let port = match name {
                "umami" => format!("127.0.0.1:{}:3000", checkout.umami_port),
                "glitchtip-web" => format!("127.0.0.1:{}:8000", checkout.glitchtip_port),
                _ => continue,
            };
            text.push_str(&format!("    ports: !override ['{port}']\n"));
        }
        text.push_str(&format!(
            "networks:\n  analytics-network:\n    name: {}\n",
            checkout.project
        ));
        checkout.write("docker-compose.override.yml", &text);
        checkout
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A file of the stack's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join("deploy/analytics").join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Changes a file of the stack's folder; what is replaced must be there.
    #[track_caller]
    pub fn replace(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, &text.replace(from, to));
    }

    /// What `.env` sets a variable to.
    #[track_caller]
    pub fn variable(&self, key: &str) -> String {
        let text = self.read(".env");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("no {key} in .env"))
            .to_owned()
    }

    /// `program` in the stack's folder, with the project's name and nothing of Compose's inherited.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.root().join("deploy/analytics"))
            .stdin(Stdio::null());
        for name in ["COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES"] {
            command.env_remove(name);
        }
        command
            .env("COMPOSE_PROJECT_NAME", &self.project)
            .env("CARGO_MANIFEST_DIR", self.root().join("xtask"));
        command
    }

    /// The built xtask, as Cargo would run it here.
    pub fn xtask_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(env!("CARGO_BIN_EXE_xtask"));
        command.args(arguments).current_dir(self.root());
        command
    }

    pub fn xtask(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.xtask_command(arguments))
    }

    pub fn compose(&self, arguments: &[&str]) -> Run {
        Run::of(self.command("docker").arg("compose").args(arguments))
    }

    /// SQL as the superuser, through the socket; its rows, columns parted by `|`.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let psql = [
            "psql",
            "--username",
            "analytics_admin",
            "--dbname",
            database,
            "--no-align",
            "--tuples-only",
        ];
        let exec = [
            &["exec", "--no-TTY", "postgres"],
            &psql[..],
            &["--command", statement],
        ]
        .concat();
        self.compose(&exec).success().stdout.trim_end().to_owned()
    }

    /// The id of a service's container.
    #[track_caller]
    pub fn container(&self, service: &str) -> String {
        self.compose(&["ps", "--all", "--quiet", service])
            .success()
            .stdout
            .trim()
            .to_owned()
    }

    /// A `docker` by which published ports seem to be others, from the first of each pair to the second; first
    /// on `PATH` of what runs with the result.
    #[cfg(unix)]
    pub fn docker_that_moves_ports(&self, moved: &[(u16, u16)]) -> String {
        use std::os::unix::fs::PermissionsExt;

        let path = std::env::var("PATH").unwrap_or_default();
        let folder = self.root().join("moved");
        fs::create_dir_all(&folder).unwrap();
        let edit =
            |(from, to): &(u16, u16)| format!("s/\"HostPort\": \"{from}\"/\"HostPort\": \"{to}\"/");
        let edits: Vec<String> = moved.iter().map(edit).collect();
        let edits = edits.join(";");
        let script = format!(
            "#!/bin/sh\nPATH='{path}'\nif [ \"$1\" = inspect ]; then docker \"$@\" | sed '{edits}'\n\
             else exec docker \"$@\"; fi\n"
        );
        let docker = folder.join("docker");
        fs::write(&docker, script).unwrap();
        fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
        format!("{}:{path}", folder.display())
    }

    /// A `docker` that only writes down its arguments; first on `PATH` of what runs with the result.
    pub fn note_taking_docker(&self) -> (String, PathBuf) {
        let folder = self.root().join("fake");
        let notes = folder.join("notes");
        fs::create_dir_all(&folder).unwrap();
        let script = format!("#!/bin/sh\necho \"$@\" >> '{}'\nexit 1\n", notes.display());
        let docker = folder.join("docker");
        fs::write(&docker, script).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&docker, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let path = std::env::var("PATH").unwrap_or_default();
        (format!("{}:{path}", folder.display()), notes)
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        if self.has_stack {
            let down = [
                "compose",
                "down",
                "--volumes",
                "--remove-orphans",
                "--timeout",
                "1",
            ];
            if let Ok(output) = self.command("docker").args(down).output()
                && !output.status.success()
            {
                // The artifacts may be broken on purpose; what carries our label is ours all the same.
                remove_by_label(&self.project);
            }
        }
    }
}

fn remove_by_label(project: &str) {
    let filter = format!("label=com.docker.compose.project={project}");
    let lists: [(&[&str], &[&str]); 3] = [
        (&["ps", "--all", "--quiet"], &["rm", "--force"]),
        (&["network", "ls", "--quiet"], &["network", "rm"]),
        (&["volume", "ls", "--quiet"], &["volume", "rm"]),
    ];
    for (list, remove) in lists {
        let Ok(found) = Command::new("docker")
            .args(list)
            .args(["--filter", &filter])
            .output()
        else {
            return;
        };
        for id in String::from_utf8_lossy(&found.stdout).lines() {
            let _ = Command::new("docker").args(remove).arg(id).output();
        }
    }
}

/// What a command left behind when it ended.
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    #[track_caller]
    pub fn of(command: &mut Command) -> Run {
        Run::from(
            command
                .output()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    #[track_caller]
    pub fn success(self) -> Run {
        self.code(0)
    }

    #[track_caller]
    pub fn code(self, code: i32) -> Run {
        assert_eq!(
            self.code,
            Some(code),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that stderr says something.
    #[track_caller]
    pub fn says(self, text: &str) -> Run {
        assert!(
            self.stderr.contains(text),
            "stderr does not say {text:?}:\n{}",
            self.stderr
        );
        self
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        Run {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The image of ours that stands in for the one that the compose file names; where the real one is at hand, such as
/// in `XTASK_GLITCHTIP_IMAGE`, that one.
fn standin(image: &str, version: GlitchTip) -> String {
    let standins = BTreeMap::from([
        ("POSTGRES", "postgres:15".to_owned()),
        ("REDIS", "redis:7".to_owned()),
        ("UMAMI", "umami:3".to_owned()),
        ("GLITCHTIP", format!("glitchtip:{}", version.tag())),
    ]);
    let found = standins
        .iter()
        .find(|(name, _)| image.starts_with(&format!("${{{name}_IMAGE")));
    let (variable, name) = found.unwrap_or_else(|| panic!("no image stands in for {image}"));
    std::env::var(format!("XTASK_{variable}_IMAGE"))
        .unwrap_or_else(|_| format!("analytics-standin/{name}"))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Copies what Git would: no `.env`, no override, no backups of the one who runs the tests.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        let name = name.to_str().unwrap();
        let is_private = name == ".env" || (name.starts_with(".env.") && name != ".env.example");
        if is_private || name.contains("compose.override.") || entry.file_type().unwrap().is_dir() {
            continue;
        }
        fs::copy(entry.path(), to.join(name)).unwrap();
    }
}
