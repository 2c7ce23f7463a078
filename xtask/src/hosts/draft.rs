//! Files that get their name when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A file for its owner alone (0600), under a name that nobody else uses. It is gone with this value, unless
/// it was given its final name.
pub struct Draft {
    file: File,
    path: PathBuf,
    is_placed: bool,
}

impl Draft {
    /// Makes an empty file.
    ///
    /// # Errors
    /// When there is such a file, or its folder cannot be written to.
    pub fn create(path: PathBuf) -> io::Result<Draft> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        Ok(Draft {
            file: options.open(&path)?,
            path,
            is_placed: false,
        })
    }

    pub fn file(&self) -> &File {
        &self.file
    }

    /// Puts it, whose content is on the disk (`sync_all`), in the place of `target`, a path in the same
    /// folder: whoever looks sees the old file or this one.
    ///
    /// # Errors
    /// When it cannot be renamed; `target` is then as it was. [`sync_folder`] is the caller's.
    pub fn replace(mut self, target: &Path) -> io::Result<()> {
        // Once it is in place another process may make a draft under the old name.
        self.is_placed = true;
        fs::rename(&self.path, target).inspect_err(|_| self.is_placed = false)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.is_placed {
            // The next one of its kind removes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes a rename in `folder` survive a power cut, where the system has such a thing.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}
