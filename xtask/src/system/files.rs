//! Files of the user: read whole, replaced whole, private where they must be.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tempfile::{Builder, NamedTempFile};

use crate::problem::Problem;

/// A file without its final name yet; gone with the value.
pub type Draft = NamedTempFile;

/// What a private file is called until it is whole.
const UNFINISHED: &str = ".env.new-";

/// Reads a text file; a missing one is `None`.
///
/// # Errors
/// When it cannot be read: with its owner and what to type. When it is not UTF-8: with the line, never
/// with what is in it.
pub fn read_text(path: &Path) -> anyhow::Result<Option<String>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_missing(&error) && !path.is_symlink() => return Ok(None),
        Err(error) => return Err(explain(path, error)),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            let what = format!("{}, line {line}: not UTF-8", path.display());
            bail!(Problem::new(what).hint("save the file as UTF-8, then repeat the command"))
        }
    }
}

/// Whether there is no such file: also when something else stands where its folder should be.
fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why a file cannot be read or written, with what to do about it.
pub fn explain(path: &Path, error: io::Error) -> anyhow::Error {
    let name = path.display();
    let quoted = quote(path);
    let problem = match error.kind() {
        io::ErrorKind::NotFound if path.is_symlink() => {
            Problem::new(format!("{name} is a link to a file that does not exist")).hint(format!(
                "make its target, or remove the link: `rm {quoted}`"
            ))
        }
        io::ErrorKind::IsADirectory => Problem::new(format!("{name} is a folder, not a file"))
            .hint(format!("move it away: `mv {quoted} {}`", quote(&old(path)))),
        io::ErrorKind::PermissionDenied => not_permitted(path, "read"),
        _ => return anyhow::Error::new(error).context(format!("reading {name}")),
    };
    anyhow::Error::new(error).context(problem)
}

/// Why nothing can be made in a folder, with what to do about it where that is known; else what was being done.
fn explain_unwritable(folder: &Path, error: io::Error, doing: String) -> anyhow::Error {
    let problem = match error.kind() {
        io::ErrorKind::PermissionDenied => not_permitted(folder, "write to"),
        io::ErrorKind::ReadOnlyFilesystem => {
            let name = folder.display();
            let what = format!("{name} is on a file system that is mounted read-only");
            Problem::new(what).hint("work in a checkout on a disk that you can write to")
        }
        _ => return anyhow::Error::new(error).context(doing),
    };
    anyhow::Error::new(error).context(problem)
}

/// Whose a file or folder is that we may not use. Where we may not even see it, a folder around it is closed.
#[cfg(unix)]
fn not_permitted(path: &Path, using: &str) -> Problem {
    use std::os::unix::fs::MetadataExt;

    let Ok(metadata) = fs::symlink_metadata(path) else {
        return closed(path);
    };
    let (name, quoted) = (path.display(), quote(path));
    if Some(metadata.uid()) == own_id() {
        return Problem::new(format!("the mode of {name} does not let you {using} it"))
            .hint(format!("allow it: `chmod u+rwX {quoted}`"));
    }
    let owner = match metadata.uid() {
        0 => "root".to_owned(),
        id => format!("the user with the id {id}"),
    };
    Problem::new(format!(
        "{name} belongs to {owner}, so you may not {using} it"
    ))
    .hint(format!(
        "give it to yourself: `sudo chown -R \"$(id -u):$(id -g)\" {quoted}`"
    ))
}

/// The folder around `path` that we may not look into.
#[cfg(unix)]
fn closed(path: &Path) -> Problem {
    let mut folders = path.ancestors().skip(1);
    let closed = folders.find(|it| fs::symlink_metadata(it).is_ok());
    let closed = closed.unwrap_or(Path::new("/"));
    Problem::new(format!("you may not look into {}", closed.display())).hint(format!(
        "work in a checkout of your own, or let others pass through: `sudo chmod a+x {}`",
        quote(closed)
    ))
}

