//! The administrators' passwords, which are in the applications and not in the database server. The accounts
//! scripts in deploy/analytics set them.

/// The keys of `.env` that hold an administrator's password.
pub const ADMINISTRATORS: [&str; 2] = ["UMAMI_ADMIN_PASSWORD", "GLITCHTIP_ADMIN_PASSWORD"];

/// With this variable, an accounts script gives the administrator the password that `.env` says.
pub const SET_PASSWORD: &str = "SET_ADMIN_PASSWORD=1";

/// The service whose script sets the password that `key` holds.
pub fn service(key: &str) -> &'static str {
    match key {
        "UMAMI_ADMIN_PASSWORD" => "umami-accounts",
        _ => "glitchtip-migrate",
    }
}
