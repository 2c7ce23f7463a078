//! What Compose makes of the stack's files. Only looks.

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::problem::Problem;

const CHECK: &str = "compose";

/// Files beside the stack's that plain Compose, or this tool, does not read as one may think.
pub fn check(checkout: &Checkout) -> Vec<Finding> {
    let folder = checkout.display(&checkout.stack());
    let mut findings = Vec::new();
    for name in checkout.rivals() {
        let what = format!(
            "{folder}/{name} is not read; plain `docker compose` would read it in the place of \
             docker-compose.yml"
        );
        let hint =
            format!("make it an override: `mv {folder}/{name} {folder}/compose.override.yml`");
        findings.push(Finding::warning(CHECK, Problem::new(what).hint(hint)));
    }
    let overrides = checkout.overrides();
    if let [used, ignored @ ..] = overrides.as_slice() {
        for name in ignored {
            let what = format!("{folder}/{name} is not read: Compose takes one override, {used}");
            let hint = format!("move what it says to {used}, then `rm {folder}/{name}`");
            findings.push(Finding::warning(CHECK, Problem::new(what).hint(hint)));
        }
    }
    findings
}

/// Compose does not accept the files.
pub fn refused(error: &anyhow::Error) -> Finding {
    Finding::error(CHECK, Problem::of(error))
}
