//! What can be done about an engine that is missing or stopped, as commands of this system. Must never run
//! them.

use crate::docker::endpoint::{Machine, Start};
use crate::docker::versions::Kind;
use crate::system::process::{Rights, Step};

/// What is known of the system.
#[derive(Debug)]
pub struct System<'a> {
    pub machine: Machine,
    /// The text of `/etc/os-release`.
    pub os_release: &'a str,
    pub user: &'a str,
}

impl System<'_> {
    /// The steps that mend a trouble, from the distribution's own packages; `None` where there are none.
    ///
    /// Package names as of Debian 13, Ubuntu 24.04, Fedora 42, Arch and Homebrew in 2026-11. Debian 12 has
    /// Compose v1 alone.
    pub fn steps(&self, kind: Kind) -> Option<Vec<Step>> {
        match (kind, self.machine.os) {
            (Kind::NotInstalled, "macos") => Some(install_with_homebrew()),
            (Kind::NotInstalled, "linux") => self.install(),
            (Kind::NotRunning(start), "macos" | "linux") => Some(vec![self.start(start)?]),
            (Kind::NotPermitted, "linux") if !matches!(self.user, "root" | "") => {
                let join = format!("usermod --append --groups docker {}", self.user);
                Some(vec![elevated(&join)])
            }
            _ => None,
        }
    }

    fn install(&self) -> Option<Vec<Step>> {
        let apt_get = |packages: &str| {
            let install = format!("apt-get install --yes {packages}");
            vec![elevated("apt-get update"), elevated(&install)]
        };
        let mut steps = match self.distribution()? {
            ("debian", Some(..13)) => return None,
            ("debian", _) => apt_get("docker.io docker-cli docker-compose"),
            ("ubuntu", _) => apt_get("docker.io docker-compose-v2"),
            ("fedora", _) => vec![elevated(
                "dnf install --assumeyes moby-engine docker-compose",
            )],
            ("arch", _) => vec![elevated(
                "pacman --sync --needed --noconfirm docker docker-compose",
            )],
            _ => return None,
        };
        steps.extend(self.start(self.machine.start()));
        Some(steps)
    }

    fn start(&self, start: Start) -> Option<Step> {
        match start {
            Start::Service => Some(elevated(self.machine.service_command())),
            Start::Command(command) => Some(own(command)),
            Start::ByHand(_) | Start::Unknown => None,
        }
    }

    /// The family of the distribution, and its own version where it is the family's head.
    fn distribution(&self) -> Option<(&'static str, Option<u32>)> {
        let value = |key: &str| {
            let line = self
                .os_release
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let (id, like) = (value("ID"), value("ID_LIKE"));
        let version = value("VERSION_ID")
            .split('.')
            .next()
            .and_then(|version| version.parse().ok());
        let known = ["debian", "ubuntu", "fedora", "arch"];
        if let Some(family) = known.into_iter().find(|family| *family == id) {
            return Some((family, version));
        }
        // The nearest relative stands first: Linux Mint is like ubuntu and debian.
        like.split(' ')
            .find_map(|like| known.into_iter().find(|family| *family == like))
            .map(|family| (family, None))
    }
}

fn install_with_homebrew() -> Vec<Step> {
    vec![
        own("brew install colima docker docker-compose"),
        own("mkdir -p ~/.docker/cli-plugins"),
        // Homebrew does not put it where docker looks for it.
        own(
            "ln -sfn $(brew --prefix)/opt/docker-compose/bin/docker-compose ~/.docker/cli-plugins/docker-compose",
        ),
        own("colima start --memory 4"),
    ]
}

fn elevated(command: &str) -> Step {
    Step {
        command: command.to_owned(),
        rights: Rights::Elevated,
    }
}

fn own(command: &str) -> Step {
    Step {
        command: command.to_owned(),
        rights: Rights::Own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(os_release: &str, kind: Kind, expected: &[&str]) {
        let system = System {
            machine: Machine {
                os: "linux",
                has_systemd: true,
                has_colima: false,
            },
            os_release,
            user: "me",
        };
        let steps = system.steps(kind).unwrap_or_default();
        assert_eq!(
            steps
                .iter()
                .map(|step| step.command.as_str())
                .collect::<Vec<_>>(),
            expected
        );
        assert!(steps.iter().all(|step| step.rights == Rights::Elevated));
    }

    #[test]
    fn installs_from_the_distribution_s_own_packages() {
        let start = "systemctl enable --now docker";
        let not = Kind::NotInstalled;
        let update = "apt-get update";
        let debian = "apt-get install --yes docker.io docker-cli docker-compose";
        check(
            "ID=debian\nVERSION_ID=\"13\"\n",
            not,
            &[update, debian, start],
        );
        check("ID=debian\n", not, &[update, debian, start]);
        check("ID=debian\nVERSION_ID=\"12\"\n", not, &[]);
        let ubuntu = "apt-get install --yes docker.io docker-compose-v2";
        check(
            "ID=ubuntu\nID_LIKE=debian\nVERSION_ID=\"24.04\"\n",
            not,
            &[update, ubuntu, start],
        );
        check(
            "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\nVERSION_ID=\"12\"\n",
            not,
            &[update, ubuntu, start],
        );
        check(
            "ID=fedora\n",
            not,
            &["dnf install --assumeyes moby-engine docker-compose", start],
        );
        let arch = "pacman --sync --needed --noconfirm docker docker-compose";
        check("ID=arch\n", not, &[arch, start]);
        check("ID=void\n", not, &[]);
        check("ID=void\n", Kind::NotRunning(Start::Service), &[start]);
        check("ID=void\n", Kind::Misconfigured, &[]);
        check(
            "",
            Kind::NotPermitted,
            &["usermod --append --groups docker me"],
        );
        check("ID=debian\n", Kind::TooOld, &[]);
    }
}
