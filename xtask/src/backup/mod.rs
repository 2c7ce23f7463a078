//! Backup files and the data they are made of.

pub mod file;
pub mod manifest;
pub mod stores;
