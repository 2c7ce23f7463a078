//! Whether an engine and a Compose can run the stack, from what they say of themselves.

use serde::Deserialize;

use super::endpoint::Start;
use super::unreachable::{self, Asked};
use crate::problem::Problem;

/// `healthcheck.start_interval` needs it.
const OLDEST_ENGINE: Version = Version(25, 0, 0);
/// Several merge keys in one list, `required` and JSON lines from `ps` need it.
const OLDEST_COMPOSE: Version = Version(2, 20, 0);

/// The numeric triple of a version: `v2.26.1-desktop.1` and `20.10.24+dfsg1` are versions too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    pub fn parse(text: &str) -> Option<Version> {
        let numbers = text.trim().trim_start_matches('v');
        let end = numbers
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(numbers.len());
        let mut parts = numbers[..end].split('.').map(|part| part.parse().ok());
        Some(Version(
            parts.next()??,
            parts.next().flatten().unwrap_or(0),
            parts.next().flatten().unwrap_or(0),
        ))
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// Why an engine cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    /// What is wrong.
    pub what: String,
    /// What shows it: docker's own words, or what was found instead.
    pub said: String,
    /// What to do, for this operating system.
    pub hint: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no docker, or no Compose v2.
    NotInstalled,
    /// It is not running, and this starts it.
    NotRunning(Start),
    NotPermitted,
    TooOld,
    /// docker asks the wrong engine or in the wrong way, or one that cannot be started from here.
    Misconfigured,
}

impl Trouble {
    /// The same as an error that has a hint; it can be downcast to `Trouble`.
    pub fn into_error(self) -> anyhow::Error {
        let problem = Problem::new(&self.what).hint(&self.hint);
        anyhow::Error::new(self).context(problem)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.said)
    }
}

impl std::error::Error for Trouble {}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Versions {
    server: Option<Server>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Server {
    version: String,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
}

impl Server {
    /// Podman answers as Docker does, and says its own name among the components (Podman 3.2 and later;
    /// containers/podman issue 11227).
    fn is_podman(&self) -> bool {
        self.components.iter().any(|it| it.name.contains("Podman"))
    }
}

/// Judges the output of `docker version --format '{{json .}}'` and `docker compose version --short`,
/// each `Err` with what went to stderr. `asked` is called where the engine will not do.
///
/// # Errors
/// The first thing that stops us, with its remedy for this machine.
pub fn check(
    version: Result<&str, String>,
    compose: Result<&str, String>,
    standalone: impl Fn() -> Standalone,
    asked: impl Fn() -> Asked,
) -> Result<(), Trouble> {
    let version = match version {
        Ok(version) => version,
        Err(stderr) => return Err(unreachable::explain(&stderr, &asked())),
    };
    let server = serde_json::from_str::<Versions>(version)
        .ok()
        .and_then(|versions| versions.server);
    let Some(server) = server else {
        return Err(unreachable::explain("", &asked()));
    };
    if server.is_podman() {
        return Err(podman(&server, &asked()));
    }
    if let Some(found) = Version::parse(&server.version).filter(|found| *found < OLDEST_ENGINE) {
        let engine = format!("the Docker engine{}", asked().endpoint);
        return Err(too_old(&engine, found, OLDEST_ENGINE, asked().machine.os));
    }
    let compose =
        compose.map_err(|stderr| no_compose(&stderr, asked().machine.os, &standalone()))?;
    match Version::parse(compose) {
        Some(found) if found < Version(2, 0, 0) => {
            Err(no_compose("", asked().machine.os, &Standalone::V1))
        }
        Some(found) if found < OLDEST_COMPOSE => Err(too_old(
            "Docker Compose",
            found,
            OLDEST_COMPOSE,
            asked().machine.os,
        )),
        _ => Ok(()),
    }
}

fn podman(server: &Server, asked: &Asked) -> Trouble {
    let hint = match asked.endpoint.way_back() {
        Some(way) => format!("{way} for this machine's Docker engine"),
        None => {
            "install Docker as https://docs.docker.com/engine/install says; where Podman took its \
                 socket, `sudo systemctl disable --now podman.socket` gives it back"
                .to_owned()
        }
    };
    Trouble {
        kind: Kind::Misconfigured,
        what: format!("the engine{} is Podman, not Docker", asked.endpoint),
        said: format!(
            "it is Podman {}, the stack needs Docker {OLDEST_ENGINE} or later",
            server.version
        ),
        hint,
    }
}

/// The `docker-compose` that is installed, which a user may take for all that is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standalone {
    Missing,
    V1,
    /// Compose 2 or later, with its version.
    Newer(String),
}

