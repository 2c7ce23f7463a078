//! What a hosts file has beside its content. Must never change the file that is to be replaced.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;

use crate::system::process;

/// Gives the new file the owner, group and mode of the old one.
///
/// # Errors
/// When one of them cannot be set.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    let metadata = from.metadata()?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, fchown};
        let made = to.metadata()?;
        if (made.uid(), made.gid()) != (metadata.uid(), metadata.gid()) {
            fchown(to, Some(metadata.uid()), Some(metadata.gid()))?;
        }
    }
    to.set_permissions(metadata.permissions())
}

/// Whether root itself may not change the file: `lsattr` shows `i` (immutable) or `a` (append only).
pub fn is_immutable(path: &Path) -> bool {
    let output = process::output(Command::new("lsattr").arg("-d").arg(path));
    let attributes = output.map(|output| output.stdout).unwrap_or_default();
    attributes
        .split(|&byte| byte == b' ')
        .next()
        .is_some_and(|flags| flags.contains(&b'i') || flags.contains(&b'a'))
}
