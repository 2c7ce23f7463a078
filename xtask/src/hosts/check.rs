//! What leads where: each hostname of the env file by the hosts file and by the system's resolver.
//!
//! Must never change anything.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use crate::checkout::Checkout;
use crate::hosts::block;
use crate::hosts::configured;
use crate::hosts::hostname::{self, Hostname};
use crate::hosts::location::{HostsFile, Origin};
use crate::hosts::platform::Platform;
use crate::hosts::scan::{self, Mapping};
use crate::system::resolver;
use crate::terminal::say;

/// What leads where, a hostname an entry.
pub struct Check {
    pub hostnames: Vec<HostnameCheck>,
    path: PathBuf,
}

pub struct HostnameCheck {
    pub hostname: Hostname,
    /// What the file says, line by line.
    mappings: Vec<Mapping>,
    resolver: Resolver,
}

/// What the system's resolver said of a hostname.
enum Resolver {
    /// Nothing if it does not know the name, or was late.
    Answered(Vec<IpAddr>),
    /// It does not go by this file.
    NotAsked,
}

/// Looks where the env file's hostnames lead. The resolver gets `patience` to answer.
///
/// # Errors
/// When the env file has no hostnames, or the hosts file cannot be read or has half a block.
pub fn check(
    checkout: &Checkout,
    file: Option<&Path>,
    patience: Duration,
) -> anyhow::Result<Check> {
    let file = HostsFile::find(file)?;
    let names = configured::hostnames(checkout)?;
    let scan = scan::scan(&file.contents()?, &names);
    let mappings = scan
        .with_context(|| file.path.display().to_string())?
        .mappings;
    let resolvers = ask(&file, &names, patience);

    let check = |(hostname, resolver): (Hostname, Resolver)| HostnameCheck {
        mappings: mappings
            .iter()
            .filter(|mapping| mapping.name == hostname)
            .cloned()
            .collect(),
        hostname,
        resolver,
    };
    Ok(Check {
        hostnames: names.into_iter().zip(resolvers).map(check).collect(),
        path: file.path,
    })
}

/// Says that hostnames which belong in the hosts file do not resolve to this machine, if so. A slow
/// resolver must not keep anyone waiting.
pub fn mention(checkout: &Checkout) {
    let Ok(check) = check(checkout, None, Duration::from_millis(300)) else {
        return;
    };
    let missing = check.missing();
    if !missing.is_empty() {
        say!(
            "run `cargo xtask hosts` to open the applications by name: {} {} not resolve to this machine yet",
            hostname::join(&missing),
            if missing.len() == 1 { "does" } else { "do" }
        );
    }
}

fn ask(file: &HostsFile, names: &[Hostname], patience: Duration) -> Vec<Resolver> {
    if file.origin == Origin::Named || file.platform == Platform::Wsl {
        return names.iter().map(|_| Resolver::NotAsked).collect();
    }
    let answers = resolver::resolve(names.iter().map(Hostname::to_string), patience);
    answers.into_iter().map(Resolver::Answered).collect()
}

impl Check {
    /// Whether all hostnames do.
    pub fn leads_here(&self) -> bool {
        self.hostnames.iter().all(HostnameCheck::leads_here)
    }

    /// The hostnames for which `cargo xtask hosts` is the remedy: those that do not lead here, and that no
    /// DNS record could lead here.
    pub fn missing(&self) -> Vec<Hostname> {
        let checks = self.hostnames.iter();
        let missing = checks.filter(|check| !check.leads_here() && check.hostname.is_local());
        missing.map(|check| check.hostname.clone()).collect()
    }
}

impl HostnameCheck {
    /// Whether a browser that looks for this hostname reaches the stack.
    pub fn leads_here(&self) -> bool {
        match &self.resolver {
            Resolver::Answered(addresses) => block::is_this_machine(addresses),
            Resolver::NotAsked => {
                let addresses = self.mappings.iter().map(|mapping| mapping.address);
                block::is_this_machine(&addresses.collect::<Vec<_>>())
            }
        }
    }

    fn verdict(&self) -> &'static str {
        if self.leads_here() {
            "resolves to this machine"
        } else if self.hostname.is_local() {
            "does not resolve to this machine; run `cargo xtask hosts`"
        } else {
            "does not resolve to 127.0.0.1; a public name needs a DNS record, not the hosts file"
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for check in &self.hostnames {
            let lines = check
                .mappings
                .iter()
                .map(|mapping| format!("{} (line {})", mapping.address, mapping.line));
            writeln!(f, "{} {}", check.hostname, check.verdict())?;
            writeln!(f, "  {}: {}", self.path.display(), or_nothing(lines))?;
            writeln!(f, "  system resolver: {}", check.resolver)?;
        }
        Ok(())
    }
}

impl fmt::Display for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Resolver::Answered(addresses) => {
                f.write_str(&or_nothing(addresses.iter().map(IpAddr::to_string)))
            }
            Resolver::NotAsked => f.write_str("not asked, since it does not read this file"),
        }
    }
}

fn or_nothing(parts: impl Iterator<Item = String>) -> String {
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "no address".to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(hostname: &str, resolver: Resolver) -> HostnameCheck {
        HostnameCheck {
            hostname: Hostname::parse(hostname).unwrap(),
            mappings: Vec::new(),
            resolver,
        }
    }

    fn answered(addresses: &[&str]) -> Resolver {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        Resolver::Answered(addresses.collect())
    }

    #[test]
    fn only_local_names_that_lead_elsewhere_are_missing_in_the_hosts_file() {
        let check = Check {
            hostnames: vec![
                checked("here.local", answered(&["127.0.0.1", "::1"])),
                checked("away.local", answered(&["10.0.0.1"])),
                checked("unknown.local", answered(&[])),
                checked("unmapped.local", Resolver::NotAsked),
                checked("stats.example.com", answered(&["203.0.113.5"])),
                checked("errors.example.com", answered(&[])),
            ],
            path: PathBuf::from("/etc/hosts"),
        };
        assert!(!check.leads_here());
        assert_eq!(
            hostname::join(&check.missing()),
            "away.local, unknown.local and unmapped.local"
        );
    }
}
