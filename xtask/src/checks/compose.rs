//! What Compose makes of the stack's files. Only looks.

use super::finding::Finding;
use crate::problem::Problem;

/// Compose does not accept the files.
pub fn refused(error: &anyhow::Error) -> Finding {
    Finding::error("compose", Problem::of(error))
}
