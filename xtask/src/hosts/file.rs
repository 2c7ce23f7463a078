//! Changes a hosts file: under a lock, in one step where the system has one, with a copy kept first.
//!
//! Must never leave half a file, nor write what was planned for a file that someone changed since.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Component, Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow, bail, ensure};

use super::draft::{self, Draft};
use crate::hosts::edit::{Edit, Plan, Refusal};
use crate::system::process;
use crate::terminal::say;
use crate::terminal::text;

const LOCK_TIMEOUT: Duration = Duration::from_secs(30);
const COPIES_KEPT: usize = 5;

/// How a change ended that met no error.
pub enum Change {
    Written,
    /// Someone else made it so in the meantime.
    Unneeded,
    /// The system does not let this user change the file; it is as it was.
    NotPermitted,
}

/// The file behind `path`, through symlinks.
///
/// # Errors
/// When it is missing, or is not a regular file.
pub fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let target =
        fs::canonicalize(path).with_context(|| format!("looking for {}", path.display()))?;
    ensure!(
        fs::metadata(&target)?.is_file(),
        "{} is not a regular file",
        path.display()
    );
    Ok(target)
}

/// Makes the change that `plan` wants of `target`, which [`resolve`] gave. `planned` is a content and
/// the edit that `plan` made of it; a file that has changed since is planned anew. `copies` is the
/// folder that gets a copy of the file as it was; without one the caller has kept a copy.
///
/// # Errors
/// With the reason by its name, when the file cannot be changed; it is then as it was.
pub fn change(
    target: &Path,
    planned: Option<(&[u8], &Edit)>,
    plan: impl Fn(&[u8]) -> Result<Plan, Refusal>,
    copies: Option<&Path>,
) -> anyhow::Result<Change> {
    let start = Instant::now();
    while start.elapsed() < LOCK_TIMEOUT {
        match try_change(target, planned, &plan, copies) {
            Ok(Some(change)) => return Ok(change),
            Ok(None) => {}
            Err(error) => return explain(target, error),
        }
    }
    bail!(
        "{} was not changed: other programs change it all the time",
        target.display()
    )
}

/// `None` if the file was changed under our hands: then nothing was written.
fn try_change(
    target: &Path,
    planned: Option<(&[u8], &Edit)>,
    plan: impl Fn(&[u8]) -> Result<Plan, Refusal>,
    copies: Option<&Path>,
) -> anyhow::Result<Option<Change>> {
    let mut file = File::open(target)?;
    lock(&file, target)?;
    let metadata = file.metadata()?;
    // Whoever held the lock before us has put another file here.
    if identity(&metadata) != identity(&fs::metadata(target)?) {
        return Ok(None);
    }
    ensure!(
        !metadata.permissions().readonly(),
        "it is read-only; make it writable with `chmod u+w`"
    );
    let (read, replanned);
    let (before, edit) = match planned {
        Some((before, edit)) if has_content(&mut file, before)? => (before, edit),
        _ => {
            read = read_all(&mut file)?;
            replanned = plan(&read)?;
            match &replanned {
                Plan::Change(edit) => (read.as_slice(), edit),
                Plan::Nothing(_) => return Ok(Some(Change::Unneeded)),
            }
        }
    };
    let replacement = match write_beside(target, &metadata, before, edit) {
        // `docker run --read-only` has a read-only /etc and a writable /etc/hosts.
        Err(error) if error.kind() == ErrorKind::ReadOnlyFilesystem => {
            OpenOptions::new().write(true).open(target)?;
            None
        }
        written => Some(written?),
    };
    if let Some(copies) = copies {
        keep_copy(target, before, copies)?;
    }
    if identity(&metadata) != identity(&fs::metadata(target)?) {
        return Ok(None);
    }
    match replacement.map(|replacement| replacement.replace(target)) {
        // Whatever the sync says, whoever looks sees the new file.
        Some(Ok(())) => drop(target.parent().map(draft::sync_folder)),
        Some(Err(error)) if error.kind() != ErrorKind::ResourceBusy => return Err(error.into()),
        // A mount point, as /etc/hosts is in a container, can only be written to.
        _ => write_in_place(target, before, edit)?,
    }
    Ok(Some(Change::Written))
}

/// Waits for other writers. The lock is on the file itself, which root and user can both open, and
/// ends with the process.
fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => return Ok(()),
        Err(TryLockError::WouldBlock) => {}
        // Some network filesystems have no locks; that is no reason not to work.
        Err(TryLockError::Error(error)) => {
            say!("working without a lock on {}: {error}", path.display());
            return Ok(());
        }
    }
    let (sender, receiver) = mpsc::channel();
    let shared = file.try_clone()?;
    thread::spawn(move || sender.send(shared.lock()));
    let locked = receiver.recv_timeout(LOCK_TIMEOUT).with_context(|| {
        format!(
            "another program has locked it for {} s; see `fuser {}`",
            LOCK_TIMEOUT.as_secs(),
            path.display()
        )
    })?;
    locked.context("locking it")
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

