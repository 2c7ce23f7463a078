//! Whether the hostnames of the env file lead to this machine. Only looks.

use std::time::Duration;

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::hosts;
use crate::problem::Problem;

/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the hosts file and the resolver.
pub fn check(checkout: &Checkout) -> Finding {
    let check = match hosts::check::check(checkout, None, PATIENCE) {
        Ok(check) => check,
        Err(error) => return Finding::warning("hosts", Problem::of(&error)),
    };
    let away = check.hostnames.iter().filter(|check| !check.leads_here());
    let away: Vec<String> = away.map(|check| check.hostname.to_string()).collect();
    if away.is_empty() {
        return Finding::good("hosts", "the hostnames in .env lead to this machine");
    }
    let what = format!("not resolved to this machine: {}", away.join(", "));
    let problem = Problem::new(what).hint("`cargo xtask hosts` adds them to the hosts file");
    Finding::warning("hosts", problem)
}
