//! Which engine answers, and whether it sees the checkout. Only looks.

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::Info;
use crate::problem::Problem;
use crate::system::process;

/// Looks at an engine that answers.
///
/// # Errors
/// When Compose does not say its version.
pub fn check(checkout: &Checkout, docker: &Docker, info: &Info) -> anyhow::Result<Finding> {
    let compose = docker.compose().args(["version", "--short"]).text()?;
    let rootless = if info.is_rootless() { ", rootless" } else { "" };
    let system = format!(
        "{} on {}, {}{rootless}; Compose {}",
        info.server_version,
        info.operating_system,
        info.architecture,
        compose.trim()
    );

    let is_snap = process::find_on_path("docker").is_some_and(|path| path.starts_with("/snap"));
    let home = std::env::var_os("HOME").unwrap_or_default();
    if !is_snap || checkout.root().starts_with(home) {
        return Ok(Finding::good("engine", system));
    }
    let what = format!("{system}: the snap package, which sees only folders below your home");
    let hint = "move the checkout there; or `sudo snap remove docker`, then install the \
                distribution's own packages";
    Ok(Finding::error("engine", Problem::new(what).hint(hint)))
}
