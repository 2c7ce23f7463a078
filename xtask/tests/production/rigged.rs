//! Tests on the rig; see NEEDS in src/commands/ci.rs.

mod data;
mod death;
mod edges;
mod ha;
mod nodes;
mod releases;
mod several;
mod single;
