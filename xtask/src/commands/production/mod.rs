//! The verbs of production, one a file. Must never be imported by another command.

pub mod deploy;
pub mod doctor;
pub mod logs;
pub mod remove;
pub mod rollback;
pub mod setup;
pub mod status;
pub mod verify;
