//! Starting the stack and waiting until it is healthy, with an explanation where it is not.

use std::collections::BTreeSet;

use crate::diagnosis;
use crate::session::Session;
use crate::stack::{Stack, images};

/// Starts everything and waits for it.
///
/// # Errors
/// What is not healthy; why was said.
pub fn everything(session: &Session) -> anyhow::Result<()> {
    let stack = Stack::read(&session.docker)?;
    let all: BTreeSet<String> = stack.desired.services.keys().cloned().collect();
    services(session, &stack, &[], &all)
}

/// Starts what `arguments` (of `compose up`) name, and waits until all of `awaited` is healthy. Images that
/// are not here are pulled first.
///
/// # Errors
/// What is not healthy; why was said.
pub fn services(
    session: &Session,
    stack: &Stack,
    arguments: &[&str],
    awaited: &BTreeSet<String>,
) -> anyhow::Result<()> {
    let (docker, config) = (&session.docker, &stack.desired);
    let explain = |error| diagnosis::explain(docker, config, error);
    images::ensure(session, config).map_err(explain)?;
    stack.apply(session, arguments, awaited).map_err(explain)
}
