//! A chain of steps that build on each other, one for each component.

use std::thread;
use std::time::{Duration, Instant};

use super::report::{Step, StepResult};
use crate::docker::invocation::stderr_of;

/// Steps that build on each other: after one has failed, the rest is not tried.
pub struct Chain {
    pub part: &'static str,
    pub is_broken: bool,
    pub steps: Vec<Step>,
}

impl Chain {
    pub fn new(part: &'static str) -> Chain {
        Chain {
            part,
            is_broken: false,
            steps: Vec::new(),
        }
    }

    /// Takes a step that the following ones need. One that is not tried yields the default.
    pub fn step<T: Default>(
        &mut self,
        claim: &'static str,
        attempt: impl FnOnce() -> anyhow::Result<T>,
    ) -> T {
        let begin = Instant::now();
        let outcome = if self.is_broken {
            None
        } else {
            Some(attempt())
        };
        let (result, detail, value) = match outcome {
            None => (StepResult::Skipped, None, T::default()),
            Some(Ok(value)) => (StepResult::Passed, None, value),
            Some(Err(error)) => (
                StepResult::Failed,
                Some(stderr_of(&error).trim().to_owned()),
                T::default(),
            ),
        };
        self.is_broken |= result == StepResult::Failed;
        self.steps.push(Step {
            part: self.part,
            claim,
            result,
            detail,
            seconds: seconds_since(begin),
        });
        value
    }

    /// Takes a step that stands beside the others: it needs the first one alone, and none needs it.
    pub fn check(&mut self, claim: &'static str, attempt: impl FnOnce() -> anyhow::Result<()>) {
        let answers = self
            .steps
            .first()
            .is_none_or(|first| first.result == StepResult::Passed);
        let was_broken = std::mem::replace(&mut self.is_broken, !answers);
        self.step(claim, attempt);
        self.is_broken = was_broken;
    }
}

/// To the millisecond.
pub fn seconds_since(begin: Instant) -> f64 {
    begin.elapsed().as_millis() as f64 / 1000.0
}

/// Asks until the answer is yes, at least once.
pub fn wait_until(
    patience: Duration,
    mut ask: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if ask()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(100));
    }
}
