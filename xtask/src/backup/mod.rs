//! Backup files, and the data that they are made of.

pub mod condition;
pub mod create;
pub mod elsewhere;
pub mod file;
pub mod list;
pub mod load;
pub mod manifest;
pub mod probe;
pub mod replace;
pub mod save;
pub mod scripts;
pub mod stores;

/// The part with `.env`, where the user wants it.
pub const ENV: &str = "env";

/// The two applications, and the service whose image each is.
pub const APPLICATIONS: [(&str, &str); 2] = [("umami", "umami"), ("glitchtip", "glitchtip-web")];
