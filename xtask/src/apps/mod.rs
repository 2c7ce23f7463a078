//! The applications' own interfaces. Never prints.

pub mod accounts;
pub mod connection;
pub mod curl;
pub mod deployment;
pub mod glitchtip;
pub mod http;
pub mod umami;
