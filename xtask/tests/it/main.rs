//! Runs the built xtask in temporary checkouts, and holds the artifacts to what they promise.

mod artifacts;
mod checkout;
mod cli;
mod setup;
mod stack;
mod tidy;
