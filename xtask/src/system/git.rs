//! What Git makes of a file. Only looks.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::system::process;

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
        git.stdout(Stdio::null()).stderr(Stdio::null());
        process::status(&mut git).ok()?.code()
    };
    match git(&["check-ignore", "--quiet", "--no-index"])? {
        _ if git(&["ls-files", "--error-unmatch"])? == 0 => Some(GitState::Committed),
        0 => Some(GitState::Ignored),
        1 => Some(GitState::NotIgnored),
        _ => None,
    }
}
