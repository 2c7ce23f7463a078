//! Tests on the rig; see NEEDS in src/commands/ci.rs.

mod nodes;
mod several;
mod single;