impl Standalone {
    /// Reads the output of `docker-compose version`; `None` where there is no such program. Version 1 that does
    /// not run is version 1 too.
    pub fn of(said: Option<String>) -> Standalone {
        let Some(said) = said else {
            return Standalone::Missing;
        };
        let mut words = said.split(|c: char| c.is_whitespace() || c == ',');
        match words.find_map(|word| Some((word, Version::parse(word)?))) {
            Some((word, found)) if found >= Version(2, 0, 0) => Standalone::Newer(word.to_owned()),
            _ => Standalone::V1,
        }
    }
}

/// There is no `docker` to run.
pub fn not_installed(os: &str) -> Trouble {
    let hint = match os {
        "macos" => {
            "install Docker Desktop; or `brew install colima docker docker-compose`, then `colima start`"
        }
        "windows" => "install Docker Desktop and start it",
        _ => {
            "`cargo xtask doctor --fix` offers to install an engine and Compose v2; where it cannot, follow \
             https://docs.docker.com/engine/install"
        }
    };
    Trouble {
        kind: Kind::NotInstalled,
        what: "docker is not installed".to_owned(),
        said: "there is no `docker` on the PATH".to_owned(),
        hint: hint.to_owned(),
    }
}

fn too_old(what: &str, found: Version, oldest: Version, os: &str) -> Trouble {
    Trouble {
        kind: Kind::TooOld,
        what: format!("{what} is too old"),
        said: format!("it is {found}, the stack needs {oldest} or later"),
        hint: upgrade(os).to_owned(),
    }
}

/// The client has no `compose`, or does not find it.
fn no_compose(stderr: &str, os: &str, standalone: &Standalone) -> Trouble {
    if let Some(line) = stderr.lines().find(|it| it.contains(BAD_CONFIG)) {
        return Trouble {
            kind: Kind::Misconfigured,
            what: "docker cannot read its configuration, and finds no Compose plugin".to_owned(),
            said: line.trim().to_owned(),
            hint: "`unset DOCKER_CONFIG` if it is set; else correct the file that is named"
                .to_owned(),
        };
    }
    let (kind, what, said) = match standalone {
        Standalone::V1 => (
            Kind::NotInstalled,
            "only Compose v1 is installed",
            format!("`docker-compose` is v1, the stack needs Compose {OLDEST_COMPOSE} or later"),
        ),
        Standalone::Newer(version) => (
            Kind::Misconfigured,
            "docker does not find its Compose plugin",
            format!("there is a `docker-compose` {version}, but no `docker compose`"),
        ),
        Standalone::Missing => (
            Kind::NotInstalled,
            "Docker Compose is not installed",
            stderr.lines().next().unwrap_or_default().to_owned(),
        ),
    };
    let hint = match standalone {
        Standalone::Newer(_) => {
            "`mkdir -p ~/.docker/cli-plugins`, then \
             `ln -sfn \"$(command -v docker-compose)\" ~/.docker/cli-plugins/docker-compose`"
        }
        Standalone::V1 | Standalone::Missing => upgrade(os),
    };
    Trouble {
        kind,
        what: what.to_owned(),
        said,
        hint: hint.to_owned(),
    }
}

/// What docker says of a configuration that it cannot read (Docker 26, tried 2026-11-30).
const BAD_CONFIG: &str = "Error loading config file";

