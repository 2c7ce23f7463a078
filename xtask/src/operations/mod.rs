//! Changes that survive a kill: each leaves a record of what is under way, and the next command resumes
//! it. Must never know clap, and never prints results.

pub mod env_file;
pub mod journal;
pub mod open;
pub mod production;
pub mod prove;
pub mod restore;
pub mod rotate;
pub mod start;
pub mod upgrade;
