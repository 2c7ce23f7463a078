//! The verbs of production, one a file. Must never be imported by another command.

pub mod backup;
pub mod deploy;
pub mod doctor;
pub mod drill;
pub mod export;
pub mod failover;
pub mod import;
pub mod logs;
pub mod nodes;
pub mod remove;
pub mod restore;
pub mod rollback;
pub mod rotate;
pub mod setup;
pub mod status;
pub mod verify;