fn read_all(file: &mut File) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut text)?;
    Ok(text)
}

/// Compares piece by piece: a second copy of a long blocklist would only cost memory.
fn has_content(file: &mut File, expected: &[u8]) -> io::Result<bool> {
    let mut rest = expected;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let length = file.read(&mut piece)?;
        if length == 0 {
            return Ok(rest.is_empty());
        }
        match rest.split_at_checked(length) {
            Some((same, further)) if *same == piece[..length] => rest = further,
            _ => return Ok(false),
        }
    }
}

/// Writes the whole new file under another name in the same folder, with the old one's mode and owner.
fn write_beside(
    target: &Path,
    metadata: &Metadata,
    before: &[u8],
    edit: &Edit,
) -> io::Result<Draft> {
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(ErrorKind::InvalidFilename.into());
    };
    // One name for all: we hold the lock, so a file of that name is what a killed process left.
    let name = format!(".{}.xtask-new", name.display());
    match fs::remove_file(folder.join(&name)) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let draft = Draft::create(folder.join(&name))?;
    let mut file = draft.file();
    for piece in [
        &before[..edit.range.start],
        &edit.replacement,
        &before[edit.range.end..],
    ] {
        file.write_all(piece)?;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let made = file.metadata()?;
        if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
            fchown(file, Some(metadata.uid()), Some(metadata.gid()))?;
        }
    }
    file.set_permissions(metadata.permissions())?;
    file.sync_all()?;
    Ok(draft)
}

/// Writes from the first byte that changes, and cuts off afterwards: a block that is added at the end is
/// one write, and no reader ever misses the lines above it. What fails is put back.
fn write_in_place(target: &Path, before: &[u8], edit: &Edit) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(target)?;
    let start = edit.range.start as u64;
    let mut write_from_start = |tail: &[u8]| {
        file.seek(SeekFrom::Start(start))?;
        file.write_all(tail)?;
        file.set_len(start + tail.len() as u64)?;
        file.sync_all()
    };
    let tail = [&edit.replacement, &before[edit.range.end..]].concat();
    write_from_start(&tail).inspect_err(|_| {
        // The old bytes have their place on the disk already.
        let _ = write_from_start(&before[edit.range.start..]);
    })
}

/// Keeps a copy of the file as it was, its mode included, and says where. Of many copies the
/// first stays, which is from before we ever touched the file, and the newest.
///
/// # Errors
/// When the copy cannot be written.
pub fn keep_copy(target: &Path, before: &[u8], copies: &Path) -> anyhow::Result<()> {
    let failed = |error: io::Error| anyhow!("keeping a copy in {}: {error}", copies.display());
    let own = target
        .components()
        .filter(|component| matches!(component, Component::Normal(_)));
    let folder = own.fold(copies.to_path_buf(), |folder, component| {
        folder.join(component)
    });
    fs::create_dir_all(&folder).map_err(failed)?;
    let time = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let path = folder.join(text::render_file_timestamp(time));
    let written = File::create_new(&path).and_then(|mut file| {
        file.write_all(before)?;
        file.set_permissions(fs::metadata(target)?.permissions())
    });
    written
        .inspect_err(|_| drop(fs::remove_file(&path)))
        .map_err(failed)?;
    say!("copy of {} as it was: {}", target.display(), path.display());

    let kept =
        fs::read_dir(&folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut kept: Vec<PathBuf> = kept.map_err(failed)?;
    kept.sort();
    while kept.len() > COPIES_KEPT {
        // Another process may have taken it already.
        let _ = fs::remove_file(kept.remove(1));
    }
    Ok(())
}

/// Names what the system's error means for this file, or that it is a matter of permission.
fn explain(target: &Path, error: anyhow::Error) -> anyhow::Result<Change> {
    let path = target.display();
    let reason = match error.downcast_ref().map(io::Error::kind) {
        Some(ErrorKind::PermissionDenied) if is_immutable(target) => {
            format!("it is immutable; take that off with `sudo chattr -ia {path}`")
        }
        Some(ErrorKind::PermissionDenied) => return Ok(Change::NotPermitted),
        Some(ErrorKind::ReadOnlyFilesystem) => "it is on a read-only file system".to_owned(),
        Some(ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            "its disk is full; free some space and repeat".to_owned()
        }
        _ => return Err(error.context(format!("{path} was not changed"))),
    };
    bail!("{path} was not changed: {reason}")
}

/// Whether root itself may not change the file: `lsattr` shows `i` (immutable) or `a` (append only).
fn is_immutable(path: &Path) -> bool {
    let output = process::output(Command::new("lsattr").arg("-d").arg(path));
    let attributes = output.map(|output| output.stdout).unwrap_or_default();
    attributes
        .split(|&byte| byte == b' ')
        .next()
        .is_some_and(|flags| flags.contains(&b'i') || flags.contains(&b'a'))
}
