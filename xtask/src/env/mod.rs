//! The env file: what it says, and how it is completed. Must never quote a value in an error.

pub mod dialect;
pub mod file;
pub mod grammar;
pub mod references;
pub mod rules;
pub mod settings;
pub mod template;
pub mod values;

#[cfg(test)]
mod tests;