/// Who runs this; known on Linux alone.
#[cfg(unix)]
fn own_id() -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    let own = cfg!(target_os = "linux").then(|| fs::metadata("/proc/self").ok());
    own.flatten().map(|metadata| metadata.uid())
}

#[cfg(not(unix))]
fn not_permitted(path: &Path, using: &str) -> Problem {
    Problem::new(format!("you may not {using} {}", path.display()))
}

/// The name for what is moved out of the way.
fn old(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".old");
    PathBuf::from(name)
}

/// A path as a shell takes it for one word.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// A new file for its owner alone (0600) in `folder`, with a name of its own; gone unless it is given a
/// final name.
///
/// # Errors
/// When the folder cannot be written to.
pub fn begin_private(folder: &Path, prefix: &str) -> anyhow::Result<Draft> {
    let made = Builder::new().prefix(prefix).tempfile_in(folder);
    let doing = format!("making a file in {}", folder.display());
    made.map_err(|error| explain_unwritable(folder, error, doing))
}

/// Replaces a private file in one step: whoever looks sees the old one or the new one, and nobody
/// else may read it (mode 0600). A symlink stays one; its target is replaced. The owner stays the same
/// when root writes it: that of the file, or of the folder for a new file.
///
/// # Errors
/// When the folder cannot be written to; the old file is then untouched.
pub fn replace_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            path.to_path_buf()
        }
        // A symlink to nowhere is somebody's intent; it is not replaced by a file.
        Err(error) => return Err(explain(path, error)),
    };
    let folder = target.parent().with_context(doing)?;

    let mut file = begin_private(folder, UNFINISHED).with_context(doing)?;
    file.write_all(text.as_bytes()).with_context(doing)?;
    keep_owner(file.as_file(), &target).with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;

    // Some editors and network drives hold the file for a moment; Windows then refuses the rename.
    file.persist(&target)
        .map_err(|refused| refused.error)
        .with_context(doing)?;
    sync_folder(folder).with_context(doing)
}

/// Gives a file the owner of the one that it replaces, or of its folder, where we may.
#[cfg(unix)]
pub fn keep_owner(file: &File, target: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let folder = target.parent().unwrap_or(target);
    let wanted = fs::metadata(target).or_else(|_| fs::metadata(folder))?;
    let made = file.metadata()?;
    if made.uid() == 0 && wanted.uid() != 0 {
        fchown(file, Some(wanted.uid()), Some(wanted.gid()))?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Gives a finished private file its name.
///
/// # Errors
/// When `target` exists, which then stays as it is.
pub fn publish(file: Draft, target: &Path) -> anyhow::Result<()> {
    let doing = || format!("writing {}", target.display());
    let folder = target.parent().with_context(doing)?;
    keep_owner(file.as_file(), target).with_context(doing)?;
    file.as_file().sync_all().with_context(doing)?;
    file.persist_noclobber(target)
        .map_err(|refused| refused.error)
        .with_context(doing)?;
    sync_folder(folder).with_context(doing)
}

/// A file without a name, which is gone with the last process that has it open.
///
/// # Errors
/// When there is no folder for temporary files, or it is full.
pub fn unnamed() -> io::Result<File> {
    tempfile::tempfile()
}

/// Makes a rename in `folder` survive a power cut, where the system has such a thing.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}

/// Makes a folder that nobody else may look into (0700); one that is there stays as it is. Its parent
/// must exist: a mistyped path is not made.
///
/// # Errors
/// When it cannot be made.
pub fn ensure_private_folder(folder: &Path) -> anyhow::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    let doing = || format!("making the folder {}", folder.display());
    let parent = folder.parent().unwrap_or(folder);
    let made = builder.create(folder);
    if folder.is_file() {
        let what = format!(
            "{} is a file, and a folder is needed there",
            folder.display()
        );
        let hint = "move it away, then repeat the command";
        bail!(Problem::new(what).hint(hint));
    }
    made.map_err(|error| explain_unwritable(parent, error, doing()))?;
    let made = File::open(folder).and_then(|made| keep_owner(&made, parent));
    made.with_context(doing)
}

/// A file's size in bytes.
///
/// # Errors
/// When it is not there.
pub fn size(path: &Path) -> anyhow::Result<u64> {
    Ok(fs::metadata(path)
        .with_context(|| format!("looking at {}", path.display()))?
        .len())
}

/// The files of a folder; none where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let doing = || format!("reading {}", folder.display());
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).with_context(doing)?;
    entries
        .map(|entry| Ok(entry.with_context(doing)?.path()))
        .collect()
}

