//! Copies of a hosts file as it was before each change.
//!
//! Must never delete the first copy, which is from before we ever touched the file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use anyhow::anyhow;

use crate::hosts::platform::render_command;
use crate::problem::Problem;
use crate::system::clock;
use crate::terminal::say;
use crate::terminal::text;

const KEPT: usize = 5;

/// Keeps a copy of the file as it was, its mode included, below the folder `copies`, and says where. Of
/// many copies the first stays, and the newest.
///
/// # Errors
/// When the copy cannot be written.
pub fn keep(target: &Path, before: &[u8], copies: &Path) -> anyhow::Result<()> {
    let folder = folder_of(target, copies);
    let path = folder.join(text::render_file_timestamp(clock::since_1970()));
    let failed = |error| failed(&folder, copies, &error);

    fs::create_dir_all(&folder).map_err(failed)?;
    write(&path, before, target).map_err(failed)?;
    say!("keeping a copy of {}: {}", target.display(), path.display());
    remove_old(&folder).map_err(failed)
}

/// Each file has a folder of its own, by its whole path.
fn folder_of(target: &Path, copies: &Path) -> PathBuf {
    let own = target
        .components()
        .filter(|component| matches!(component, Component::Normal(_)));
    copies.components().chain(own).collect()
}

fn write(path: &Path, before: &[u8], target: &Path) -> io::Result<()> {
    let written = File::create_new(path).and_then(|mut file| {
        file.write_all(before)?;
        file.set_permissions(fs::metadata(target)?.permissions())
    });
    written.inspect_err(|_| drop(fs::remove_file(path)))
}

fn remove_old(folder: &Path) -> io::Result<()> {
    let entries = fs::read_dir(folder)?;
    let mut copies = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<PathBuf>>>()?;
    copies.sort();
    while copies.len() > KEPT {
        // Another process may have taken it already.
        let _ = fs::remove_file(copies.remove(1));
    }
    Ok(())
}

/// No matter of the hosts file's own permissions, so the system's error is not handed on.
fn failed(folder: &Path, copies: &Path, error: &io::Error) -> anyhow::Error {
    let what = format!("no copy can be kept in {}: {error}", folder.display());
    let problem = Problem::new(what);
    if error.kind() != ErrorKind::PermissionDenied {
        return anyhow!(problem);
    }
    anyhow!(
        problem.hint(match copies.parent().filter(|own| own.is_dir()) {
            // An earlier `sudo cargo xtask hosts` made it, where sudo leaves HOME as it is.
            Some(own) => format!(
                "make the folder yours: `sudo chown -R \"$(id -u):$(id -g)\" {}`",
                render_command(&[own.display().to_string()])
            ),
            None => "set XDG_STATE_HOME to a folder that you can write to".to_owned(),
        })
    )
}
