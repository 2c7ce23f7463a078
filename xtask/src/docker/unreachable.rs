//! Why an engine does not answer, from what docker says of it. Must never look itself.
//!
//! The words are those of Docker 26 (tried 2026-11-25) and 29 (vendored moby/client/request.go and
//! errors.go, read 2026-11-25) unless a row says otherwise.

use super::endpoint::{Chooser, Endpoint, Machine, Start, Target};
use super::versions::{Kind, Trouble};

/// What is known where docker gets no answer.
pub struct Asked {
    pub endpoint: Endpoint,
    pub machine: Machine,
}

/// Explains what docker said on stderr; empty where it said nothing.
pub fn explain(stderr: &str, asked: &Asked) -> Trouble {
    let said = match stderr.trim() {
        "" => "no answer",
        said => said,
    };
    let explained = EXPLANATIONS.iter().find(|it| it.is_in(said));
    let (kind, what, hint) = match explained {
        Some(it) => (it.explain)(asked),
        None => no_answer(asked),
    };
    Trouble {
        kind,
        what,
        said: said.to_owned(),
        hint,
    }
}

/// What is wrong: its kind, what it is, and what to do.
type Explained = (Kind, String, String);

/// One way in which docker gets no answer.
struct Explanation {
    /// Any of these words.
    words: &'static [&'static str],
    explain: fn(&Asked) -> Explained,
}

impl Explanation {
    fn is_in(&self, said: &str) -> bool {
        self.words.iter().any(|words| said.contains(words))
    }
}

/// The first that matches explains.
const EXPLANATIONS: &[Explanation] = &[
    Explanation {
        words: &[": context not found", "is not found on the file system"],
        explain: no_such_context,
    },
    Explanation {
        words: &[
            "invalid bind address format",
            "ssh host connection is not valid",
            "unable to parse docker host",
            "invalid proto, expected",
        ],
        explain: no_address,
    },
    Explanation {
        words: &[
            ".pem: no such file",
            "server gave HTTP response to HTTPS client",
            "Client sent an HTTP request to an HTTPS server",
            "TLS-enabled daemon without TLS",
            "x509: ",
            "TLS client certification settings",
        ],
        explain: wrong_tls,
    },
    Explanation {
        words: &["is too new. Maximum supported API version is"],
        explain: api_too_new,
    },
    Explanation {
        words: &["is too old. Minimum supported API version is"],
        explain: api_too_old,
    },
    // Docker Desktop; seen in others' logs of 2025 and 2026, not run here.
    Explanation {
        words: &[
            "Docker Desktop is manually paused",
            "Docker Desktop is paused",
        ],
        explain: paused,
    },
    Explanation {
        words: &["docker system dial-stdio]"],
        explain: no_way_by_ssh,
    },
    Explanation {
        words: &["permission denied", "Permission denied"],
        explain: not_permitted,
    },
    Explanation {
        words: &[
            "invalid character",
            "page not found",
            "for API route and version",
        ],
        explain: no_engine_there,
    },
    // Our own words, after we have waited.
    Explanation {
        words: &["no answer within"],
        explain: hung,
    },
];

fn no_such_context(asked: &Asked) -> Explained {
    let name = match &asked.endpoint.chooser {
        Chooser::ContextVariable(name) | Chooser::CurrentContext(name) => name.as_str(),
        Chooser::Target(target) => match target {
            Target::Context(name) | Target::Address(name) => name.as_str(),
            Target::Current => "in use",
        },
        Chooser::HostVariable | Chooser::Nobody => "in use",
    };
    let way = asked.endpoint.way_back();
    let hint = format!(
        "{} for this machine's engine; `docker context ls` shows the contexts that exist",
        way.unwrap_or("`docker context use default`")
    );
    let what = format!("the Docker context {name} does not exist");
    (Kind::Misconfigured, what, hint)
}

