//! The hosts file. Must never change a byte outside our block.

mod attributes;
pub mod block;
pub mod check;
pub mod cloud_init;
pub mod configured;
pub mod copies;
pub mod edit;
pub mod elevation;
pub mod file;
pub mod hostname;
pub mod location;
mod lock;
pub mod platform;
pub mod scan;
