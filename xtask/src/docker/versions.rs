//! Whether an engine and a Compose can run the stack, from what they say of themselves.

use serde::Deserialize;

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
    /// What it is and what to do, for this operating system.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// There is no docker, or no Compose v2.
    NotInstalled,
    NotRunning,
    NotPermitted,
    TooOld,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Trouble {}

/// Judges the output of `docker version --format '{{json .}}'` and `docker compose version --short`,
/// each `Err` with what went to stderr. `os` is `std::env::consts::OS`.
///
/// # Errors
/// The first thing that stops us, with its remedy for this operating system.
pub fn check(
    version: Result<&str, String>,
    compose: Result<&str, String>,
    os: &str,
    has_compose_v1: bool,
) -> Result<(), Trouble> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Versions {
        server: Option<Server>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Server {
        version: String,
    }
    let version = version.map_err(|stderr| unreachable(&stderr, os))?;
    let server = serde_json::from_str::<Versions>(version)
        .ok()
        .and_then(|versions| versions.server);
    let Some(server) = server else {
        return Err(unreachable("", os));
    };
    if let Some(found) = Version::parse(&server.version).filter(|found| *found < OLDEST_ENGINE) {
        let message = format!(
            "the Docker engine is {found}; the stack needs {OLDEST_ENGINE} or later. {}",
            upgrade(os)
        );
        return Err(Trouble {
            kind: Kind::TooOld,
            message,
        });
    }
    let compose = compose.map_err(|stderr| no_compose(&stderr, os, has_compose_v1))?;
    match Version::parse(compose) {
        Some(found) if found < Version(2, 0, 0) => Err(no_compose("", os, true)),
        Some(found) if found < OLDEST_COMPOSE => {
            let message = format!(
                "Docker Compose is {found}; the stack needs {OLDEST_COMPOSE} or later. {}",
                upgrade(os)
            );
            Err(Trouble {
                kind: Kind::TooOld,
                message,
            })
        }
        _ => Ok(()),
    }
}

/// There is no `docker` to run.
pub fn not_installed(os: &str) -> Trouble {
    let remedy = match os {
        "macos" => {
            "install Docker Desktop, or `brew install colima docker docker-compose` and `colima start`"
        }
        "windows" => "install Docker Desktop and start it",
        _ => {
            "install an engine and Compose v2: `sudo apt install docker.io docker-compose-v2` on Ubuntu, \
              `sudo dnf install moby-engine docker-compose` on Fedora, else as https://docs.docker.com/engine/install says"
        }
    };
    Trouble {
        kind: Kind::NotInstalled,
        message: format!("docker is not installed; {remedy}"),
    }
}

/// The client is there, its engine is not. The words are those of Docker 26 to 28 (2026-11-22).
fn unreachable(stderr: &str, os: &str) -> Trouble {
    if stderr.to_ascii_lowercase().contains("permission denied") {
        let message = "you may not talk to the Docker engine; `sudo usermod --append --groups docker \"$USER\"`, \
                then log out and in (members of that group are as mighty as root)";
        return Trouble {
            kind: Kind::NotPermitted,
            message: message.to_owned(),
        };
    }
    let remedy = match os {
        "macos" => "start Docker Desktop, or `colima start`",
        "windows" => "start Docker Desktop",
        _ => "start it: `sudo systemctl start docker`",
    };
    let detail = stderr.trim();
    let detail = if detail.is_empty() {
        String::new()
    } else {
        format!("\n  {}", detail.replace('\n', "\n  "))
    };
    let message = format!(
        "the Docker engine does not answer; {remedy}, or choose another with `docker context use`{detail}"
    );
    Trouble {
        kind: Kind::NotRunning,
        message,
    }
}

/// The client has no `compose`.
fn no_compose(stderr: &str, os: &str, has_v1: bool) -> Trouble {
    let message = if has_v1 {
        format!(
            "only Compose v1 (`docker-compose`) is installed; the stack needs Compose v2, {OLDEST_COMPOSE} or later. {}",
            upgrade(os)
        )
    } else {
        let detail = stderr.lines().next().unwrap_or_default();
        format!(
            "Docker Compose is not installed ({detail}). {}",
            upgrade(os)
        )
    };
    Trouble {
        kind: Kind::NotInstalled,
        message,
    }
}

fn upgrade(os: &str) -> &'static str {
    match os {
        "macos" => "Update Docker Desktop, or `brew upgrade colima docker docker-compose`",
        "windows" => "Update Docker Desktop",
        _ => {
            "Install the packages docker-ce and docker-compose-plugin as https://docs.docker.com/engine/install says, \
              or docker-compose-v2 on Ubuntu"
        }
    }
}

#[cfg(test)]
mod tests {
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

    #[track_caller]
    fn refuses(
        version: Result<&str, &str>,
        compose: Result<&str, &str>,
        has_v1: bool,
        words: &[&str],
    ) {
        let own = |result: Result<&'static str, &str>| result.map_err(str::to_owned);
        let leak = |result: Result<&str, &str>| match result {
            Ok(text) => own(Ok(Box::leak(text.to_owned().into_boxed_str()))),
            Err(text) => Err(text.to_owned()),
        };
        let message = check(leak(version), leak(compose), "linux", has_v1)
            .unwrap_err()
            .message;
        for word in words {
            assert!(message.contains(word), "no {word:?} in {message:?}");
        }
    }

    #[test]
    fn each_engine_that_will_not_do_has_its_own_remedy() {
        let ok = Ok("2.26.1");
        let down = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?";
        refuses(
            Err(down),
            ok,
            false,
            &["does not answer", "systemctl start docker"],
        );
        let denied = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        refuses(Err(denied), ok, false, &["may not talk", "usermod"]);
        refuses(
            Ok(r#"{"Client":{"Version":"28.2.2"},"Server":null}"#),
            ok,
            false,
            &["does not answer"],
        );
        refuses(
            Ok(r#"{"Server":{"Version":"20.10.24+dfsg1"}}"#),
            ok,
            false,
            &["20.10.24", "25.0.0"],
        );
        refuses(
            Ok(SERVER_26),
            Err("docker: 'compose' is not a docker command."),
            false,
            &["not installed"],
        );
        refuses(
            Ok(SERVER_26),
            Err("docker: unknown command: docker compose"),
            true,
            &["Compose v1", "docker-compose"],
        );
        refuses(Ok(SERVER_26), Ok("1.29.2"), false, &["Compose v1"]);
        refuses(Ok(SERVER_26), Ok("2.17.3"), false, &["2.17.3", "2.20.0"]);
        assert_eq!(
            check(Ok(SERVER_26), Ok("v2.26.1-desktop.1"), "linux", true),
            Ok(())
        );
    }
}
