//! Where programs of this user keep their things.

use std::env;
use std::path::PathBuf;

use anyhow::Context;

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
