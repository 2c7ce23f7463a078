//! How far a rollout is, from what the swarm says of services and tasks. [pure]
//!
//! The swarm's own word is not enough: it calls an update that it has rolled back a success for whoever waits,
//! and counts tasks of any version. So the tasks are counted that did not exist before.

use std::collections::{BTreeMap, BTreeSet};

use super::inspect::{Service, Task};

/// A task of a service that has no predecessor may fail this often: what it needs may still be starting.
const FIRST_FAILURES: usize = 3;

/// What there was before a deployment.
#[derive(Debug, Default)]
pub struct Before {
    services: BTreeSet<String>,
    tasks: BTreeSet<String>,
}

/// How far one service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// With how many of how many, and what the next one does.
    Waiting(String),
    /// A task finds no place, for this reason; that may pass.
    Stuck(String),
    Ready,
    /// It will not get well by itself, for this reason.
    Failed(Cause),
}

/// Why a service failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    pub reason: String,
    /// The task that shows it.
    pub task: Option<String>,
}

impl Before {
    pub fn new(services: &BTreeMap<String, Service>, tasks: &[Task]) -> Before {
        Before {
            services: services.keys().cloned().collect(),
            tasks: tasks.iter().map(|task| task.id.clone()).collect(),
        }
    }

    /// How far a service is on its way from what it was. `tasks` may have those of others.
    pub fn progress(&self, name: &str, service: &Service, tasks: &[Task]) -> Progress {
        let own: Vec<&Task> = tasks.iter().filter(|it| it.service == service.id).collect();
        let is_current = |task: &&&Task| service.is_of_this_version(task);
        let current: Vec<&Task> = own.iter().filter(is_current).copied().collect();
        if let Some(cause) = self.failure(name, service, &own) {
            return Progress::Failed(cause);
        }
        if service.replicas() == Some(0) {
            // No file of ours asks for that: somebody, or a command that was killed, has stopped it.
            return Progress::Waiting("stopped: scaled to 0".to_owned());
        }

        let wanted = match service.replicas() {
            Some(replicas) => replicas as usize,
            // The swarm makes a task for each node that may have one.
            None => own
                .iter()
                .filter(|it| it.desired_state == "running")
                .count()
                .max(1),
        };
        let running = current.iter().filter(|task| task.runs()).count();
        let is_updated = matches!(service.update_state(), "" | "completed");
        let has_others = own.iter().any(|task| task.runs() && !is_current(&task));
        if running >= wanted && is_updated && !has_others {
            return Progress::Ready;
        }
        waiting(&current, running, wanted)
    }

    /// Why it will not get well.
    fn failure(&self, name: &str, service: &Service, own: &[&Task]) -> Option<Cause> {
        let gave_up = matches!(
            service.update_state(),
            "paused" | "rollback_started" | "rollback_paused" | "rollback_completed"
        );
        let is_new = |task: &&&Task| !self.tasks.contains(&task.id);
        // A service that was rolled back is of the old version again, and the task that failed is not.
        let is_concerned = |task: &&&Task| gave_up || service.is_of_this_version(task);
        let mut failed: Vec<&Task> = own
            .iter()
            .filter(is_new)
            .filter(is_concerned)
            .filter(|task| task.has_failed())
            .copied()
            .collect();
        failed.sort_by(|a, b| a.status.timestamp.cmp(&b.status.timestamp));
        let allowed = if self.services.contains(name) {
            1
        } else {
            FIRST_FAILURES
        };
        if failed.len() < allowed && !gave_up {
            return None;
        }
        let reason = match (failed.last(), &service.update_status) {
            (Some(task), _) => task.reason().to_owned(),
            (None, Some(status)) => status.message.clone(),
            (None, None) => String::new(),
        };
        Some(Cause {
            reason,
            task: failed.last().map(|task| task.id.clone()),
        })
    }
}

