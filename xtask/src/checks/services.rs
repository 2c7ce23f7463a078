//! Which services have failed. Only looks; why one has is for `diagnosis`.

use super::Scene;
use super::finding::Finding;
use crate::problem::Problem;
use crate::stack::readiness::{self, Progress, Reason};
use crate::system::clock;

const CHECK: &str = "services";

/// Each service that has failed: that restarts again and again, is unhealthy, or ended with an error; and in
/// one finding those that were stopped.
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
            Progress::Failed(reason) => Some((name.as_str(), reason)),
            Progress::Waiting(_) | Progress::Ready(_) => None,
        }
    });
    let (stopped, failed): (Vec<_>, Vec<_>) = failed.partition(|(_, reason)| is_stopped(*reason));
    let mut findings: Vec<Finding> = failed.into_iter().map(has_failed).collect();
    if !stopped.is_empty() {
        let names: Vec<&str> = stopped.into_iter().map(|(name, _)| name).collect();
        let problem = Problem::new(format!("stopped: {}", names.join(", ")));
        let hint = "`cargo xtask up` starts what does not run";
        findings.push(Finding::warning(CHECK, problem.hint(hint)));
    }
    Ok(findings)
}

/// Whether a service ended as one does that is told to: by itself, or by SIGTERM.
fn is_stopped(reason: Reason) -> bool {
    matches!(reason, Reason::Exited(0 | 143))
}

fn has_failed((name, reason): (&str, Reason)) -> Finding {
    let problem = Problem::new(format!("{name} has failed: {reason}")).hint(format!(
        "`cargo xtask restart {name}` tries again and explains why not; \
         `cargo xtask logs --no-follow {name}` shows what it said"
    ));
    match reason {
        // `up` leaves it as it runs, waits for it and fails.
        Reason::CrashLoop(..) | Reason::Unhealthy | Reason::OutOfMemory => {
            Finding::error(CHECK, problem)
        }
        Reason::NotStarted | Reason::Exited(_) | Reason::Paused => Finding::warning(CHECK, problem),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    #[test]
    fn what_up_would_wait_for_in_vain_is_an_error() {
        let level = |reason| has_failed(("redis", reason)).level;
        assert_eq!(level(Reason::CrashLoop(3, 1)), Level::Error);
        assert_eq!(level(Reason::Unhealthy), Level::Error);
        assert_eq!(level(Reason::Exited(1)), Level::Warning);
        assert!(is_stopped(Reason::Exited(143)) && !is_stopped(Reason::Exited(137)));
    }
}
