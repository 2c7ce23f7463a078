//! Waiting until everything is ready, for whatever target: what to look at and what wakes are arguments.

use std::time::{Duration, Instant};

use super::readiness::{Snapshot, Starter, Verdict, decide};

/// Events say when to look; this is for an engine that loses some.
const LONGEST_GLANCE: Duration = Duration::from_secs(2);

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Ready,
    ServiceFailed,
    StarterFailed,
    TimedOut,
    Interrupted,
}

/// What ended a pause between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake<W> {
    /// Something may have changed: this.
    Look(W),
    Interrupted,
}

/// Looks, and waits for `wake` between two looks, until there is a verdict or `timeout` is over. The first
/// look is told `first`, each later one what woke it. `wake` returns when something may have changed, at
/// the latest after the time that it is given. Returns also the last look.
///
/// # Errors
/// Those of `look`.
pub fn until_ready<W>(
    first: W,
    mut look: impl FnMut(W) -> anyhow::Result<(Snapshot, Starter)>,
    mut wake: impl FnMut(Duration) -> Wake<W>,
    timeout: Duration,
) -> anyhow::Result<(Ended, Snapshot)> {
    let begin = Instant::now();
    let mut woken = first;
    loop {
        let (snapshot, starter) = look(woken)?;

        let left = timeout.saturating_sub(begin.elapsed());
        let ended = match decide(&snapshot, starter) {
            Verdict::Ready => Some(Ended::Ready),
            Verdict::ServiceFailed => Some(Ended::ServiceFailed),
            Verdict::StarterFailed => Some(Ended::StarterFailed),
            Verdict::Wait if left.is_zero() => Some(Ended::TimedOut),
            Verdict::Wait => None,
        };
        if let Some(ended) = ended {
            return Ok((ended, snapshot));
        }

        woken = match wake(left.min(LONGEST_GLANCE)) {
            Wake::Look(woken) => woken,
            Wake::Interrupted => return Ok((Ended::Interrupted, snapshot)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::readiness::Progress;

    fn snapshot(progress: Progress) -> Snapshot {
        Snapshot {
            rows: vec![("umami".to_owned(), progress)],
        }
    }

    #[test]
    fn ends_when_all_is_ready_and_each_look_knows_what_woke_it() {
        let mut looks = vec![Progress::Ready("healthy"), Progress::Waiting("starting")];
        let mut told = Vec::new();
        let look = |woken: &str| {
            told.push(woken.to_owned());
            Ok((snapshot(looks.pop().unwrap()), Starter::Succeeded))
        };
        let wake = |_| Wake::Look("event");
        let (ended, last) = until_ready("first", look, wake, Duration::from_secs(60)).unwrap();
        assert_eq!(
            (ended, last),
            (Ended::Ready, snapshot(Progress::Ready("healthy")))
        );
        assert_eq!(told, ["first", "event"]);
    }

    #[test]
    fn what_is_ready_at_the_deadline_is_ready() {
        let ready = |()| Ok((snapshot(Progress::Ready("healthy")), Starter::Succeeded));
        let waiting = |()| Ok((snapshot(Progress::Waiting("starting")), Starter::Succeeded));
        let never = |_| -> Wake<()> { panic!("nothing is left to wait for") };
        assert_eq!(
            until_ready((), ready, never, Duration::ZERO).unwrap().0,
            Ended::Ready
        );
        assert_eq!(
            until_ready((), waiting, never, Duration::ZERO).unwrap().0,
            Ended::TimedOut
        );
    }

    #[test]
    fn an_interrupt_ends_the_wait() {
        let waiting = |()| Ok((snapshot(Progress::Waiting("starting")), Starter::Running));
        let wake = |_| Wake::Interrupted;
        let (ended, _) = until_ready((), waiting, wake, Duration::from_secs(60)).unwrap();
        assert_eq!(ended, Ended::Interrupted);
    }
}