/// What is to be said of tasks that are on their way.
fn waiting(current: &[&Task], running: usize, wanted: usize) -> Progress {
    let on_the_way = |task: &&&Task| task.desired_state != "shutdown" && !task.runs();
    let next = current.iter().filter(on_the_way).max_by(|a, b| {
        let (a, b) = (&a.status.timestamp, &b.status.timestamp);
        a.cmp(b)
    });
    match next {
        Some(task) if task.status.state == "pending" && !task.status.err.is_empty() => {
            Progress::Stuck(task.status.err.clone())
        }
        Some(task) if wanted == 1 => Progress::Waiting(task.status.state.clone()),
        Some(task) => Progress::Waiting(format!("{running} of {wanted}, {}", task.status.state)),
        None => Progress::Waiting(format!("{running} of {wanted}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inspect::{parse_services, parse_tasks};
    use super::*;

    fn service(image: &str, replicas: u64, update: &str) -> Service {
        let update = match update {
            "" => String::new(),
            state => format!(r#","UpdateStatus":{{"State":"{state}","Message":"update paused"}}"#),
        };
        let json = format!(
            r#"[{{"ID":"s","Spec":{{"Name":"a_umami","TaskTemplate":{{"ContainerSpec":{{"Image":"{image}"}}}},
                "Mode":{{"Replicated":{{"Replicas":{replicas}}}}}}}{update}}}]"#
        );
        parse_services(&json).unwrap().remove(0)
    }

    /// `id image state desired [error]`, one a line.
    fn tasks(lines: &str) -> Vec<Task> {
        let task = |line: &str| {
            let mut words = line.trim().splitn(5, ' ');
            let mut next = || words.next().unwrap_or_default().to_owned();
            let (id, image, state, desired, err) = (next(), next(), next(), next(), next());
            format!(
                r#"{{"ID":"{id}","ServiceID":"s","NodeID":"n","DesiredState":"{desired}",
                    "Spec":{{"ContainerSpec":{{"Image":"{image}","Isolation":"default"}}}},
                    "Status":{{"Timestamp":"{id}","State":"{state}","Err":"{err}"}}}}"#
            )
        };
        let json: Vec<String> = lines.lines().map(task).collect();
        parse_tasks(&format!("[{}]", json.join(","))).unwrap()
    }

    /// A rollout from `old` to `new`.
    fn progress(old: Option<&Service>, new: &Service, lines: &str) -> Progress {
        let services = old.map(|old| ("umami".to_owned(), old.clone()));
        let services = services.into_iter().collect();
        let before = Before::new(&services, &tasks("1 a running running"));
        before.progress("umami", new, &tasks(lines))
    }

    fn waiting(text: &str) -> Progress {
        Progress::Waiting(text.to_owned())
    }

    fn failed(reason: &str, task: Option<&str>) -> Progress {
        Progress::Failed(Cause {
            reason: reason.to_owned(),
            task: task.map(str::to_owned),
        })
    }

    #[test]
    fn what_did_not_change_is_ready_with_its_old_tasks() {
        let same = service("a", 1, "completed");
        let now = progress(Some(&same), &same, "1 a running running");
        assert_eq!(now, Progress::Ready);
        let crashed = "1 a failed shutdown no\n2 a starting running";
        let now = progress(Some(&same), &same, crashed);
        assert_eq!(now, waiting("starting"));
    }

    #[test]
    fn a_new_version_is_ready_when_its_own_tasks_run_and_the_old_ones_are_gone() {
        #[track_caller]
        fn check(update: &str, tasks: &str, expected: &Progress) {
            let (old, new) = (service("a", 1, "completed"), service("b", 1, update));
            assert_eq!(progress(Some(&old), &new, tasks), *expected);
        }
        let old = "1 a running running";
        check("", old, &waiting("0 of 1"));
        check(
            "updating",
            &format!("{old}\n2 b starting running"),
            &waiting("starting"),
        );
        check(
            "updating",
            &format!("{old}\n2 b running running"),
            &waiting("1 of 1"),
        );
        check(
            "completed",
            "1 a shutdown shutdown\n2 b running running",
            &Progress::Ready,
        );
    }

    #[test]
    fn going_back_to_what_still_runs_needs_no_new_task() {
        let (broken, old) = (service("b", 1, "updating"), service("a", 1, ""));
        let lines = "1 a running running\n2 b failed shutdown no\n3 b shutdown shutdown";
        assert_eq!(progress(Some(&broken), &old, lines), Progress::Ready);
    }

    #[test]
    fn the_first_failed_task_of_a_new_version_is_enough() {
        let (old, new) = (service("a", 1, "completed"), service("b", 1, "updating"));
        #[track_caller]
        fn check(old: &Service, new: &Service, task: &str, reason: &str) {
            let lines = format!("1 a running running\n2 b {task} {reason}\n3 b ready ready");
            assert_eq!(progress(Some(old), new, &lines), failed(reason, Some("2")));
        }
        check(&old, &new, "failed shutdown", "task: non-zero exit (1)");
        check(&old, &new, "rejected shutdown", "No such image: b");
    }

    #[test]
    fn a_rollback_by_the_swarm_is_a_failure_whatever_runs() {
        let old = service("a", 1, "completed");
        let back = service("a", 1, "rollback_completed");
        let now = progress(Some(&old), &back, "1 a running running");
        assert_eq!(now, failed("update paused", None));
        let ill = "task: non-zero exit (143): dockerexec: unhealthy container";
        let lines = format!("1 a running running\n2 b failed shutdown {ill}");
        assert_eq!(progress(Some(&old), &back, &lines), failed(ill, Some("2")));
    }

    #[test]
    fn what_is_scaled_to_nothing_is_not_well() {
        let stopped = service("a", 0, "completed");
        let now = progress(Some(&stopped), &stopped, "1 a shutdown shutdown");
        assert_eq!(now, waiting("stopped: scaled to 0"));
    }

    #[test]
    fn a_service_without_a_predecessor_may_fail_twice() {
        let new = service("a", 1, "");
        let twice = "2 a failed shutdown no\n3 a failed shutdown no\n4 a starting running";
        assert_eq!(progress(None, &new, twice), waiting("starting"));
        let often = format!("{twice}\n5 a failed shutdown no");
        assert_eq!(progress(None, &new, &often), failed("no", Some("5")));
    }

    #[test]
    fn a_task_without_a_place_says_why() {
        let new = service("a", 2, "");
        let err = "no suitable node (insufficient resources on 1 node)";
        let lines = format!("2 a running running\n3 a pending running {err}");
        assert_eq!(
            progress(None, &new, &lines),
            Progress::Stuck(err.to_owned())
        );
        let lines = "2 a running running\n3 a starting running";
        assert_eq!(progress(None, &new, lines), waiting("1 of 2, starting"));
    }
}
