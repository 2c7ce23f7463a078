//! Who works on which machine, for others to read. Must never be relied on as proof.

use std::env;
use std::process::Command;

use super::process;

/// `user@host`.
pub fn user_at_host() -> String {
    let user = ["USER", "LOGNAME", "USERNAME"];
    let user = user.into_iter().find_map(|name| env::var(name).ok());
    format!("{}@{}", user.as_deref().unwrap_or("someone"), host())
}

fn host() -> String {
    let printed = process::output(Command::new("uname").arg("-n"));
    let printed = printed.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    match printed {
        Ok(name) if !name.is_empty() => name,
        _ => env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".to_owned()),
    }
}
