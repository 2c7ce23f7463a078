//! Files that get their name when they are whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use rand::distr::{Alphanumeric, SampleString};

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

    /// Makes an empty file in `folder` whose name begins with `prefix`.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn create_in(folder: &Path, prefix: &str) -> io::Result<Draft> {
        let suffix = Alphanumeric.sample_string(&mut rand::rng(), 12);
        Draft::create(folder.join(format!("{prefix}{suffix}")))
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

    /// Gives it, whose content is on the disk (`sync_all`), the name `target`, a path in the same folder.
    ///
    /// # Errors
    /// When `target` exists, which then stays as it is. [`sync_folder`] is the caller's.
    pub fn publish(self, target: &Path) -> io::Result<()> {
        match fs::hard_link(&self.path, target) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            // FAT and some network filesystems have no links.
            Err(_) if !target.try_exists()? => self.replace(target),
            Err(error) => Err(error),
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_draft_is_gone_unless_it_was_placed_and_never_takes_a_published_name() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("target");
        let drafted = |text: &str| {
            let draft = Draft::create_in(folder.path(), ".draft-").unwrap();
            draft.file().write_all(text.as_bytes()).unwrap();
            draft
        };
        drop(drafted("dropped"));
        drafted("first").publish(&target).unwrap();
        let taken = drafted("second").publish(&target).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&target).unwrap(), "first");

        drafted("third").replace(&target).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "third");
        drafted("fourth")
            .replace(&folder.path().join("missing/target"))
            .unwrap_err();
        let names = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        assert_eq!(names.collect::<Vec<_>>(), ["target"]);
    }
}
