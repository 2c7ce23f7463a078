//! What `production nodes` does, one verb a file.

pub mod activate;
pub mod add;
pub mod drain;
pub mod list;
pub mod rebalance;
pub mod replace;
