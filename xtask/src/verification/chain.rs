//! A chain of steps for one component. A step names what it needs of earlier ones; without that it is not
//! tried. Must never decide what a failure means for other components.

use std::thread;
use std::time::{Duration, Instant};

use super::report::{Step, StepResult};
use crate::problem::Problem;

/// The steps of one component, as they went.
pub struct Chain {
    component: &'static str,
    steps: Vec<Step>,
}

impl Chain {
    pub fn new(component: &'static str) -> Chain {
        Chain {
            component,
            steps: Vec::new(),
        }
    }

    /// Takes a step that needs nothing; `Some` when it passed.
    pub fn begin<T>(
        &mut self,
        claim: &'static str,
        attempt: impl FnOnce() -> anyhow::Result<T>,
    ) -> Option<T> {
        self.then(Some(()), claim, |()| attempt())
    }

    /// Takes a step with what it needs; it is not tried when that is `None`. `Some` when it passed.
    pub fn then<N, T>(
        &mut self,
        needed: Option<N>,
        claim: &'static str,
        attempt: impl FnOnce(N) -> anyhow::Result<T>,
    ) -> Option<T> {
        let begin = Instant::now();
        let outcome = needed.map(attempt);
        let (result, problem, value) = match outcome {
            None => (StepResult::Skipped, None, None),
            Some(Ok(value)) => (StepResult::Passed, None, Some(value)),
            Some(Err(error)) => (StepResult::Failed, Some(Problem::of(&error)), None),
        };
        self.steps.push(Step {
            component: self.component,
            claim,
            result,
            problem,
            note: None,
            seconds: seconds_since(begin),
        });
        value
    }

    /// Says something of the step that was just taken.
    pub fn note(&mut self, note: impl Into<String>) {
        if let Some(step) = self.steps.last_mut() {
            step.note = Some(note.into());
        }
    }

    /// Puts a better explanation in the place of the one that a step has failed with.
    pub fn explain(&mut self, claim: &str, problem: Problem) {
        let is_it = |step: &&mut Step| step.claim == claim && step.result == StepResult::Failed;
        if let Some(step) = self.steps.iter_mut().find(is_it) {
            step.problem = Some(problem);
        }
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }
}

/// To the millisecond.
pub fn seconds_since(begin: Instant) -> f64 {
    begin.elapsed().as_millis() as f64 / 1000.0
}

/// Asks until there is an answer, at least once; `None` when the patience is over.
pub fn wait_for<T>(
    patience: Duration,
    mut ask: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        let answer = ask()?;
        if answer.is_some() || Instant::now() >= deadline {
            return Ok(answer);
        }
        thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_step_is_tried_only_with_what_it_needs() {
        let mut chain = Chain::new("umami");
        let failed = chain.begin("answers", || -> anyhow::Result<u8> { Err(anyhow!("no")) });
        let passed = chain.begin("runs", || Ok(7));
        chain.then(failed, "needs the first", |_| -> anyhow::Result<()> {
            panic!("it must not be tried")
        });
        let sum = chain.then(passed, "needs the second", |value| Ok(value + 1));
        assert_eq!(sum, Some(8));

        let results: Vec<StepResult> = chain.into_steps().iter().map(|it| it.result).collect();
        let expected = [
            StepResult::Failed,
            StepResult::Passed,
            StepResult::Skipped,
            StepResult::Passed,
        ];
        assert_eq!(results, expected);
    }

    #[test]
    fn waiting_ends_with_the_first_answer_or_the_patience() {
        let mut left = 2;
        let answer = wait_for(Duration::from_secs(10), || {
            left -= 1;
            Ok((left == 0).then_some("there"))
        });
        assert_eq!(answer.unwrap(), Some("there"));
        let nothing = wait_for(Duration::ZERO, || Ok(None::<()>));
        assert_eq!(nothing.unwrap(), None);
    }
}
