//! Which engine docker asks, who chose it, and what starts it. Must never look itself.

use std::fmt;

/// Who says which engine is asked. docker goes by the first that there is (docker/cli 29,
/// cli/command/cli.go, read 2026-11-25).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chooser {
    /// DOCKER_HOST in the shell.
    HostVariable,
    /// DOCKER_CONTEXT in the shell, with the context's name.
    ContextVariable(String),
    /// The context that was taken into use, with its name.
    CurrentContext(String),
    /// TARGET in the env file of production.
    Target(Target),
    Nobody,
}

/// The engine that an env file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one that docker asks anyway.
    Current,
    /// `ssh://…`, `tcp://…`, `unix://…`
    Address(String),
    /// A Docker context, by its name.
    Context(String),
}

impl Target {
    /// Reads what TARGET says.
    pub fn parse(text: &str) -> Target {
        match text.trim() {
            "" => Target::Current,
            address if address.contains("://") => Target::Address(address.to_owned()),
            name => Target::Context(name.to_owned()),
        }
    }

    /// The variable of docker's environment that chooses it, with its value.
    pub fn variable(&self) -> Option<(&'static str, &str)> {
        match self {
            Target::Current => None,
            Target::Address(address) => Some(("DOCKER_HOST", address)),
            Target::Context(name) => Some(("DOCKER_CONTEXT", name)),
        }
    }

    /// The machine that an address names.
    pub fn host(&self) -> Option<&str> {
        let Target::Address(address) = self else {
            return None;
        };
        let (scheme, rest) = address.split_once("://")?;
        let host = rest.split('/').next()?.rsplit('@').next()?;
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
        (scheme != "unix" && !host.is_empty()).then_some(host)
    }

    /// A docker command as a user would type it for this engine.
    pub fn render_command(&self, arguments: &str) -> String {
        match self {
            Target::Current => format!("docker {arguments}"),
            Target::Address(address) => format!("docker --host {address} {arguments}"),
            Target::Context(name) => format!("docker --context {name} {arguments}"),
        }
    }
}

/// An engine as docker asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `unix:///var/run/docker.sock`, `ssh://…`, `tcp://…`; empty where docker does not know it.
    pub address: String,
    pub chooser: Chooser,
}

/// What starts an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The system's own service.
    Service,
    /// A command that needs no other rights.
    Command(&'static str),
    /// Nothing that can be run from here, but this can be done.
    ByHand(&'static str),
    /// It is elsewhere, or not known.
    Unknown,
}

/// What a machine is like, as far as it matters for Docker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `std::env::consts::OS`
    pub os: &'static str,
    pub has_systemd: bool,
    pub has_colima: bool,
}

impl Endpoint {
    /// `host` and `context` are DOCKER_HOST and DOCKER_CONTEXT, `current` is the name of the current context
    /// and `address` the engine's, as far as docker tells them.
    pub fn of(
        host: Option<String>,
        context: Option<String>,
        current: String,
        address: String,
    ) -> Endpoint {
        let is_set = |value: &String| !value.is_empty();
        let host = host.filter(is_set);
        let chooser = match (&host, context.filter(is_set)) {
            (Some(_), _) => Chooser::HostVariable,
            (None, Some(name)) => Chooser::ContextVariable(name),
            (None, None) if matches!(current.as_str(), "" | "default") => Chooser::Nobody,
            (None, None) => Chooser::CurrentContext(current),
        };
        let address = match host {
            Some(host) if address.is_empty() => host,
            _ => address,
        };
        Endpoint { address, chooser }
    }

    /// What starts the engine at this address.
    pub fn start(&self, machine: &Machine) -> Start {
        if self.address.is_empty() && self.chooser == Chooser::Nobody {
            return machine.start();
        }
        let Some(socket) = self.address.strip_prefix("unix://") else {
            return match machine.os {
                "windows" => Start::ByHand("start Docker Desktop"),
                _ => Start::Unknown,
            };
        };
        let is_mac = machine.os == "macos";
        match socket {
            _ if socket.contains("/.colima/") => Start::Command("colima start"),
            _ if socket.contains("/.orbstack/") => Start::Command("orb start"),
            _ if socket.contains("/.rd/") => Start::ByHand("start Rancher Desktop"),
            _ if socket.contains("/.docker/") && is_mac => Start::Command("open -a Docker"),
            _ if socket.contains("/.docker/") => {
                Start::Command("systemctl --user start docker-desktop")
            }
            _ if socket.contains("podman") => Start::Unknown,
            _ if socket.starts_with("/run/user/") => {
                Start::Command("systemctl --user start docker")
            }
            "/var/run/docker.sock" | "/run/docker.sock" => machine.start(),
            _ => Start::Unknown,
        }
    }

