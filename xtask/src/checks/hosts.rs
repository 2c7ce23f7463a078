//! Whether the hostnames of the env file lead to this machine. Only looks.

use std::time::Duration;

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::hosts;
use crate::hosts::hostname::{Hostname, join};
use crate::problem::Problem;

/// How long the resolver may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Asks the hosts file and the resolver.
pub fn check(checkout: &Checkout) -> Finding {
    let check = match hosts::check::check(checkout, None, PATIENCE) {
        Ok(check) => check,
        Err(error) => return Finding::warning("hosts", Problem::of(&error)),
    };
    let missing = check.missing();
    if !missing.is_empty() {
        let what = format!("not resolved to this machine: {}", join(&missing));
        let problem = Problem::new(what).hint("`cargo xtask hosts` adds them to the hosts file");
        return Finding::warning("hosts", problem);
    }
    let public = check.hostnames.into_iter();
    let public = public.filter(|check| !check.leads_here());
    let public: Vec<Hostname> = public.map(|check| check.hostname).collect();
    if public.is_empty() {
        return Finding::good("hosts", "the hostnames in .env lead to this machine");
    }
    let what = format!(
        "public names need DNS records: `cargo xtask verify --public` checks {}",
        join(&public)
    );
    Finding::good("hosts", what)
}
