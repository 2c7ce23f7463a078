//! This machine: files, locks, processes, ports, names. Must never know what for.

pub mod ask;
pub mod cargo;
pub mod clock;
pub mod files;
pub mod folders;
pub mod git;
pub mod http;
pub mod interrupt;
pub mod lock;
pub mod machine;
pub mod ports;
pub mod process;
pub mod random;
pub mod resolver;
