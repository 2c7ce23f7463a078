//! How far a stack is, from what the engine says of its containers. Must never look itself.

use std::fmt;

use super::desired::Role;
use crate::docker::inspect::Container;
use crate::terminal::text::parse_timestamp;

/// This many restarts in a row are no coincidence: what a service depends on was ready before it started.
const CRASH_LOOP: u64 = 3;

/// Seconds after its last crash for which a container that was not seen before counts as in a crash loop;
/// the engine waits a minute at most between two starts.
const RECENT: u64 = 120;

/// Seconds that a service without a health check must stay up before it counts as ready.
const STABLE: u64 = 3;

/// Not started again since it ended.
pub const STOPPED: Progress = Progress::Waiting("stopped");

/// How far one service is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    Waiting(&'static str),
    Ready(&'static str),
    Failed(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    NotStarted,
    Exited(i64),
    OutOfMemory,
    Unhealthy,
    /// How many restarts, and the last exit code.
    CrashLoop(u64, i64),
    Paused,
}

/// How far each awaited service is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub rows: Vec<(String, Progress)>,
}

/// How far the command is that starts the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Starter {
    Running,
    Succeeded,
    Failed,
}

/// What a look means for the one who waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Wait,
    Ready,
    /// A service has failed.
    ServiceFailed,
    /// The command that starts the services has failed.
    StarterFailed,
}

/// Whether to go on waiting.
pub fn decide(snapshot: &Snapshot, starter: Starter) -> Verdict {
    let all_ready = || {
        snapshot
            .rows
            .iter()
            .all(|(_, it)| matches!(it, Progress::Ready(_)))
    };
    match starter {
        _ if snapshot.failed().next().is_some() => Verdict::ServiceFailed,
        Starter::Failed => Verdict::StarterFailed,
        Starter::Succeeded if all_ready() => Verdict::Ready,
        Starter::Succeeded | Starter::Running => Verdict::Wait,
    }
}

impl Snapshot {
    pub fn failed(&self) -> impl Iterator<Item = &(String, Progress)> {
        self.rows
            .iter()
            .filter(|(_, progress)| matches!(progress, Progress::Failed(_)))
    }

    pub fn waiting(&self) -> impl Iterator<Item = &(String, Progress)> {
        self.rows
            .iter()
            .filter(|(_, progress)| matches!(progress, Progress::Waiting(_)))
    }
}

/// How far a container is at `now` (seconds since 1970). `before` is the same service's container as it
/// was before anything was started: what it did then is no news.
pub fn progress(
    container: &Container,
    role: Role,
    before: Option<&Container>,
    now: u64,
) -> Progress {
    let state = &container.state;
    let is_old =
        before.is_some_and(|it| it.id == container.id && it.state.started_at == state.started_at);
    let health = state.health.as_ref().map(|health| health.status.as_str());
    match (state.status.as_str(), role) {
        ("created", _) if state.error.is_empty() || is_old => Progress::Waiting("created"),
        ("created", _) => Progress::Failed(Reason::NotStarted),
        ("exited", Role::OneShot) if state.exit_code == 0 => Progress::Ready("done"),
        ("exited" | "dead", _) if is_old => STOPPED,
        ("exited" | "dead", _) if state.oom_killed => Progress::Failed(Reason::OutOfMemory),
        ("exited" | "dead", _) => Progress::Failed(Reason::Exited(state.exit_code)),
        ("paused", _) => Progress::Failed(Reason::Paused),
        ("running", Role::LongRunning) if health == Some("healthy") => Progress::Ready("healthy"),
        ("running" | "restarting", _) if state.oom_killed => Progress::Failed(Reason::OutOfMemory),
        // What its health check last said is old news of a program that has ended.
        ("restarting", _) if health == Some("unhealthy") => Progress::Failed(Reason::CrashLoop(
            container.restart_count.max(1),
            state.exit_code,
        )),
        (_, _) if health == Some("unhealthy") => Progress::Failed(Reason::Unhealthy),
        ("running" | "restarting", _) => running(container, role, before, now),
        _ => Progress::Waiting("changing"),
    }
}

