//! Cargo, run in a folder.

use std::path::Path;

use anyhow::Context;
use xshell::{Cmd, Shell, cmd};

/// Runs cargo on our terminal.
///
/// # Errors
/// When it fails; it has said why.
pub fn run(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    let shell = shell(folder)?;
    Ok(command(&shell, arguments).run()?)
}

/// Runs cargo and returns what it prints on stdout.
///
/// # Errors
/// When it fails.
pub fn read(folder: &Path, arguments: &[&str]) -> anyhow::Result<String> {
    let shell = shell(folder)?;
    Ok(command(&shell, arguments).ignore_stderr().read()?)
}

/// Whether a program that some test needs is on the `PATH`.
pub fn has_program(name: &str) -> bool {
    super::process::is_on_path(name)
}

/// Whether tests may do what only root may.
pub fn is_root() -> bool {
    super::process::is_root()
}

/// Whether a script of the folder succeeds; nothing that it prints is shown.
pub fn runs_script(folder: &Path, script: &str, argument: &str) -> bool {
    let Ok(shell) = shell(folder) else {
        return false;
    };
    let command = cmd!(shell, "{script} {argument}").quiet();
    command.ignore_stdout().ignore_stderr().run().is_ok()
}

fn shell(folder: &Path) -> anyhow::Result<Shell> {
    let shell = Shell::new().context("finding the current folder")?;
    shell.change_dir(folder);
    Ok(shell)
}

/// Run by Cargo for one package, we would pass its variables on; the children are to see none.
fn command<'a>(shell: &'a Shell, arguments: &[&str]) -> Cmd<'a> {
    cmd!(shell, "cargo {arguments...}")
        .env_remove("CARGO_MANIFEST_DIR")
        .quiet()
}
