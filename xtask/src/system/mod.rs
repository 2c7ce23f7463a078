//! The only module that changes this machine: files in the checkout, randomness, ports.

pub mod draft;

pub mod ports;

use std::env;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use rand::distr::{Alphanumeric, SampleString};
use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::checkout::Checkout;
use crate::checks::repairs::Step;
use crate::env::dialect::Secret;
use crate::hosts::platform::Platform;
use crate::system::draft::Draft;
use crate::terminal::{self, say};

/// Reads a text file; a missing one is `None`.
///
/// # Errors
/// When it cannot be read, or is not UTF-8: then with the line, never with its content.
pub fn read_text(path: &Path) -> anyhow::Result<Option<String>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(error) => {
            let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
            anyhow::bail!(
                "{}, line {line}: not UTF-8; save the file as UTF-8 and repeat",
                path.display()
            )
        }
    }
}

/// What a private file is called until it is whole.
const UNFINISHED: &str = ".env.new-";

/// Replaces a private file in one step: whoever looks sees the old one or the new one, and nobody
/// else may read it (mode 0600). A symlink stays one; its target is replaced.
///
/// # Errors
/// When the folder cannot be written to; the old file is then untouched.
pub fn replace_private_file(path: &Path, text: &str) -> anyhow::Result<()> {
    let doing = || format!("writing {}", path.display());
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        // A symlink to nowhere is somebody's intent; it is not replaced by a file.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => {
            path.to_path_buf()
        }
        Err(error) => return Err(error).with_context(doing),
    };
    let folder = target.parent().with_context(doing)?;
    let draft = Draft::create_in(folder, UNFINISHED).with_context(doing)?;
    draft
        .file()
        .write_all(text.as_bytes())
        .with_context(doing)?;
    draft.file().sync_all().with_context(doing)?;
    draft.replace(&target).with_context(doing)?;
    draft::sync_folder(folder).with_context(doing)
}

/// Makes a folder that nobody else may look into (0700); one that is there stays as it is.
pub fn ensure_private_folder(folder: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder
        .create(folder)
        .with_context(|| format!("making {}", folder.display()))
}

/// Begins a private file in `folder`, which is made private (0700) if it is not there. Removes what was begun
/// with the same `prefix` and never finished: the caller knows that nobody is at it.
///
/// # Errors
/// When the folder cannot be written to.
pub fn begin_draft(folder: &Path, prefix: &str) -> anyhow::Result<Draft> {
    ensure_private_folder(folder)?;
    remove_abandoned(folder, prefix);
    Draft::create_in(folder, prefix)
        .with_context(|| format!("making a file in {}", folder.display()))
}

/// A file's size in bytes.
pub fn size(path: &Path) -> anyhow::Result<u64> {
    Ok(fs::metadata(path)
        .with_context(|| format!("looking at {}", path.display()))?
        .len())
}

/// Deletes one file.
pub fn remove_file(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("deleting {}", path.display()))
}

/// Removes what [`replace_private_file`] left in a folder when it was killed: it may hold secrets.
pub fn remove_unfinished(folder: &Path) {
    remove_abandoned(folder, UNFINISHED);
}

fn remove_abandoned(folder: &Path, prefix: &str) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            // Where it cannot be removed nothing can be written either.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Makes a secret from the operating system's generator.
pub fn generate_secret(secret: Secret) -> String {
    match secret {
        Secret::Alphanumeric(length) => Alphanumeric.sample_string(&mut rand::rng(), length),
        Secret::Uuid => {
            let bits =
                (rand::random::<u128>() & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
            let hex = format!("{bits:032x}");
            format!(
                "{}-{}-{}-{}-{}",
                &hex[..8],
                &hex[8..12],
                &hex[12..16],
                &hex[16..20],
                &hex[20..]
            )
        }
    }
}

/// Held by whoever changes this checkout's stack; others wait.
pub struct Lock(File);

impl Lock {
    /// Waits for other commands on this checkout, and says so.
    ///
    /// The locked file is one that nobody reads while the stack is worked: so there is nothing to clean
    /// up, and it works in a checkout that cannot be written to.
    pub fn acquire(project: &Checkout) -> anyhow::Result<Lock> {
        let path = project.stack().join(".gitignore");
        let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                say!("another cargo xtask works on this checkout; waiting for it to end");
                file.lock()
                    .with_context(|| format!("locking {}", path.display()))?;
            }
            // Some network filesystems have no locks; that is no reason not to work.
            Err(TryLockError::Error(error)) => {
                say!("working without a lock on {}: {error}", path.display())
            }
        }
        Ok(Lock(file))
    }

    /// The lock as a child's stdin: the child keeps it if we are killed.
    pub fn share(&self) -> anyhow::Result<Stdio> {
        Ok(Stdio::from(self.0.try_clone().context("sharing the lock")?))
    }
}

/// The file that `program` on `PATH` is.
pub fn find_on_path(program: &str) -> Option<PathBuf> {
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(&name))
        .find(|file| file.is_file())
}

