//! `hosts`: makes the env file's hostnames lead to this machine, without harming the hosts file.

use std::env;
use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::checkout::Checkout;
use crate::cli::{Hosts, HostsAsRoot};
use crate::commands::Outcome;
use crate::env::dialect as env_file;
use crate::hosts::edit::{self as hosts, Hostname, Mapping, Plan, Refusal};
use crate::hosts::elevation;
use crate::hosts::file::{self as hosts_file, Change};
use crate::hosts::platform::Platform;
use crate::system;
use crate::terminal::{self, say};

pub fn run(project: &Checkout, options: &Hosts) -> anyhow::Result<Outcome> {
    if options.print {
        terminal::print(&hosts::render_block(&hostnames(project)?))?;
        return Ok(Outcome::Done);
    }
    if options.check {
        let check = check(project, options.file.as_deref(), Duration::from_secs(3))?;
        terminal::print(&check.to_string())?;
        return Ok(if check.leads_here() {
            Outcome::Done
        } else {
            Outcome::NotDone
        });
    }

    let path = options.file.clone().unwrap_or_else(system_file);
    // A block can be taken out whatever the env file says by now.
    let names = if options.remove {
        Vec::new()
    } else {
        hostnames(project)?
    };
    let target = hosts_file::resolve(&path)?;
    let before = fs::read(&target).with_context(|| format!("reading {}", path.display()))?;
    let plan = |text: &[u8]| plan(text, &names);
    let edit = match plan(&before).with_context(|| path.display().to_string())? {
        Plan::Change(edit) => edit,
        Plan::Nothing(mappings) => {
            say!("{}; nothing to do", describe(&path, &names, &mappings));
            return Ok(Outcome::Done);
        }
    };
    if target.starts_with("/nix/store") {
        say!(
            "NixOS makes {} from its configuration; put this there and rebuild:",
            path.display()
        );
        terminal::print(&hosts::render_nixos(&names))?;
        return Ok(Outcome::NotDone);
    }

    if platform_of(&path) == Platform::Wsl {
        say!("in WSL the browser goes by Windows' hosts file, so this is about that one");
    }
    say!("{}, {}", path.display(), edit.render(&before).trim_end());
    if !options.yes && !terminal::ask("Make this change?")? {
        say!("nothing was changed");
        return Ok(Outcome::NotDone);
    }
    let copies = system::state_folder()?.join("hosts");
    match hosts_file::change(&target, Some((&before, &edit)), plan, Some(&copies))? {
        Change::NotPermitted => {
            hosts_file::keep_copy(&target, &before, &copies)?;
            elevation::run(&step_as_root(&target, &names)?, platform_of(&target))?;
        }
        Change::Written | Change::Unneeded => {}
    }
    match names.as_slice() {
        [] => say!("our block is out of {}", path.display()),
        names => say!(
            "{} now maps {} to this machine",
            path.display(),
            join(names)
        ),
    }
    Ok(Outcome::Done)
}

/// The privileged step: the same checks on the file as it is by now, then the same change.
pub fn run_as_root(options: &HostsAsRoot) -> anyhow::Result<Outcome> {
    terminal::print(elevation::STARTED)?;
    let parse = |name: &String| {
        Hostname::parse(name).map_err(|reason| anyhow!("{name:?} is no hostname: {reason}"))
    };
    let names = options
        .names
        .iter()
        .map(parse)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let target = hosts_file::resolve(&options.file)?;
    match hosts_file::change(&target, None, |text| plan(text, &names), None)? {
        Change::NotPermitted => {
            bail!(
                "{} was not changed: the system does not permit it, even elevated",
                target.display()
            )
        }
        Change::Written | Change::Unneeded => Ok(Outcome::Done),
    }
}

fn plan(text: &[u8], names: &[Hostname]) -> Result<Plan, Refusal> {
    if names.is_empty() {
        hosts::without_block(text)
    } else {
        hosts::with_block(text, names)
    }
}

fn step_as_root(target: &Path, names: &[Hostname]) -> anyhow::Result<Vec<String>> {
    let program = env::current_exe().context("looking for this program's own path")?;
    let text = |path: &Path| {
        path.to_str()
            .map(str::to_owned)
            .with_context(|| format!("{} is not UTF-8", path.display()))
    };
    let mut command = vec![
        text(&program)?,
        "hosts-as-root".to_owned(),
        "--file".to_owned(),
        text(target)?,
    ];
    command.extend(names.iter().map(Hostname::to_string));
    Ok(command)
}

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
        system::resolve(names.iter().map(Hostname::to_string), patience)
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

/// Why a file needs no change.
fn describe(path: &Path, names: &[Hostname], mappings: &[Mapping]) -> String {
    if names.is_empty() {
        return format!("{} has no block of ours", path.display());
    }
    let mut lines: Vec<String> = mappings
        .iter()
        .map(|mapping| mapping.line.to_string())
        .collect();
    lines.dedup();
    let remark = if mappings.iter().any(|mapping| mapping.address.is_ipv6()) {
        ""
    } else {
        " (macOS waits 5 s for .local names that have no ::1 as well)"
    };
    format!(
        "{} maps {} to this machine in line {}{remark}",
        path.display(),
        join(names),
        lines.join(", ")
    )
}

fn join(names: &[Hostname]) -> String {
    names
        .iter()
        .map(Hostname::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}

/// The hostnames of `.env`, or of its template while there is none.
fn hostnames(project: &Checkout) -> anyhow::Result<Vec<Hostname>> {
    let mut path = project.env_file();
    let text = match system::read_text(&path)? {
        Some(text) => text,
        None => {
            path = project.env_template();
            system::read_text(&path)?
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

fn system_file() -> PathBuf {
    let file = system::platform().hosts_file(env::var("SystemRoot").ok().as_deref());
    // WSL without Windows' drives has Linux' own.
    if system::platform() == Platform::Wsl && !file.exists() {
        PathBuf::from("/etc/hosts")
    } else {
        file
    }
}

/// Whose rules hold for a file: in WSL there are Windows' files and Linux' own.
fn platform_of(path: &Path) -> Platform {
    match system::platform() {
        Platform::Wsl if !path.starts_with("/mnt") => Platform::Unix,
        platform => platform,
    }
}
