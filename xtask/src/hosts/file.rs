//! Changes a hosts file: under a lock, in one step where the system has one, with a copy kept first.
//!
//! Must never leave half a file, nor write what was planned for a file that someone changed since.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{anyhow, bail};
use tempfile::{Builder, NamedTempFile};

use crate::hosts::attributes;
use crate::hosts::copies;
use crate::hosts::edit::{self, Edit, Plan, Wanted};
use crate::hosts::lock::{self, Locked};
use crate::hosts::platform::render_command;
use crate::problem::Problem;
use crate::system::files::sync_folder;
use crate::terminal;

/// How a change ended that met no error.
pub enum Change {
    Written,
    /// Someone else made it so in the meantime.
    Unneeded,
    /// The system does not let this user change the file; it is as it was.
    NotPermitted,
}

/// A content of the file and the edit that was planned for it.
#[derive(Clone, Copy)]
pub struct Planned<'a> {
    pub before: &'a [u8],
    pub edit: &'a Edit,
}

/// Where the file is kept as it was.
#[derive(Clone, Copy)]
pub enum Copies<'a> {
    Below(&'a Path),
    /// The caller has kept a copy.
    Kept,
}

/// Makes `target`, a file that is no symlink, as `wanted`. A file that has changed since it was `planned`
/// is planned anew.
///
/// # Errors
/// With the reason by its name, when the file cannot be changed; it is then as it was.
pub fn change(
    target: &Path,
    wanted: &Wanted,
    planned: Option<Planned>,
    copies: Copies,
) -> anyhow::Result<Change> {
    let start = Instant::now();
    while start.elapsed() < lock::TIMEOUT {
        match attempt(target, wanted, planned, copies) {
            Ok(Attempt::Ended(change)) => return Ok(change),
            Ok(Attempt::Overtaken) => {}
            Err(error) => return explain(target, error),
        }
    }
    bail!(
        "{} was not changed: other programs keep changing it",
        target.display()
    )
}

enum Attempt {
    Ended(Change),
    /// The file was changed under our hands; nothing was written.
    Overtaken,
}

fn attempt(
    target: &Path,
    wanted: &Wanted,
    planned: Option<Planned>,
    copies: Copies,
) -> anyhow::Result<Attempt> {
    let mut locked = Locked::open(target)?;
    // Whoever held the lock before us may have put another file here.
    if locked.is_outdated()? {
        return Ok(Attempt::Overtaken);
    }
    if locked.metadata.permissions().readonly() {
        return Err(read_only(target));
    }

    let fresh;
    let planned = match planned {
        Some(planned) if locked.says(planned.before)? => planned,
        _ => {
            fresh = Fresh::plan(locked.contents()?, wanted)?;
            match fresh.planned() {
                Some(planned) => planned,
                None => return Ok(Attempt::Ended(Change::Unneeded)),
            }
        }
    };

    let replacement = Replacement::prepare(&locked, target, planned)?;
    if let Copies::Below(folder) = copies {
        copies::keep(target, planned.before, folder)?;
    }
    if locked.is_outdated()? {
        return Ok(Attempt::Overtaken);
    }
    replacement.put(target, planned)?;
    Ok(Attempt::Ended(Change::Written))
}

fn read_only(target: &Path) -> anyhow::Error {
    let chmod = ["chmod", "u+w", &target.display().to_string()].map(str::to_owned);
    let hint = format!("make it writable: `{}`", render_command(&chmod));
    anyhow!(Problem::new("it is read-only").hint(hint))
}

/// A plan for what the file says by now.
struct Fresh {
    before: Vec<u8>,
    plan: Plan,
}

impl Fresh {
    fn plan(before: Vec<u8>, wanted: &Wanted) -> Result<Fresh, Problem> {
        let plan = edit::plan(&before, wanted)?;
        Ok(Fresh { before, plan })
    }

    fn planned(&self) -> Option<Planned<'_>> {
        match &self.plan {
            Plan::Change(edit) => Some(Planned {
                before: &self.before,
                edit,
            }),
            Plan::Nothing(_) => None,
        }
    }
}

