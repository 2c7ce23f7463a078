//! The time, and nothing else.

use std::time::{Duration, SystemTime};

/// The time since 1970, by the system's clock.
pub fn since_1970() -> Duration {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// Seconds since 1970, by the system's clock.
pub fn now() -> u64 {
    since_1970().as_secs()
}
