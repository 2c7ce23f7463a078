//! What a hosts file has beside its content. Must never change the file that is to be replaced.

use std::fs::File;
use std::io;
use std::path::Path;

use crate::hosts::platform::render_command;
use crate::problem::Problem;

/// Gives the new file the owner, group, mode, access list and SELinux label of the old one. Returns what
/// the system refused and the file can do without.
///
/// # Errors
/// When owner or mode cannot be set.
pub fn copy(from: &File, to: &File, target: &Path) -> io::Result<Option<Problem>> {
    let metadata = from.metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let made = to.metadata()?;
        if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
            fchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
        }
    }
    to.set_permissions(metadata.permissions())?;
    copy_extended(from, to)
        .map(|()| None)
        .or_else(|error| Ok(Some(lost(target, &error))))
}

fn lost(target: &Path, error: &io::Error) -> Problem {
    let restorecon = ["sudo", "restorecon", &target.display().to_string()].map(str::to_owned);
    Problem::new(format!(
        "{} has lost its access list or SELinux label: {error}",
        target.display()
    ))
    .hint(format!(
        "give it the label that the system has for it: `{}`",
        render_command(&restorecon)
    ))
}

/// Not all of them: `security.ima` is a hash of the old content.
#[cfg(target_os = "linux")]
fn copy_extended(from: &File, to: &File) -> io::Result<()> {
    use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};
    use rustix::io::Errno;

    for name in ["system.posix_acl_access", "security.selinux"] {
        // The kernel's limit.
        let mut value = vec![0; 64 * 1024];
        let length = match fgetxattr(from, name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA | Errno::NOTSUP) => continue,
            Err(error) => return Err(error.into()),
        };
        let wanted = &value[..length];
        let mut made = vec![0; length + 1];
        let has_it = fgetxattr(to, name, &mut made[..])
            .is_ok_and(|made_length| made[..made_length] == *wanted);
        if !has_it {
            fsetxattr(to, name, wanted, XattrFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn copy_extended(_: &File, _: &File) -> io::Result<()> {
    Ok(())
}

/// Whether root itself may not change the file: `chattr` has made it immutable or append-only.
#[cfg(target_os = "linux")]
pub fn is_immutable(path: &Path) -> bool {
    use rustix::fs::{IFlags, ioctl_getflags};

    let flags = File::open(path).map(|file| ioctl_getflags(&file));
    flags.is_ok_and(|flags| {
        flags.is_ok_and(|flags| flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND))
    })
}

#[cfg(not(target_os = "linux"))]
pub fn is_immutable(_: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_is_said_with_the_command_that_sets_it() {
        let refused = io::Error::from(io::ErrorKind::PermissionDenied);
        let problem = lost(Path::new("/etc/hosts"), &refused);
        assert_eq!(
            problem.what,
            "/etc/hosts has lost its access list or SELinux label: permission denied"
        );
        assert_eq!(
            problem.hint.as_deref(),
            Some("give it the label that the system has for it: `sudo restorecon /etc/hosts`")
        );
    }
}
