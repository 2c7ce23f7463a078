//! `hosts`: maps the hostnames of `.env` to this machine, without harming the hosts file.

use std::time::Duration;

use anyhow::{anyhow, bail};

use crate::checkout::Checkout;
use crate::cli::{Hosts, HostsAsRoot};
use crate::commands::Outcome;
use crate::hosts::edit::{Plan, Wanted};
use crate::hosts::file::{self, Change, Copies, Planned};
use crate::hosts::hostname::Hostname;
use crate::hosts::location::HostsFile;
use crate::hosts::platform::Platform;
use crate::hosts::{block, check, configured, copies, elevation};
use crate::problem::Problem;
use crate::system::folders;
use crate::terminal::{self, say};

/// How long the resolver may take with `--check`.
const PATIENCE: Duration = Duration::from_secs(3);

pub fn run(checkout: &Checkout, options: &Hosts) -> anyhow::Result<Outcome> {
    if options.print {
        let names = local_names(checkout)?;
        if !names.is_empty() {
            terminal::print(&block::render(&names))?;
        }
        return Ok(Outcome::Done);
    }
    if options.check {
        let check = check::check(checkout, options.file.as_deref(), PATIENCE)?;
        terminal::print(&check.to_string())?;
        return Ok(if check.leads_here() {
            Outcome::Done
        } else {
            Outcome::NotDone
        });
    }
    change(checkout, options)
}

fn change(checkout: &Checkout, options: &Hosts) -> anyhow::Result<Outcome> {
    let file = HostsFile::find(options.file.as_deref())?;
    let path = file.path.display();
    let Some(wanted) = wanted(checkout, options)? else {
        say!("nothing to do: no hostname in .env belongs in a hosts file");
        return Ok(Outcome::Done);
    };
    let before = file.contents()?;
    let edit = match file.plan(&before, &wanted)? {
        Plan::Change(edit) => edit,
        Plan::Nothing(mappings) => {
            say!("already up to date: {path} {}", wanted.describe(&mappings));
            if let Some(warning) = file.warning(&before, &wanted) {
                terminal::say_warning(&warning);
            }
            return Ok(Outcome::Done);
        }
    };

    if file.is_made_by_nixos() {
        return leave_to_nixos(&file, &wanted);
    }
    let planned = Planned {
        before: &before,
        edit: &edit,
    };
    announce(&file, &wanted, planned);
    if !options.yes && !terminal::ask("Make this change?")? {
        say!("leaving {path} unchanged");
        return Ok(Outcome::NotDone);
    }

    let folder = folders::state_folder()?.join("hosts");
    match file::change(&file.target, &wanted, Some(planned), Copies::Below(&folder))? {
        Change::Written | Change::Unneeded => {}
        Change::NotPermitted => {
            copies::keep(&file.target, &before, &folder)?;
            elevation::change(&file, &wanted)?;
        }
    }

    say!("changed {path}: it {}", wanted.describe(&[]));
    Ok(Outcome::Done)
}

/// What will be changed, and what the user should know before.
fn announce(file: &HostsFile, wanted: &Wanted, planned: Planned) {
    if file.platform == Platform::Wsl {
        say!("using Windows' hosts file, since the browser outside of WSL uses it");
    }
    let edit = planned.edit.render(planned.before);
    say!(
        "proposing a change to {}, {}",
        file.path.display(),
        edit.trim_end()
    );
    if let Some(warning) = file.warning(planned.before, wanted) {
        terminal::say_warning(&warning);
    }
}

fn leave_to_nixos(file: &HostsFile, wanted: &Wanted) -> anyhow::Result<Outcome> {
    let path = file.path.display();
    match wanted {
        Wanted::Mapped(names) => {
            say!("NixOS makes {path} from its configuration; add these lines there and rebuild:");
            terminal::print(&block::render_nixos(names))?;
        }
        Wanted::Removed => {
            say!("NixOS makes {path} from its configuration; remove the block there and rebuild");
        }
    }
    Ok(Outcome::NotDone)
}

/// A block can be taken out whatever the env file says by now. Nothing where no name is to be mapped.
fn wanted(checkout: &Checkout, options: &Hosts) -> anyhow::Result<Option<Wanted>> {
    if options.remove {
        return Ok(Some(Wanted::Removed));
    }
    let names = local_names(checkout)?;
    Ok((!names.is_empty()).then_some(Wanted::Mapped(names)))
}

/// The names that belong in a hosts file: there, a public one would hide its DNS record from this machine.
fn local_names(checkout: &Checkout) -> anyhow::Result<Vec<Hostname>> {
    let names = configured::hostnames(checkout)?;
    let (local, public): (Vec<_>, Vec<_>) = names.into_iter().partition(Hostname::is_local);
    for name in public {
        say!("leaving out {name}: a public name needs a DNS record, not the hosts file");
    }
    Ok(local)
}

/// The elevated step: the same checks on the file as it is by now, then the same change.
pub fn run_as_root(options: &HostsAsRoot) -> anyhow::Result<Outcome> {
    terminal::print(elevation::STARTED)?;
    let names = options.names.iter().map(|name| parse(name));
    let names = names.collect::<anyhow::Result<Vec<_>>>()?;
    let wanted = if names.is_empty() {
        Wanted::Removed
    } else {
        Wanted::Mapped(names)
    };
    let file = HostsFile::find(Some(&options.file))?;

    match file::change(&file.target, &wanted, None, Copies::Kept)? {
        Change::Written | Change::Unneeded => Ok(Outcome::Done),
        Change::NotPermitted => bail!(
            "{} was not changed: the system does not permit it, even to an administrator",
            file.path.display()
        ),
    }
}

fn parse(name: &str) -> anyhow::Result<Hostname> {
    let problem = |reason| Problem::new(format!("{name:?} is not a hostname: {reason}"));
    Hostname::parse(name).map_err(|reason| anyhow!(problem(reason)))
}
