//! Which services have failed, and which run that should not. Only looks; why one has is for `diagnosis`.

use std::collections::BTreeMap;

use super::Scene;
use super::finding::Finding;
use crate::docker::inspect::Container;
use crate::problem::Problem;
use crate::stack::readiness::{self, Progress, Reason};
use crate::system::clock;

const CHECK: &str = "services";

/// Each service that has failed: that restarts again and again, is unhealthy, or ended with an error; and in
/// one finding those that were stopped. Also each that runs though the configuration no longer has it.
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
    findings.extend(left_over(&containers, |name| {
        scene.config.services.contains_key(name)
    }));
    Ok(findings)
}

/// What runs of services that are not `wanted`, such as one that was removed from the override: Compose leaves
/// it running, and starts it again after each crash.
fn left_over(
    containers: &BTreeMap<String, Container>,
    wanted: impl Fn(&str) -> bool,
) -> impl Iterator<Item = Finding> {
    let others = containers.iter().filter(move |(name, container)| {
        let runs = matches!(container.state.status.as_str(), "running" | "restarting");
        runs && !wanted(name)
    });
    others.map(|(name, container)| {
        let container = container.name.trim_start_matches('/');
        let problem = Problem::new(format!("{name} runs, but is not in the compose files"));
        let hint =
            format!("if nobody needs it any more, `docker rm --force {container}` removes it");
        Finding::warning(CHECK, problem.hint(hint))
    })
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
    use crate::docker::inspect::parse_inspect;

    #[test]
    fn what_runs_and_is_not_in_the_compose_files_is_named() {
        let container = |name: &str, status: &str| {
            let json = format!(
                r#"[{{"Id":"c1","Name":"/analytics-{name}-1","Image":"sha256:1","State":{{"Status":"{status}"}},
                    "Config":{{"Image":"redis:7"}},"HostConfig":{{"Memory":0}}}}]"#
            );
            (name.to_owned(), parse_inspect(&json).unwrap().remove(0))
        };
        let containers = BTreeMap::from([
            container("gone", "running"),
            container("looping", "restarting"),
            container("redis", "running"),
            container("stopped", "exited"),
        ]);
        let findings = left_over(&containers, |name| name == "redis");
        let said: Vec<String> = findings.map(|it| format!("{:?}", it.problem)).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("gone runs, but is not in the compose files"));
        assert!(said[1].contains("`docker rm --force analytics-looping-1`"));
    }

    #[test]
    fn what_up_would_wait_for_in_vain_is_an_error() {
        let level = |reason| has_failed(("redis", reason)).level;
        assert_eq!(level(Reason::CrashLoop(3, 1)), Level::Error);
        assert_eq!(level(Reason::Unhealthy), Level::Error);
        assert_eq!(level(Reason::Exited(1)), Level::Warning);
        assert!(is_stopped(Reason::Exited(143)) && !is_stopped(Reason::Exited(137)));
    }
}