/// How far a container is that runs, or is between two runs.
fn running(container: &Container, role: Role, before: Option<&Container>, now: u64) -> Progress {
    let state = &container.state;
    if let Some(restarts) = crash_loop(container, before, now) {
        return Progress::Failed(Reason::CrashLoop(restarts, state.exit_code));
    }
    match (state.status.as_str(), role) {
        ("restarting", _) => Progress::Waiting("restarting"),
        (_, Role::OneShot) => Progress::Waiting("running"),
        (_, Role::LongRunning) if state.health.is_some() => Progress::Waiting("starting"),
        (_, Role::LongRunning) => {
            let started = parse_timestamp(&state.started_at).unwrap_or(0);
            match now.saturating_sub(started) {
                ..STABLE => Progress::Waiting("starting"),
                _ => Progress::Ready("running"),
            }
        }
    }
}

/// How often a container that is not healthy has restarted, if that is a loop. The engine's count only
/// grows, so restarts that were seen before do not count, and without an earlier look the last crash must
/// be recent.
fn crash_loop(container: &Container, before: Option<&Container>, now: u64) -> Option<u64> {
    let count = container.restart_count;
    if let Some(before) = before.filter(|before| before.id == container.id) {
        let restarts = count.saturating_sub(before.restart_count);
        return (restarts >= CRASH_LOOP).then_some(restarts);
    }
    let crashed = parse_timestamp(&container.state.finished_at);
    let is_recent = crashed.is_none_or(|crashed| now.saturating_sub(crashed) <= RECENT);
    (count >= CRASH_LOOP && is_recent).then_some(count)
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Reason::NotStarted => f.write_str("not started"),
            Reason::Exited(code) => write!(f, "exited ({code})"),
            Reason::OutOfMemory => f.write_str("out of memory (OOM-killed)"),
            Reason::Unhealthy => f.write_str("unhealthy"),
            Reason::CrashLoop(restarts, code) => {
                let times = if *restarts == 1 {
                    "restart"
                } else {
                    "restarts"
                };
                write!(f, "crash loop ({restarts} {times}")?;
                // The engine forgets it with the next start.
                if *code != 0 {
                    write!(f, ", last exit code {code}")?;
                }
                f.write_str(")")
            }
            Reason::Paused => f.write_str("paused"),
        }
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Progress::Waiting(state) | Progress::Ready(state) => f.write_str(state),
            Progress::Failed(reason) => reason.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Progress::{Failed, Ready, Waiting};
    use super::*;
    use crate::docker::inspect::parse_inspect;

    /// 2026-11-22T17:09:11Z
    const NOW: u64 = 1_795_367_351;

    const HEALTHY: &str = r#""Status":"running","Health":{"Status":"healthy","Log":[]}"#;
    const STARTING: &str = r#""Status":"running","Health":{"Status":"starting","Log":null}"#;

    /// A container as `docker inspect` shows it, with a state of its own.
    fn container(state: &str, restart_count: u64) -> Container {
        let config = r#"{"Image":"umami:3","Labels":{"com.docker.compose.service":"umami"}}"#;
        let json = format!(
            r#"[{{"Id":"c1","Name":"/umami","Image":"sha256:1","RestartCount":{restart_count},
                "State":{{{state}}},"Config":{config},"HostConfig":{{"Memory":1}}}}]"#
        );
        parse_inspect(&json).unwrap().remove(0)
    }

    #[track_caller]
    fn check(state: &str, restart_count: u64, role: Role, wanted: Progress) {
        assert_eq!(
            progress(&container(state, restart_count), role, None, NOW),
            wanted
        );
    }

    #[test]
    fn tells_ready_from_waiting_from_failed() {
        use Role::{LongRunning, OneShot};
        check(HEALTHY, 0, LongRunning, Ready("healthy"));
        check(STARTING, 0, LongRunning, Waiting("starting"));
        check(r#""Status":"running""#, 0, OneShot, Waiting("running"));
        check(
            r#""Status":"exited","ExitCode":0"#,
            0,
            OneShot,
            Ready("done"),
        );
        check(
            r#""Status":"exited","ExitCode":0"#,
            0,
            LongRunning,
            Failed(Reason::Exited(0)),
        );
        check(
            r#""Status":"exited","ExitCode":3"#,
            0,
            OneShot,
            Failed(Reason::Exited(3)),
        );
        let killed = r#""Status":"exited","ExitCode":137,"OOMKilled":true"#;
        check(killed, 0, OneShot, Failed(Reason::OutOfMemory));
        let unhealthy = r#""Status":"running","Health":{"Status":"unhealthy"}"#;
        check(unhealthy, 0, LongRunning, Failed(Reason::Unhealthy));
        let ended = r#""Status":"restarting","ExitCode":127,"Health":{"Status":"unhealthy"}"#;
        let crashed = Failed(Reason::CrashLoop(1, 127));
        check(ended, 0, LongRunning, crashed);
        assert_eq!(
            crashed.to_string(),
            "crash loop (1 restart, last exit code 127)"
        );
        let refused = r#""Status":"created","Error":"port is already allocated""#;
        check(refused, 0, LongRunning, Failed(Reason::NotStarted));
        check(r#""Status":"created""#, 0, LongRunning, Waiting("created"));
        check(
            r#""Status":"paused""#,
            0,
            LongRunning,
            Failed(Reason::Paused),
        );
        check(
            r#""Status":"restarting","ExitCode":1"#,
            2,
            LongRunning,
            Waiting("restarting"),
        );
    }

    #[test]
    fn without_a_health_check_it_must_stay_up_for_a_while() {
        let since = |time: &str| format!(r#""Status":"running","StartedAt":"{time}""#);
        check(
            &since("2026-11-22T17:09:10Z"),
            0,
            Role::LongRunning,
            Waiting("starting"),
        );
        check(
            &since("2026-11-22T17:09:00Z"),
            0,
            Role::LongRunning,
            Ready("running"),
        );
    }

    #[test]
    fn a_crash_loop_is_restarts_in_a_short_time() {
        let crashed = |time: &str| format!(r#"{STARTING},"FinishedAt":"{time}","ExitCode":1"#);
        let looping = Failed(Reason::CrashLoop(3, 1));
        check(
            &crashed("2026-11-22T17:09:00Z"),
            3,
            Role::LongRunning,
            looping,
        );
        // What crashed last week and starts now does not loop.
        check(
            &crashed("2026-11-15T17:09:00Z"),
            30,
            Role::LongRunning,
            Waiting("starting"),
        );
        check(HEALTHY, 30, Role::LongRunning, Ready("healthy"));
    }

    #[test]
    fn what_happened_before_is_no_news() {
        let before = container(r#""Status":"exited","ExitCode":1,"StartedAt":"t1""#, 0);
        let again = container(r#""Status":"exited","ExitCode":1,"StartedAt":"t2""#, 0);
        let seen = |it: &Container, before| progress(it, Role::OneShot, Some(before), NOW);
        assert_eq!(seen(&before, &before), Waiting("stopped"));
        assert_eq!(seen(&again, &before), Failed(Reason::Exited(1)));
        let restarted = container(STARTING, 9);
        let now = progress(&restarted, Role::LongRunning, Some(&restarted), NOW);
        assert_eq!(now, Waiting("starting"));
    }

    #[test]
    fn waits_until_all_are_ready_and_the_starter_has_ended() {
        let snapshot = |states: &[Progress]| Snapshot {
            rows: states
                .iter()
                .map(|&state| ("x".to_owned(), state))
                .collect(),
        };
        let (ready, waiting) = (Ready("healthy"), Waiting("starting"));
        let failed = Failed(Reason::Unhealthy);
        for (states, starter, verdict) in [
            (&[ready, ready][..], Starter::Succeeded, Verdict::Ready),
            (&[ready, ready], Starter::Running, Verdict::Wait),
            (&[ready, waiting], Starter::Succeeded, Verdict::Wait),
            (&[ready, waiting], Starter::Failed, Verdict::StarterFailed),
            (&[failed, waiting], Starter::Running, Verdict::ServiceFailed),
            (&[failed, waiting], Starter::Failed, Verdict::ServiceFailed),
            (&[], Starter::Succeeded, Verdict::Ready),
        ] {
            assert_eq!(
                decide(&snapshot(states), starter),
                verdict,
                "{states:?} {starter:?}"
            );
        }
    }
}
