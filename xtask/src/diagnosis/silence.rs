//! What can be said of a service that has ended and wrote nothing. Must never look itself.

use crate::problem::Problem;
use crate::stack::readiness::{Progress, Reason};

/// By their numbers on Linux; a program that one of them ended has 128 more as its exit code.
const SIGNALS: &[(i64, &str)] = &[
    (1, "SIGHUP"),
    (2, "SIGINT"),
    (4, "SIGILL"),
    (6, "SIGABRT"),
    (7, "SIGBUS"),
    (8, "SIGFPE"),
    (9, "SIGKILL"),
    (11, "SIGSEGV"),
    (13, "SIGPIPE"),
    (15, "SIGTERM"),
];

/// How a service ended that wrote nothing, and where to look; `None` where it did not end with an error. `last` is
/// the exit code of its last run, where the state of its container no longer has it.
pub fn explain(service: &str, progress: Progress, last: Option<i64>) -> Option<Problem> {
    let (code, often) = match progress {
        Progress::Failed(Reason::Exited(code)) if code != 0 => (Some(code), ""),
        Progress::Failed(Reason::CrashLoop(_, 0)) => (last, " after each start"),
        Progress::Failed(Reason::CrashLoop(_, code)) => (Some(code), " after each start"),
        _ => return None,
    };
    let what = format!(
        "{service} ended{often}{}, wrote nothing, and was not killed for its memory limit",
        code.map(describe).unwrap_or_default()
    );
    let look = format!(
        "check `command`, `entrypoint` and `environment` of {service} in the override, and its image; \
         `cargo xtask logs {service}` shows what it writes from now on"
    );
    let hint = match code {
        Some(137) => {
            format!(
                "`sudo dmesg` shows whether the kernel killed it for want of memory; else {look}"
            )
        }
        _ => look,
    };
    Some(Problem::new(what).hint(hint))
}

fn describe(code: i64) -> String {
    let signal = SIGNALS.iter().find(|(number, _)| code == 128 + number);
    match signal {
        Some((_, name)) => format!(" by {name} (exit code {code})"),
        None => format!(" with exit code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(reason: Reason, last: Option<i64>, wanted: Option<&str>) {
        let problem = explain("umami", Progress::Failed(reason), last);
        let what = problem.as_ref().map(|it| it.what.as_str());
        let wanted = wanted
            .map(|it| format!("{it}, wrote nothing, and was not killed for its memory limit"));
        assert_eq!(what, wanted.as_deref());
    }

    #[test]
    fn says_by_what_a_silent_service_ended() {
        let looping = "umami ended after each start";
        check(
            Reason::CrashLoop(3, 3),
            None,
            Some(&format!("{looping} with exit code 3")),
        );
        // The engine forgets the code with the next start.
        check(
            Reason::CrashLoop(3, 0),
            Some(139),
            Some(&format!("{looping} by SIGSEGV (exit code 139)")),
        );
        check(
            Reason::CrashLoop(3, 0),
            Some(0),
            Some(&format!("{looping} with exit code 0")),
        );
        check(Reason::CrashLoop(3, 0), None, Some(looping));
        check(
            Reason::Exited(137),
            None,
            Some("umami ended by SIGKILL (exit code 137)"),
        );
        check(Reason::Exited(0), None, None);
        check(Reason::Unhealthy, Some(1), None);
        check(Reason::OutOfMemory, Some(137), None);
    }

    #[test]
    fn a_silent_kill_has_the_kernel_s_log_as_the_place_to_look() {
        let hint = |code| {
            let reason = Progress::Failed(Reason::Exited(code));
            explain("umami", reason, None).unwrap().hint.unwrap()
        };
        assert!(hint(137).starts_with("`sudo dmesg`"), "{}", hint(137));
        assert!(hint(1).contains("`cargo xtask logs umami`"), "{}", hint(1));
    }
}