fn upgrade(os: &str) -> &'static str {
    match os {
        "macos" => "update Docker Desktop, or `brew upgrade colima docker docker-compose`",
        "windows" => "update Docker Desktop",
        _ => {
            "install docker-ce and docker-compose-plugin as https://docs.docker.com/engine/install says; on \
             Ubuntu `sudo apt-get install docker-compose-v2`"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::endpoint::{Endpoint, Machine};
    use super::*;

    const SERVER_26: &str =
        r#"{"Client":{"Version":"26.1.5+dfsg1"},"Server":{"Version":"26.1.5+dfsg1","Os":"linux"}}"#;

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for text in ["2.40.3-3", "v2.26.1-desktop.1", "2.26.1-4", "2.21"] {
            assert!(Version::parse(text).unwrap() >= OLDEST_COMPOSE, "{text}");
        }
        assert_eq!(Version::parse("20.10.24+dfsg1"), Some(Version(20, 10, 24)));
        assert_eq!(Version::parse("dev"), None);
    }

    fn asked() -> Asked {
        let address = "unix:///var/run/docker.sock".to_owned();
        Asked {
            endpoint: Endpoint::of(None, None, "default".to_owned(), address),
            machine: Machine {
                os: "linux",
                has_systemd: true,
                has_colima: false,
            },
        }
    }

    #[track_caller]
    fn refuses(version: &str, compose: Result<&str, &str>, words: &[&str]) {
        let compose = compose.map_err(str::to_owned);
        let missing = || Standalone::Missing;
        let trouble = check(Ok(version), compose, missing, asked).unwrap_err();
        let text = format!("{}: {}\n{}", trouble.what, trouble.said, trouble.hint);
        for word in words {
            assert!(text.contains(word), "no {word:?} in {text:?}");
        }
    }

    #[test]
    fn each_engine_that_will_not_do_has_its_own_remedy() {
        let ok = Ok("2.26.1");
        let no_server = r#"{"Client":{"Version":"28.2.2"},"Server":null}"#;
        refuses(
            no_server,
            ok,
            &["does not answer", "systemctl enable --now"],
        );
        let old = r#"{"Server":{"Version":"20.10.24+dfsg1"}}"#;
        refuses(old, ok, &["20.10.24", "25.0.0"]);
        let podman = r#"{"Server":{"Version":"4.9.4","Components":[{"Name":"Podman Engine","Version":"4.9.4"}]}}"#;
        refuses(podman, ok, &["is Podman, not Docker", "Podman 4.9.4"]);
        refuses(SERVER_26, Ok("1.29.2"), &["Compose v1"]);
        refuses(SERVER_26, Ok("2.17.3"), &["2.17.3", "2.20.0"]);
        let none = Err("docker: 'compose' is not a docker command.");
        refuses(SERVER_26, none, &["not installed"]);
    }

    #[test]
    fn compose_v1_is_named_where_it_is_all_there_is() {
        let what = |said: &str, standalone: Option<&str>| {
            let none = Err(said.to_owned());
            let standalone = || Standalone::of(standalone.map(str::to_owned));
            check(Ok(SERVER_26), none, standalone, asked)
                .unwrap_err()
                .what
        };
        let unknown = "docker: unknown command: docker compose";
        assert_eq!(
            what(
                unknown,
                Some("docker-compose version 1.29.2, build 5becea4c\n")
            ),
            "only Compose v1 is installed"
        );
        assert_eq!(what(unknown, Some("")), "only Compose v1 is installed");
        assert_eq!(what(unknown, None), "Docker Compose is not installed");
        let unlinked = what(unknown, Some("Docker Compose version 2.26.1-4\n"));
        assert_eq!(unlinked, "docker does not find its Compose plugin");
        let bad = format!(
            "WARNING: Error loading config file: open /x/config.json: not a directory\n{unknown}"
        );
        assert!(
            what(&bad, Some("Docker Compose version 2.26.1-4\n"))
                .contains("cannot read its configuration")
        );
        let newer = Ok("v2.26.1-desktop.1");
        let fits = check(Ok(SERVER_26), newer, || Standalone::V1, asked);
        assert_eq!(fits, Ok(()));
    }
}