fn no_address(asked: &Asked) -> Explained {
    let address = &asked.endpoint.address;
    let what = format!("docker cannot look for an engine{}", asked.endpoint);
    let way = asked.endpoint.way_back();
    let hint = format!(
        "{} for this machine's engine; an engine elsewhere has an address such as ssh://me@example.com \
         instead of {address}",
        way.unwrap_or("`docker context use default`")
    );
    (Kind::Misconfigured, what, hint)
}

fn wrong_tls(asked: &Asked) -> Explained {
    let what = format!(
        "docker and the engine{} do not agree on TLS",
        asked.endpoint
    );
    let hint = "`unset DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_TLS` for an engine without TLS, such as \
                this machine's; for one with TLS, set DOCKER_CERT_PATH to the folder of its certificates \
                and DOCKER_TLS_VERIFY=1";
    (Kind::Misconfigured, what, hint.to_owned())
}

fn api_too_new(asked: &Asked) -> Explained {
    let what = format!(
        "the engine{} is older than the docker command",
        asked.endpoint
    );
    let hint =
        "`unset DOCKER_API_VERSION` if it is set; else upgrade the engine to Docker 25 or later";
    (Kind::TooOld, what, hint.to_owned())
}

fn api_too_old(asked: &Asked) -> Explained {
    let what = format!(
        "the docker command is older than the engine{} accepts",
        asked.endpoint
    );
    let hint = "`unset DOCKER_API_VERSION` if it is set; else upgrade the docker command";
    (Kind::TooOld, what, hint.to_owned())
}

fn paused(_: &Asked) -> Explained {
    let hint = "resume it from the menu of Docker Desktop, then repeat the command";
    (
        Kind::Misconfigured,
        "Docker Desktop is paused".to_owned(),
        hint.to_owned(),
    )
}

fn no_way_by_ssh(asked: &Asked) -> Explained {
    let what = format!("ssh does not reach the engine{}", asked.endpoint);
    let host = asked.endpoint.address.trim_start_matches("ssh://");
    let host = host.split(':').next().unwrap_or_default();
    let mut hint = format!("make `ssh {host} docker version` work first");
    if let Some(way) = asked.endpoint.way_back() {
        hint.push_str(&format!("; {way} for this machine's engine"));
    }
    (Kind::Misconfigured, what, hint)
}

fn not_permitted(asked: &Asked) -> Explained {
    let what = format!("you may not talk to the Docker engine{}", asked.endpoint);
    let start = asked.endpoint.start(&asked.machine);
    match (start, asked.machine.os) {
        (Start::Service, "linux") => {
            let hint = "`sudo usermod --append --groups docker \"$USER\"`, then log out and in; members of \
                        that group have the rights of root";
            (Kind::NotPermitted, what, hint.to_owned())
        }
        _ => {
            let way = asked.endpoint.way_back();
            let hint = match way {
                Some(way) => {
                    format!("{way} for this machine's engine, or ask its owner for access")
                }
                None => "ask the owner of the socket for access, or start Docker Desktop anew"
                    .to_owned(),
            };
            (Kind::Misconfigured, what, hint)
        }
    }
}

fn no_engine_there(asked: &Asked) -> Explained {
    let what = format!("what answers{} is not a Docker engine", asked.endpoint);
    let hint = match asked.endpoint.way_back() {
        Some(way) => format!("{way} for this machine's engine"),
        None => "`unset DOCKER_API_VERSION` if it is set; `docker version` shows what docker asks and gets"
            .to_owned(),
    };
    (Kind::Misconfigured, what, hint)
}

fn hung(asked: &Asked) -> Explained {
    let what = format!(
        "the Docker engine{} takes connections and does not answer",
        asked.endpoint
    );
    let by_hand = match asked.endpoint.start(&asked.machine) {
        Start::Service if asked.machine.has_systemd => {
            "restart it: `sudo systemctl restart docker`".to_owned()
        }
        Start::Service => "restart it: `sudo service docker restart`".to_owned(),
        Start::Command(_) | Start::ByHand(_) | Start::Unknown => {
            "restart it where it is".to_owned()
        }
    };
    let hint = match asked.endpoint.way_back() {
        Some(way) => format!("{by_hand}; or {way} for this machine's engine"),
        None => by_hand,
    };
    (Kind::Misconfigured, what, hint)
}

