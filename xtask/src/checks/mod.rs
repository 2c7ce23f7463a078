//! What `doctor` and the preflight look at.

pub mod judge;
pub mod repairs;
