//! Which services have failed. Only looks; why one has is for `diagnosis`.

use super::Scene;
use super::finding::Finding;
use crate::problem::Problem;
use crate::stack::readiness::{self, Progress};
use crate::system::clock;

const CHECK: &str = "services";

/// Each service that has failed: that restarts again and again, is unhealthy, or ended with an error.
///
/// # Errors
/// When the engine does not answer.
pub fn check(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let containers = scene.docker.containers(&scene.config.name)?;
    let wanted = containers
        .iter()
        .filter(|(name, _)| scene.config.services.contains_key(*name));
    let failed = wanted.filter_map(|(name, container)| {
        let role = scene.config.role(name);
        match readiness::progress(container, role, None, clock::now()) {
            Progress::Failed(reason) => Some((name, reason)),
            Progress::Waiting(_) | Progress::Ready(_) => None,
        }
    });
    let finding = |(name, reason): (&String, readiness::Reason)| {
        let problem = Problem::new(format!("{name} has failed: {reason}"));
        let hint = format!(
            "`cargo xtask restart {name}` tries again and explains why not; \
                            `cargo xtask logs --no-follow {name}` shows what it said"
        );
        Finding::warning(CHECK, problem.hint(hint))
    };
    Ok(failed.map(finding).collect())
}