    /// What makes docker ask this machine's own engine again.
    pub fn way_back(&self) -> Option<&'static str> {
        match self.chooser {
            Chooser::HostVariable => Some("`unset DOCKER_HOST`"),
            Chooser::ContextVariable(_) => Some("`unset DOCKER_CONTEXT`"),
            Chooser::CurrentContext(_) => Some("`docker context use default`"),
            Chooser::Target(_) | Chooser::Nobody => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if !self.address.is_empty() {
            write!(f, " at {}", self.address)?;
        }
        match &self.chooser {
            Chooser::HostVariable => f.write_str(" (DOCKER_HOST in your shell)"),
            Chooser::ContextVariable(name) => write!(f, " (DOCKER_CONTEXT={name} in your shell)"),
            Chooser::CurrentContext(name) => write!(f, " (the current context, {name})"),
            Chooser::Target(Target::Context(name)) => {
                write!(f, " (TARGET={name} in deploy/production/.env)")
            }
            Chooser::Target(_) => f.write_str(" (TARGET in deploy/production/.env)"),
            Chooser::Nobody => Ok(()),
        }
    }
}

impl Machine {
    /// What starts the engine that this machine has by default.
    pub fn start(&self) -> Start {
        match self.os {
            "macos" if self.has_colima => Start::Command("colima start"),
            "macos" => Start::Command("open -a Docker"),
            "windows" => Start::ByHand("start Docker Desktop"),
            _ => Start::Service,
        }
    }

    /// The command that starts the system's own service; it takes an administrator.
    pub fn service_command(&self) -> &'static str {
        match self {
            Machine {
                has_systemd: true, ..
            } => "systemctl enable --now docker",
            _ => "service docker start",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINUX: Machine = Machine {
        os: "linux",
        has_systemd: true,
        has_colima: false,
    };
    const MAC: Machine = Machine {
        os: "macos",
        has_systemd: false,
        has_colima: false,
    };

    fn endpoint(host: &str, context: &str, current: &str, address: &str) -> Endpoint {
        let own = |text: &str| Some(text.to_owned());
        Endpoint::of(
            own(host),
            own(context),
            current.to_owned(),
            address.to_owned(),
        )
    }

    #[test]
    fn the_first_that_chooses_is_named() {
        let all = endpoint("tcp://a:1", "there", "other", "");
        assert_eq!(all.to_string(), " at tcp://a:1 (DOCKER_HOST in your shell)");
        let context = endpoint("", "there", "other", "ssh://a");
        let words = " at ssh://a (DOCKER_CONTEXT=there in your shell)";
        assert_eq!(context.to_string(), words);
        let current = endpoint("", "", "other", "unix:///x");
        let words = " at unix:///x (the current context, other)";
        assert_eq!(current.to_string(), words);
        let none = endpoint("", "", "default", "unix:///x");
        assert_eq!(none.to_string(), " at unix:///x");
    }

    #[test]
    fn a_target_is_an_address_a_context_or_what_is_asked_anyway() {
        #[track_caller]
        fn check(text: &str, variable: Option<(&str, &str)>, command: &str) {
            let target = Target::parse(text);
            assert_eq!(target.variable(), variable);
            assert_eq!(target.render_command("node ls"), command);
        }
        let host = |text| Target::parse(text).host().map(str::to_owned);
        assert_eq!(host("ssh://me@there:2222").as_deref(), Some("there"));
        assert_eq!(host("unix:///run/docker.sock"), None);
        check("", None, "docker node ls");
        check(
            "ssh://me@there",
            Some(("DOCKER_HOST", "ssh://me@there")),
            "docker --host ssh://me@there node ls",
        );
        check(
            "vps",
            Some(("DOCKER_CONTEXT", "vps")),
            "docker --context vps node ls",
        );
    }

    #[test]
    fn each_engine_is_started_in_its_own_way() {
        let start = |address: &str, machine| endpoint("", "", "", address).start(machine);
        for socket in ["unix:///var/run/docker.sock", "unix:///run/docker.sock", ""] {
            assert_eq!(start(socket, &LINUX), Start::Service);
        }
        for (address, machine, command) in [
            (
                "unix:///run/user/1000/docker.sock",
                &LINUX,
                "systemctl --user start docker",
            ),
            (
                "unix:///home/me/.docker/desktop/docker.sock",
                &LINUX,
                "systemctl --user start docker-desktop",
            ),
            (
                "unix:///Users/me/.docker/run/docker.sock",
                &MAC,
                "open -a Docker",
            ),
            (
                "unix:///Users/me/.colima/default/docker.sock",
                &MAC,
                "colima start",
            ),
            (
                "unix:///Users/me/.orbstack/run/docker.sock",
                &MAC,
                "orb start",
            ),
        ] {
            assert_eq!(
                start(address, machine),
                Start::Command(command),
                "{address}"
            );
        }
        for elsewhere in [
            "tcp://127.0.0.1:1",
            "ssh://me@there",
            "unix:///tmp/tunnel.sock",
            "unix:///run/user/1000/podman/podman.sock",
        ] {
            assert_eq!(start(elsewhere, &LINUX), Start::Unknown, "{elsewhere}");
        }
    }
}
