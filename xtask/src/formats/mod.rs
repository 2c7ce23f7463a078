//! Text in, text out. Nothing here touches a file, a clock, the environment, randomness or a process.

pub mod backup;
pub mod compose;
pub mod connection;
pub mod containers;
pub mod diagnosis;
pub mod doctor;
pub mod engine;
pub mod env;
pub mod hosts;
pub mod platform;
pub mod remedies;
pub mod render;
pub mod verification;
