//! Changes of production that survive a kill: whatever a killed one leaves, the next deployment converges.

pub mod deploy;
pub mod export;
pub mod failover;
pub mod import;
pub mod logins;
pub mod migration;
pub mod nodes;
pub mod prove;
pub mod release;
pub mod restore;
pub mod rotate;
pub mod topology;
