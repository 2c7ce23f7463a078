//! The stack on one machine, run by Compose.

pub mod desired;
