//! The images that the stack is made from: which are here, and the pull of those that are not.

use std::collections::BTreeSet;

use crate::session::Session;
use crate::stack::desired::Config;

/// Pulls the images that are not here.
///
/// # Errors
/// What Compose says when it cannot.
pub fn ensure(session: &Session, config: &Config) -> anyhow::Result<()> {
    let present = session.docker.images(config.images())?;
    let mut wanted = BTreeSet::new();
    let missing: Vec<&String> = config
        .services
        .iter()
        .filter(|(_, it)| !present.contains_key(&it.image) && wanted.insert(&it.image))
        .map(|(name, _)| name)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let pull = session
        .docker
        .compose()
        .args(["pull", "--ignore-buildable"]);
    pull.args(missing).holding(&session.lock).shown_progress()
}

/// Pulls every image, also those that are here: their names may mean something newer by now.
///
/// # Errors
/// What Compose says when it cannot.
pub fn pull_all(session: &Session) -> anyhow::Result<()> {
    let pull = session
        .docker
        .compose()
        .args(["pull", "--ignore-buildable"]);
    pull.holding(&session.lock).shown_progress()
}