/// Whether a program is to be found on `PATH`.
pub fn is_on_path(program: &str) -> bool {
    find_on_path(program).is_some()
}

/// Whether we may do everything.
pub fn is_root() -> bool {
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::fs::MetadataExt;
        fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
    }
    #[cfg(not(target_os = "linux"))]
    false
}

/// Runs one remedy on our terminal; only a step that needs it is elevated.
///
/// # Errors
/// When it fails; it has said why.
pub fn run_step(step: &Step) -> anyhow::Result<()> {
    let mut command = Command::new("sh");
    if step.is_elevated {
        let mut words = step.command.split(' ');
        let program = words.next().unwrap_or_default();
        // sudo wants the whole path.
        let file =
            find_on_path(program).with_context(|| format!("there is no {program} on PATH"))?;
        command = if is_root() {
            Command::new(&file)
        } else {
            Command::new("sudo")
        };
        if !is_root() {
            let asks_nobody = if terminal::is_interactive() {
                &[][..]
            } else {
                &["--non-interactive"]
            };
            command.args(asks_nobody).arg(&file);
        }
        command.args(words);
    } else {
        command.args(["-c", &step.command]);
    }
    // What it prints is no result of ours.
    let status = command
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("running `{}`", step.command))?;
    if !status.success() {
        anyhow::bail!("`{}` ended with {status}", step.command);
    }
    Ok(())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitState {
    Committed,
    NotIgnored,
    Ignored,
}

/// What Git makes of a file; `None` without Git or outside of a repository.
pub fn git_state(folder: &Path, file: &Path) -> Option<GitState> {
    let git = |arguments: &[&str]| -> Option<i32> {
        let mut git = Command::new("git");
        git.current_dir(folder)
            .args(arguments)
            .arg(file)
            .stdin(Stdio::null());
        git.stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .ok()?
            .code()
    };
    match git(&["check-ignore", "--quiet", "--no-index"])? {
        _ if git(&["ls-files", "--error-unmatch"])? == 0 => Some(GitState::Committed),
        0 => Some(GitState::Ignored),
        1 => Some(GitState::NotIgnored),
        _ => None,
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

/// Whether a file is for its owner alone, where the system has such modes.
pub fn is_private(path: &Path) -> anyhow::Result<bool> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let metadata = fs::metadata(path)
            .with_context(|| format!("reading the mode of {}", path.display()))?;
        Ok(metadata.permissions().mode() & 0o077 == 0)
    }
    #[cfg(not(unix))]
    Ok(true)
}

/// Makes a file readable for its owner alone (0600) where the system has such modes. Returns whether it was not.
pub fn ensure_private(path: &Path) -> anyhow::Result<bool> {
    if is_private(path)? {
        return Ok(false);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o600);
        fs::set_permissions(path, mode)
            .with_context(|| format!("setting the mode of {}", path.display()))?;
    }
    Ok(true)
}

/// Whether users other than the owner may read a file; `None` if it is not there. Yes where the system has
/// no such modes, or containers see its files through a VM.
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

/// From now on Ctrl-C does not end us; children in the foreground get it as before.
pub fn catch_interrupt() -> anyhow::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    flag::register(SIGINT, Arc::clone(&interrupted)).context("preparing for Ctrl-C")?;
    Ok(interrupted)
}

pub fn is_interrupted(flag: &AtomicBool) -> bool {
    flag.load(Ordering::Relaxed)
}

/// The system that we run on.
pub fn platform() -> Platform {
    let kernel_release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Platform::of(env::consts::OS, &kernel_release)
}

/// Where this user's programs keep what should outlive a checkout.
///
/// # Errors
/// When the user has no home.
pub fn state_folder() -> anyhow::Result<PathBuf> {
    let variable = if cfg!(windows) {
        "LOCALAPPDATA"
    } else {
        "XDG_STATE_HOME"
    };
    let folder = env::var_os(variable)
        .map(PathBuf::from)
        .filter(|folder| folder.is_absolute());
    let folder = folder.or_else(|| env::home_dir().map(|home| home.join(".local/state")));
    Ok(folder
        .context("there is no home folder; set HOME")?
        .join("analytics-xtask"))
}

/// What the system's resolver answers for each hostname: nothing for one that it does not know, or not
/// within `patience`.
pub fn resolve(hostnames: impl Iterator<Item = String>, patience: Duration) -> Vec<Vec<IpAddr>> {
    let deadline = Instant::now() + patience;
    let questions = hostnames.map(|hostname| {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let answers = (hostname, 0)
                .to_socket_addrs()
                .map(|answers| answers.map(|answer| answer.ip()));
            let mut addresses: Vec<IpAddr> = answers.map(Iterator::collect).unwrap_or_default();
            addresses.sort();
            addresses.dedup();
            let _ = sender.send(addresses);
        });
        receiver
    });
    let questions: Vec<_> = questions.collect();
    let left = || deadline.saturating_duration_since(Instant::now());
    questions
        .iter()
        .map(|receiver| receiver.recv_timeout(left()).unwrap_or_default())
        .collect()
}
