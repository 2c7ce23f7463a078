//! A hosts file that no other writer changes meanwhile, if it takes the same lock. Must never write.

use std::fs::{self, File, Metadata, TryLockError};
use std::io::{self, ErrorKind, Read, Seek};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::hosts::platform::render_command;
use crate::problem::Problem;
use crate::terminal::say;

/// How long another writer may hold the lock.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// An open hosts file under our lock, which ends with this value or with the process.
pub struct Locked<'a> {
    pub file: File,
    /// As it was when the lock was taken.
    pub metadata: Metadata,
    target: &'a Path,
}

impl Locked<'_> {
    /// Waits for other writers. The lock is on the file itself, which root and user can both open.
    ///
    /// # Errors
    /// When the file cannot be opened, or somebody holds the lock for [`TIMEOUT`].
    pub fn open(target: &Path) -> anyhow::Result<Locked<'_>> {
        let file = File::open(target)?;
        lock(&file, target)?;
        let metadata = file.metadata()?;
        Ok(Locked {
            file,
            metadata,
            target,
        })
    }

    /// Whether somebody put another file in its place, or wrote to it.
    pub fn is_outdated(&self) -> io::Result<bool> {
        Ok(identity(&self.metadata) != identity(&fs::metadata(self.target)?))
    }

    pub fn contents(&mut self) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.file.rewind()?;
        self.file.read_to_end(&mut text)?;
        Ok(text)
    }

    /// Whether it says this. Compares piece by piece: a second copy of a long blocklist would only cost
    /// memory.
    pub fn says(&mut self, expected: &[u8]) -> io::Result<bool> {
        let mut rest = expected;
        let mut piece = vec![0; 64 * 1024];
        self.file.rewind()?;
        loop {
            let length = match self.file.read(&mut piece) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                length => length?,
            };
            if length == 0 {
                return Ok(rest.is_empty());
            }
            match rest.split_at_checked(length) {
                Some((same, further)) if *same == piece[..length] => rest = further,
                _ => return Ok(false),
            }
        }
    }
}

fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        // Some network filesystems have no locks; that is no reason not to work.
        Err(TryLockError::Error(error)) => {
            say!("continuing without a lock on {}: {error}", path.display());
            return Ok(());
        }
    }

    let (sender, receiver) = mpsc::channel();
    let shared = file.try_clone()?;
    thread::spawn(move || sender.send(shared.lock()));
    let locked = receiver.recv_timeout(TIMEOUT);
    locked
        .map_err(|_| anyhow!(held(path)))?
        .context("locking it")
}

fn held(path: &Path) -> Problem {
    let what = format!(
        "another program has held its lock for {} s",
        TIMEOUT.as_secs()
    );
    let fuser = render_command(&["fuser".to_owned(), path.display().to_string()]);
    Problem::new(what).hint(format!("find that program: `{fuser}`"))
}

/// Differs when the file was replaced or written to.
#[cfg(unix)]
fn identity(metadata: &Metadata) -> impl PartialEq + use<> {
    use std::os::unix::fs::MetadataExt;
    let (seconds, nanoseconds) = (metadata.mtime(), metadata.mtime_nsec());
    (
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        seconds,
        nanoseconds,
    )
}

#[cfg(not(unix))]
fn identity(metadata: &Metadata) -> impl PartialEq + use<> {
    (metadata.len(), metadata.modified().ok())
}
