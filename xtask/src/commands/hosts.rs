//! `hosts`: makes the env file's hostnames lead to this machine, without harming the hosts file.

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};

use crate::checkout::Checkout;
use crate::cli::{Hosts, HostsAsRoot};
use crate::commands::Outcome;
use crate::hosts::check::{check, hostnames, platform_of, system_file};
use crate::hosts::edit::{self as hosts, Hostname, Mapping, Plan, Refusal};
use crate::hosts::elevation;
use crate::hosts::file::{self as hosts_file, Change};
use crate::hosts::platform::Platform;
use crate::system::folders;
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
    let copies = folders::state_folder()?.join("hosts");
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