/// Deletes one file.
///
/// # Errors
/// When it is not there or may not be deleted.
pub fn remove(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("deleting {}", path.display()))
}

/// Removes what [`replace_private`] left in a folder when it was killed: it may hold secrets.
pub fn remove_unfinished(folder: &Path) {
    remove_abandoned(folder, UNFINISHED);
}

/// Removes the files of a folder whose names begin with `prefix`; the caller knows that nobody uses them.
pub fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // Where it cannot be removed nothing can be written either.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether a file is for its owner alone, where the system has such modes.
///
/// # Errors
/// When it is not there.
pub fn is_private(path: &Path) -> anyhow::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path);
        let metadata =
            metadata.with_context(|| format!("reading the mode of {}", path.display()))?;
        Ok(metadata.permissions().mode() & 0o077 == 0)
    }
    #[cfg(not(unix))]
    Ok(true)
}

/// Makes a file readable for its owner alone (0600) where the system has such modes. Returns whether it
/// was not.
///
/// # Errors
/// When it belongs to somebody else.
pub fn ensure_private(path: &Path) -> anyhow::Result<bool> {
    if is_private(path)? {
        return Ok(false);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o600);
        let set = fs::set_permissions(path, mode);
        set.with_context(|| format!("setting the mode of {}", path.display()))?;
    }
    Ok(true)
}

/// Whether users other than the owner may read a file; `None` if it is not there. Yes where the system
/// has no such modes, or containers see its files through a VM.
pub fn is_readable_for_all(path: &Path) -> Option<bool> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::PermissionsExt;
        Some(metadata.permissions().mode() & 0o004 != 0)
    }
    #[cfg(not(target_os = "linux"))]
    Some(metadata.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_that_gets_no_name_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        drop(begin_private(folder.path(), ".draft-").unwrap());
        assert!(files(folder.path()).is_empty());
    }

    #[test]
    fn a_published_file_never_takes_the_place_of_another() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("name");
        fs::write(&target, "here").unwrap();
        let file = begin_private(folder.path(), ".draft-").unwrap();
        assert!(publish(file, &target).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "here");
        assert_eq!(files(folder.path()), ["name"]);
    }

    #[test]
    fn a_mistyped_folder_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        assert!(ensure_private_folder(&folder.path().join("typo/backups")).is_err());
        assert!(files(folder.path()).is_empty());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_root_replaces_keeps_its_owner() {
        use std::os::unix::fs::{MetadataExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        fs::write(&path, "A=1\n").unwrap();
        if chown(&path, Some(12345), Some(12345)).is_err() {
            // Only root can give files away, so only root can take them over by mistake.
            assert_ne!(fs::metadata("/proc/self").unwrap().uid(), 0);
            return;
        }
        replace_private(&path, "A=2\n").unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.uid(), metadata.gid()), (12345, 12345));
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=2\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_to_nowhere_and_a_folder_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).unwrap();
        for (path, words) in [
            (link.as_path(), "a link to a file"),
            (folder.path(), "is a folder"),
        ] {
            let error = format!("{:#}", read_text(path).unwrap_err());
            assert!(error.contains(words), "{error}");
        }
    }
}
