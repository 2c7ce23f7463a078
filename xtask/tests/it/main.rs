//! Runs the built xtask in temporary checkouts, and holds the artifacts to what they promise.

#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml lets tests unwrap, but not what they have in common"
)]

mod artifacts;
#[cfg(unix)]
mod backup;
mod checkout;
mod clean;
mod cli;
#[cfg(unix)]
mod doctor;
mod documentation;
mod env_file;
mod events;
#[cfg(unix)]
mod faults;
#[cfg(unix)]
mod glitchtip;
#[cfg(unix)]
mod healing;
#[cfg(unix)]
mod hosts;
mod http;
#[cfg(unix)]
mod journal;
#[cfg(unix)]
mod lab;
#[cfg(unix)]
mod nightly;
#[cfg(unix)]
mod outputs;
#[cfg(unix)]
mod postgres_majors;
#[cfg(unix)]
mod pretend;
mod production;
mod production_artifacts;
#[cfg(unix)]
mod production_database;
#[cfg(unix)]
mod production_edge;
#[cfg(unix)]
mod production_nodes;
mod public;
#[cfg(target_os = "linux")]
mod pull;
#[cfg(target_os = "linux")]
mod registry;
mod remedies;
#[cfg(unix)]
mod restore;
mod scripts;
mod setup;
mod shared;
#[cfg(unix)]
mod shared_database;
mod stack;
#[cfg(unix)]
mod stores;
mod stranger;
#[cfg(target_os = "linux")]
mod terminal;
mod tidy;
