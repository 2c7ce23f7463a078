//! Runs the built xtask against production machines: nodes of the rig, which `.ci/rig` makes of this one.
//!
//! Each test here needs the rig, and `cargo xtask ci` leaves them out by name where it cannot stand:
//!
//!     cargo test --package xtask --test production -- --include-ignored --nocapture

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml lets tests unwrap, but not what they have in common"
)]

#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "../it/checkout.rs"]
mod checkout;
mod laptop;
mod load;
mod rig;
mod rigged;
mod site;
