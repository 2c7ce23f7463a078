//! The hosts file. Must never change a byte outside our block.

pub mod check;
mod draft;
pub mod edit;
pub mod elevation;
pub mod file;
pub mod platform;
