//! How the tests ask the applications.

use std::time::Duration;

/// Asks without a proxy, on a connection of its own; any status is an answer.
pub fn agent(seconds: u64) -> ureq::Agent {
    ureq::Agent::config_builder()
        .proxy(None)
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(seconds)))
        .build()
        .into()
}
