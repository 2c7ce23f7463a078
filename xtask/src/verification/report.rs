//! The result of `verify`: steps, what each took, and which hop lost an event.

use serde::Serialize;

use crate::terminal::text::render_table;

#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether every step has passed.
    pub passed: bool,
    /// From the start to the end; steps run side by side.
    pub seconds: f64,
    pub steps: Vec<Step>,
}

#[derive(Debug, Serialize)]
pub struct Step {
    /// Who is asked.
    pub part: &'static str,
    /// What must be true of it.
    pub claim: &'static str,
    pub result: StepResult,
    /// Why it is not true, and the remedy.
    pub detail: Option<String>,
    pub seconds: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StepResult {
    Passed,
    Failed,
    /// A step that this one needs has failed.
    Skipped,
}

impl Report {
    pub fn new(steps: Vec<Step>, seconds: f64) -> Report {
        Report {
            passed: steps.iter().all(|step| step.result == StepResult::Passed),
            seconds,
            steps,
        }
    }

    /// All that `--json` prints.
    ///
    /// # Errors
    /// Never, with what a report holds.
    pub fn render_json(&self) -> anyhow::Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// A line a step, and below it why it has failed.
    pub fn render(&self) -> String {
        let row = |step: &Step| {
            let (mark, time) = match step.result {
                StepResult::Passed => ("ok", format!("{:5.2} s", step.seconds)),
                StepResult::Failed => ("FAILED", format!("{:5.2} s", step.seconds)),
                StepResult::Skipped => ("not tried", String::new()),
            };
            [mark, step.part, step.claim, &time]
                .map(str::to_owned)
                .to_vec()
        };
        let rows: Vec<Vec<String>> = self.steps.iter().map(row).collect();
        let mut text = String::new();
        for (line, step) in render_table(&rows).lines().zip(&self.steps) {
            text.push_str(line);
            text.push('\n');
            if let Some(detail) = &step.detail {
                text.push_str(&format!("    {}\n", detail.replace('\n', "\n    ")));
            }
        }
        let count = |result| {
            self.steps
                .iter()
                .filter(|step| step.result == result)
                .count()
        };
        let (all, failed, skipped) = (
            self.steps.len(),
            count(StepResult::Failed),
            count(StepResult::Skipped),
        );
        let summary = match (failed, skipped) {
            (0, 0) => format!("all {all} steps passed in {:.1} s\n", self.seconds),
            (_, 0) => format!("{failed} of {all} steps failed\n"),
            _ => format!("{failed} of {all} steps failed, {skipped} could not be tried\n"),
        };
        text + &summary
    }
}

/// Why an error that was accepted does not appear. `worker` is the health or state of the worker's
/// container, `waiting` how many tasks are in the queue, as far as it is known.
pub fn explain_stuck(
    worker: &str,
    database_takes_writes: bool,
    waiting: Option<u64>,
    seconds: u64,
) -> String {
    if !database_takes_writes {
        return "lost between the worker and PostgreSQL, which takes no writes".to_owned();
    }
    if worker == "starting" {
        return "stuck at the worker: glitchtip-worker is still starting; repeat in a moment"
            .to_owned();
    }
    let queue = match (worker, waiting) {
        ("healthy" | "unhealthy" | "running", Some(0)) => {
            format!(
                "{worker} glitchtip-worker took it out of the queue, and within {seconds} s stored nothing"
            )
        }
        ("healthy" | "unhealthy" | "running", _) => {
            format!("{worker} glitchtip-worker did not take it within {seconds} s")
        }
        _ => format!("glitchtip-worker is {worker}"),
    };
    format!(
        "stuck at the worker: {queue}.\n\
         `cargo xtask restart glitchtip-worker` recovers it, `cargo xtask logs glitchtip-worker` shows why"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(result: StepResult, detail: Option<&str>) -> Step {
        Step {
            part: "umami",
            claim: "answers",
            result,
            detail: detail.map(str::to_owned),
            seconds: 0.25,
        }
    }

    #[test]
    fn a_failed_step_says_why_and_the_rest_was_not_tried() {
        let failed = step(StepResult::Failed, Some("nothing answers\nstart it"));
        let steps = vec![
            step(StepResult::Passed, None),
            failed,
            step(StepResult::Skipped, None),
        ];
        let report = Report::new(steps, 1.0);
        assert!(!report.passed);
        assert_eq!(
            report.render(),
            "ok         umami  answers   0.25 s\n\
             FAILED     umami  answers   0.25 s\n    nothing answers\n    start it\n\
             not tried  umami  answers\n\
             1 of 3 steps failed, 1 could not be tried\n"
        );
    }

    #[test]
    fn nothing_but_passed_steps_passes() {
        let report = Report::new(
            vec![
                step(StepResult::Passed, None),
                step(StepResult::Passed, None),
            ],
            1.25,
        );
        assert!(report.passed);
        assert!(report.render().ends_with("all 2 steps passed in 1.2 s\n"));
        assert!(!Report::new(vec![step(StepResult::Skipped, None)], 1.0).passed);
    }

    #[test]
    fn names_the_hop_that_lost_the_error() {
        #[track_caller]
        fn check(worker: &str, database: bool, waiting: Option<u64>, expected: &str) {
            let explained = explain_stuck(worker, database, waiting, 10);
            assert!(explained.contains(expected), "{explained}");
        }
        check(
            "exited",
            true,
            Some(4),
            "stuck at the worker: glitchtip-worker is exited.\n`cargo xtask restart",
        );
        check("absent", true, None, "glitchtip-worker is absent");
        check("starting", true, Some(1), "still starting; repeat");
        check(
            "healthy",
            false,
            Some(0),
            "lost between the worker and PostgreSQL",
        );
        check(
            "healthy",
            true,
            Some(4),
            "healthy glitchtip-worker did not take it within 10 s",
        );
        check(
            "unhealthy",
            true,
            Some(0),
            "took it out of the queue, and within 10 s stored nothing",
        );
        check(
            "healthy",
            true,
            Some(0),
            "`cargo xtask restart glitchtip-worker` recovers it",
        );
    }
}