/// What will be put in the place of the file, or nothing where it can only be written to.
enum Replacement {
    /// The whole new file, under another name in the same folder.
    Beside {
        file: NamedTempFile,
        /// What it should have of the old one and has not.
        warning: Option<Problem>,
    },
    InPlace,
}

impl Replacement {
    fn prepare(locked: &Locked, target: &Path, planned: Planned) -> io::Result<Replacement> {
        match write_beside(target, planned) {
            Ok(file) => {
                let warning = attributes::copy(&locked.file, file.as_file(), target)?;
                file.as_file().sync_all()?;
                Ok(Replacement::Beside { file, warning })
            }
            // `docker run --read-only` has a read-only /etc and a writable /etc/hosts.
            Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
                OpenOptions::new().write(true).open(target)?;
                Ok(Replacement::InPlace)
            }
            Err(error) => Err(error),
        }
    }

    fn put(self, target: &Path, planned: Planned) -> io::Result<()> {
        let Replacement::Beside { file, warning } = self else {
            return write_in_place(target, planned);
        };
        match file.persist(target) {
            Ok(_) => {
                // Whatever the sync says, whoever looks sees the new file.
                let _ = target.parent().map(sync_folder);
                if let Some(warning) = warning {
                    terminal::say_warning(&warning);
                }
                Ok(())
            }
            // A mount point, as /etc/hosts is in a container, can only be written to.
            Err(refused) if refused.error.kind() == ErrorKind::ResourceBusy => {
                write_in_place(target, planned)
            }
            Err(refused) => Err(refused.error),
        }
    }
}

fn write_beside(target: &Path, planned: Planned) -> io::Result<NamedTempFile> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(ErrorKind::InvalidFilename.into());
    };
    // One name for all: we hold the lock, so a file of that name is what a killed process left.
    let name = format!(".{}.xtask-new", name.display());
    match fs::remove_file(folder.join(&name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }

    let mut file = Builder::new()
        .prefix(&name)
        .rand_bytes(0)
        .tempfile_in(folder)?;
    for part in planned.edit.apply(planned.before) {
        file.write_all(part)?;
    }
    Ok(file)
}

/// Writes from the first byte that changes, and cuts off afterwards: a block that is added at the end is
/// one write, and no reader ever misses the lines above it. What fails is put back.
fn write_in_place(target: &Path, planned: Planned) -> io::Result<()> {
    let Planned { before, edit } = planned;
    let mut file = OpenOptions::new().write(true).open(target)?;
    let start = edit.range.start;
    let tail = [&edit.replacement, &before[edit.range.end..]].concat();
    write_from(&mut file, start, &tail).inspect_err(|_| {
        // The old bytes have their place on the disk already.
        let _ = write_from(&mut file, start, &before[start..]);
    })
}

fn write_from(file: &mut File, start: usize, tail: &[u8]) -> io::Result<()> {
    file.seek(SeekFrom::Start(start as u64))?;
    file.write_all(tail)?;
    file.set_len((start + tail.len()) as u64)?;
    file.sync_all()
}

/// Names what the system's error means for this file, or that it is a matter of permission.
fn explain(target: &Path, error: anyhow::Error) -> anyhow::Result<Change> {
    let path = target.display();
    let unchanged = |reason: &str| Problem::new(format!("{path} was not changed: {reason}"));
    let problem = match error.downcast_ref().map(io::Error::kind) {
        Some(ErrorKind::PermissionDenied) if attributes::is_immutable(target) => {
            let chattr = ["sudo", "chattr", "-ia", &path.to_string()].map(str::to_owned);
            let hint = format!("make it changeable: `{}`", render_command(&chattr));
            unchanged("it is immutable").hint(hint)
        }
        Some(ErrorKind::PermissionDenied) => return Ok(Change::NotPermitted),
        Some(ErrorKind::ReadOnlyFilesystem) => unchanged("it is on a read-only file system"),
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            unchanged("its disk is full").hint("free some disk space, then repeat the command")
        }
        _ => return Err(error.context(format!("{path} was not changed"))),
    };
    Err(anyhow!(problem))
}
