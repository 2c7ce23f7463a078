//! What leads where, by the hosts file and by the system's resolver. Only looks.

use std::env;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;

use super::edit::{self as hosts, Hostname, Mapping};
use super::file as hosts_file;
use super::platform::Platform;
use crate::checkout::Checkout;
use crate::env::dialect as env_file;
use crate::system::{files, resolver};
use crate::terminal::say;

/// What leads where, by the hosts file and by the system's resolver.
pub struct Check {
    pub hostnames: Vec<HostnameCheck>,
    path: PathBuf,
}

pub struct HostnameCheck {
    pub hostname: Hostname,
    /// What the file says, line by line.
    mappings: Vec<Mapping>,
    /// What the resolver answers, nothing if it does not know or is late; `None` where it does not go by
    /// this file.
    answer: Option<Vec<IpAddr>>,
}

/// Looks where the env file's hostnames lead; changes nothing. The resolver gets `patience` to answer.
///
/// # Errors
/// When the env file has no hostnames, or the hosts file cannot be read or has half a block.
pub fn check(project: &Checkout, file: Option<&Path>, patience: Duration) -> anyhow::Result<Check> {
    let path = file.map_or_else(system_file, Path::to_path_buf);
    let names = hostnames(project)?;
    let text = fs::read(hosts_file::resolve(&path)?)
        .with_context(|| format!("reading {}", path.display()))?;
    let mappings = hosts::mappings(&text, &names).with_context(|| path.display().to_string())?;
    let answers = if file.is_none() && platform_of(&path) != Platform::Wsl {
        resolver::resolve(names.iter().map(Hostname::to_string), patience)
            .into_iter()
            .map(Some)
            .collect()
    } else {
        vec![None; names.len()]
    };
    let hostnames = names
        .into_iter()
        .zip(answers)
        .map(|(hostname, answer)| HostnameCheck {
            mappings: mappings
                .iter()
                .filter(|mapping| mapping.name == hostname)
                .cloned()
                .collect(),
            hostname,
            answer,
        });
    Ok(Check {
        hostnames: hostnames.collect(),
        path,
    })
}

/// Says that the hostnames do not lead here, if so. A slow resolver must not keep anyone waiting.
pub fn mention(project: &Checkout) {
    if !check(project, None, Duration::from_millis(300)).is_ok_and(|check| check.leads_here()) {
        say!("the hostnames in .env do not lead here yet; `cargo xtask hosts` makes them");
    }
}

impl Check {
    /// Whether all hostnames do.
    pub fn leads_here(&self) -> bool {
        self.hostnames.iter().all(HostnameCheck::leads_here)
    }
}

impl HostnameCheck {
    /// Whether a browser that looks for this hostname reaches the stack.
    pub fn leads_here(&self) -> bool {
        let mapped = || {
            self.mappings
                .iter()
                .map(|mapping| mapping.address)
                .collect()
        };
        hosts::is_local(&self.answer.clone().unwrap_or_else(mapped))
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for check in &self.hostnames {
            let verdict = if check.leads_here() {
                "leads here"
            } else {
                "does not lead here; run `cargo xtask hosts`"
            };
            let lines = check
                .mappings
                .iter()
                .map(|mapping| format!("{} (line {})", mapping.address, mapping.line));
            let answer = match &check.answer {
                None => "not asked, it does not go by this file".to_owned(),
                Some(addresses) => or_nothing(addresses.iter().map(IpAddr::to_string)),
            };
            writeln!(f, "{} {verdict}", check.hostname)?;
            writeln!(f, "  {}: {}", self.path.display(), or_nothing(lines))?;
            writeln!(f, "  the system's resolver: {answer}")?;
        }
        Ok(())
    }
}

fn or_nothing(parts: impl Iterator<Item = String>) -> String {
    let text = parts.collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        text
    }
}

/// The hostnames of `.env`, or of its template while there is none.
pub fn hostnames(project: &Checkout) -> anyhow::Result<Vec<Hostname>> {
    let mut path = project.env_file();
    let text = match files::read_text(&path)? {
        Some(text) => text,
        None => {
            path = project.env_template();
            files::read_text(&path)?
                .with_context(|| format!("there is no {}", project.display(&path)))?
        }
    };
    let value = |key| {
        let value = env_file::value_of(&text, key).with_context(|| project.display(&path))?;
        value.with_context(|| {
            format!(
                "{} has no {key}; run `cargo xtask setup`",
                project.display(&path)
            )
        })
    };
    hosts::hostnames_from_env(&value("UMAMI_HOSTNAME")?, &value("GLITCHTIP_DOMAIN")?).map_err(
        |error| {
            let assignments = env_file::parse(&text).unwrap_or_default();
            let line = assignments
                .iter()
                .rfind(|a| a.key == error.variable)
                .map_or(0, |a| a.line);
            anyhow::Error::from(error).context(format!("{}, line {line}", project.display(&path)))
        },
    )
}

pub fn system_file() -> PathBuf {
    let file = platform().hosts_file(env::var("SystemRoot").ok().as_deref());
    // WSL without Windows' drives has Linux' own.
    if platform() == Platform::Wsl && !file.exists() {
        PathBuf::from("/etc/hosts")
    } else {
        file
    }
}

/// Whose rules hold for a file: in WSL there are Windows' files and Linux' own.
pub fn platform_of(path: &Path) -> Platform {
    match platform() {
        Platform::Wsl if !path.starts_with("/mnt") => Platform::Unix,
        platform => platform,
    }
}

/// The system that we run on.
fn platform() -> Platform {
    let kernel_release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Platform::of(env::consts::OS, &kernel_release)
}
