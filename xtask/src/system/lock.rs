//! A lock between processes, held on a file that nobody reads.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::process::Stdio;

use anyhow::Context;

use super::files;
use crate::terminal::say;

/// Held by whoever changes a stack; others wait. It ends with the last process that has it.
pub struct Lock(File);

impl Lock {
    /// Waits for other commands that have locked the file at `path`, and says so.
    ///
    /// The file is only opened for reading, so that a lock works in a checkout that cannot be written to.
    ///
    /// # Errors
    /// When the file is not there or cannot be read.
    pub fn acquire(path: &Path) -> anyhow::Result<Lock> {
        let file = File::open(path).map_err(|error| files::explain(path, error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say!("waiting for another `cargo xtask` that is changing this stack");
                file.lock()
                    .with_context(|| format!("locking {}", path.display()))?;
            }
            // Some network filesystems have no locks; that is no reason not to work.
            Err(TryLockError::Error(error)) => {
                say!("continuing without a lock on {}: {error}", path.display());
            }
        }
        Ok(Lock(file))
    }

    /// The lock as a child's stdin: the child keeps it if this process is killed.
    ///
    /// # Errors
    /// When the system has no file descriptor left.
    pub fn share(&self) -> anyhow::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone().context("sharing the lock")?))
    }
}
