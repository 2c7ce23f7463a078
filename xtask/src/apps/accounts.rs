//! The administrators' passwords, which are in the applications and not in the database server.

use anyhow::bail;

/// The keys of `.env` that hold an administrator's password.
pub const ADMINISTRATORS: [&str; 2] = ["UMAMI_ADMIN_PASSWORD", "GLITCHTIP_ADMIN_PASSWORD"];

/// A script for the container of a service that knows the password from its environment.
pub struct Script {
    /// The service that opens the accounts.
    pub service: &'static str,
    /// What reads the script on its stdin.
    pub command: &'static [&'static str],
    text: &'static str,
}

/// The script that gives an administrator the password that `.env` says.
pub fn password_script(key: &str) -> Script {
    match key {
        "UMAMI_ADMIN_PASSWORD" => Script {
            service: "umami-accounts",
            command: &["psql", "--no-psqlrc", "--quiet", "--file", "-"],
            text: include_str!("../backup/scripts/rotate-umami.sql"),
        },
        _ => Script {
            service: "glitchtip-migrate",
            command: &["python", "-"],
            text: include_str!("../backup/scripts/rotate-glitchtip.py"),
        },
    }
}

/// Hands a script to `container`, which returns what it printed.
///
/// # Errors
/// When there is no administrator.
pub fn run(
    script: &Script,
    container: impl FnOnce(&str) -> anyhow::Result<String>,
) -> anyhow::Result<()> {
    if container(script.text)?.trim() != "set" {
        bail!("there is no administrator to give a password to");
    }
    Ok(())
}
