//! Proofs that events arrive.

pub mod report;
