//! The env file: what it says, and how it is completed. Must never quote a value in an error.

pub mod dialect;