fn no_answer(asked: &Asked) -> Explained {
    let what = format!("the Docker engine{} does not answer", asked.endpoint);
    let start = asked.endpoint.start(&asked.machine);
    let by_hand = match start {
        Start::Service => format!("start it: `sudo {}`", asked.machine.service_command()),
        Start::Command(command) => format!("start it: `{command}`"),
        Start::ByHand(text) => text.to_owned(),
        Start::Unknown => match socket_without_scheme(&asked.endpoint.address) {
            Some(socket) => format!("write the address of a socket as unix://{socket}"),
            None => "start it where it is".to_owned(),
        },
    };
    let hint = match asked.endpoint.way_back() {
        Some(way) => format!("{by_hand}; or {way} for this machine's engine"),
        None => by_hand,
    };
    let kind = match start {
        Start::Service | Start::Command(_) => Kind::NotRunning(start),
        Start::ByHand(_) | Start::Unknown => Kind::Misconfigured,
    };
    (kind, what, hint)
}

/// The path in an address that docker completed to `tcp://localhost:2375/path/of.sock`.
fn socket_without_scheme(address: &str) -> Option<&str> {
    let rest = address.strip_prefix("tcp://")?;
    let path = &rest[rest.find('/')?..];
    path.ends_with(".sock").then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: Machine = Machine {
        os: "linux",
        has_systemd: false,
        has_colima: false,
    };

    /// Explains what docker says where these are set: DOCKER_HOST, DOCKER_CONTEXT, the current context.
    fn explained(said: &str, (host, context, current): (&str, &str, &str)) -> Trouble {
        let address = if host.is_empty() { LOCAL } else { host };
        let endpoint = Endpoint::of(
            Some(host.to_owned()),
            Some(context.to_owned()),
            current.to_owned(),
            address.to_owned(),
        );
        explain(
            said,
            &Asked {
                endpoint,
                machine: LINUX,
            },
        )
    }

    const LOCAL: &str = "unix:///var/run/docker.sock";
    const NOBODY: (&str, &str, &str) = ("", "", "default");

    #[track_caller]
    fn check(said: &str, chosen: (&str, &str, &str), what: &str, hint: &str) {
        let trouble = explained(said, chosen);
        assert!(trouble.what.contains(what), "{trouble:?}");
        assert!(trouble.hint.contains(hint), "{trouble:?}");
        // Only what can be started from here is offered.
        let is_here = chosen == NOBODY && what.contains("does not answer");
        assert_eq!(
            matches!(trouble.kind, Kind::NotRunning(_)),
            is_here,
            "{trouble:?}"
        );
    }

    #[test]
    fn this_machine_s_engine_is_started() {
        let start = "start it: `sudo service docker start`";
        let what = "the Docker engine at unix:///var/run/docker.sock does not answer";
        for said in [
            "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
            "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct \
             and if the daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",
            "",
        ] {
            check(said, NOBODY, what, start);
        }
    }

    #[test]
    fn an_engine_elsewhere_is_named_and_the_way_back_too() {
        let tcp = ("tcp://127.0.0.1:1", "", "");
        let dead = "Cannot connect to the Docker daemon at tcp://127.0.0.1:1. Is the docker daemon running?";
        check(
            dead,
            tcp,
            "at tcp://127.0.0.1:1 (DOCKER_HOST",
            "`unset DOCKER_HOST`",
        );
        let no_name = "error during connect: Get \"http://foo:2375/v1.50/version\": dial tcp: lookup foo on \
                       192.0.2.53:53: no such host";
        check(
            no_name,
            ("tcp://foo:2375", "", ""),
            "tcp://foo:2375",
            "`unset DOCKER_HOST`",
        );
        let ssh = "error during connect: Get \"http://docker.example.com/v1.50/version\": command [ssh -o \
                   ConnectTimeout=30 -T -l me -- there docker system dial-stdio] has exited with exit status 255, \
                   make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: \
                   stderr=me@there: Permission denied (publickey).";
        check(
            ssh,
            ("ssh://me@there", "", ""),
            "ssh does not reach",
            "`ssh me@there docker version`",
        );
        let denied =
            "permission denied while trying to connect to the docker API at unix:///srv/d.sock";
        check(
            denied,
            ("unix:///srv/d.sock", "", ""),
            "may not talk",
            "`unset DOCKER_HOST`",
        );
    }

    #[test]
    fn an_address_at_which_no_engine_can_be_is_named() {
        let tcp = ("tcp://127.0.0.1:1", "", "");
        for (said, host) in [
            (
                "unable to resolve docker endpoint: invalid bind address format: bogus://x",
                "bogus://x",
            ),
            (
                "ssh host connection is not valid: invalid SSH URL: hostname is empty",
                "ssh://",
            ),
        ] {
            let what = format!("docker cannot look for an engine at {host} (DOCKER_HOST");
            check(
                said,
                (host, "", ""),
                &what,
                "`unset DOCKER_HOST` for this machine's engine",
            );
        }
        let said = "no answer within 60 seconds";
        let what = "takes connections and does not answer";
        check(
            said,
            ("", "", ""),
            what,
            "restart it: `sudo service docker restart`",
        );
        check(
            said,
            tcp,
            what,
            "restart it where it is; or `unset DOCKER_HOST` for this machine's engine",
        );
        let socket = "tcp://localhost:2375/var/run/docker.sock";
        let hint =
            "write the address of a socket as unix:///var/run/docker.sock; or `unset DOCKER_HOST`";
        check("", (socket, "", ""), "does not answer", hint);
        let other = "request returned 404 Not Found for API route and version http://127.0.0.1:1/v1.50/version, \
                     check if the server supports the requested API version";
        check(other, tcp, "is not a Docker engine", "`unset DOCKER_HOST`");
        let page = "invalid character 'h' looking for beginning of value";
        check(page, tcp, "is not a Docker engine", "`unset DOCKER_HOST`");
    }

    #[test]
    fn a_context_that_is_gone_is_named() {
        let gone = "Failed to initialize: unable to resolve docker endpoint: context \"gone\": context not found: open \
                    /root/.docker/contexts/meta/2/meta.json: no such file or directory";
        let what = "the Docker context gone does not exist";
        check(gone, ("", "gone", ""), what, "`unset DOCKER_CONTEXT`");
        check(gone, ("", "", "gone"), what, "`docker context use default`");
    }

    #[test]
    fn tls_and_versions_that_do_not_fit_are_told_apart() {
        let tls = "`unset DOCKER_TLS_VERIFY";
        for said in [
            "Failed to initialize: unable to resolve docker endpoint: open /root/.docker/ca.pem: no such file or directory",
            "error during connect: Get \"https://127.0.0.1:2376/v1.45/version\": http: server gave HTTP response to HTTPS client",
            "Error response from daemon: Client sent an HTTP request to an HTTPS server.",
        ] {
            check(said, NOBODY, "do not agree on TLS", tls);
        }
        let new = "Error response from daemon: client version 1.52 is too new. Maximum supported API version is 1.41";
        check(
            new,
            NOBODY,
            "older than the docker command",
            "upgrade the engine",
        );
        let old = "Error response from daemon: client version 1.12 is too old. Minimum supported API version is 1.24, \
                   please upgrade your client to a newer version";
        check(
            old,
            NOBODY,
            "docker command is older",
            "`unset DOCKER_API_VERSION`",
        );
        let paused = "Error response from daemon: Docker Desktop is manually paused. Unpause it through the Whale menu or Dashboard.";
        check(paused, NOBODY, "Docker Desktop is paused", "resume it");
    }

    #[test]
    fn the_group_helps_only_with_this_machine_s_socket() {
        let said = "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock";
        assert_eq!(explained(said, NOBODY).kind, Kind::NotPermitted);
        let elsewhere = explained(said, ("unix:///srv/docker.sock", "", ""));
        assert_eq!(elsewhere.kind, Kind::Misconfigured);
    }
}
