//! The result of `verify`: steps, what each took, and which hop lost an event.

use serde::Serialize;

use crate::problem::Problem;
use crate::terminal::text::render_table;

/// The version of what `--json` prints. A field that goes or changes its meaning makes a new one; a new
/// field does not.
const VERSION: u32 = 1;

/// All steps of one run.
#[derive(Debug)]
pub struct Report {
    /// Whether every step has passed.
    pub passed: bool,
    /// From the start to the end; steps run side by side.
    pub seconds: f64,
    pub steps: Vec<Step>,
}

#[derive(Debug)]
pub struct Step {
    /// Who is asked.
    pub component: &'static str,
    /// What must be true of it.
    pub claim: &'static str,
    pub result: StepResult,
    /// Why it is not true.
    pub problem: Option<Problem>,
    /// What else was seen.
    pub note: Option<String>,
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

/// What `--json` prints; deploy/analytics/README.md documents it.
#[derive(Serialize)]
struct JsonReport<'a> {
    version: u32,
    passed: bool,
    seconds: f64,
    steps: Vec<JsonStep<'a>>,
}

#[derive(Serialize)]
struct JsonStep<'a> {
    component: &'a str,
    claim: &'a str,
    result: StepResult,
    problem: Option<JsonProblem<'a>>,
    note: Option<&'a str>,
    seconds: f64,
}

#[derive(Serialize)]
struct JsonProblem<'a> {
    what: &'a str,
    hint: Option<&'a str>,
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
        let report = JsonReport {
            version: VERSION,
            passed: self.passed,
            seconds: self.seconds,
            steps: self.steps.iter().map(Step::to_json).collect(),
        };
        Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
    }

    /// A line a step, and below it why it has failed.
    pub fn render(&self) -> String {
        let rows: Vec<Vec<String>> = self.steps.iter().map(Step::row).collect();
        let mut text = String::new();
        for (line, step) in render_table(&rows).lines().zip(&self.steps) {
            text.push_str(line);
            text.push('\n');
            for detail in step.details() {
                text.push_str(&format!("    {}\n", detail.replace('\n', "\n    ")));
            }
        }
        text + &self.summary()
    }

    fn summary(&self) -> String {
        let count = |result| {
            let steps = self.steps.iter();
            steps.filter(|step| step.result == result).count()
        };
        let all = self.steps.len();
        match (count(StepResult::Failed), count(StepResult::Skipped)) {
            (0, 0) => format!("all {all} steps passed in {:.1} s\n", self.seconds),
            (failed, 0) => format!("{failed} of {all} steps failed\n"),
            (failed, skipped) => {
                format!("{failed} of {all} steps failed, {skipped} could not be tried\n")
            }
        }
    }
}

impl Step {
    fn row(&self) -> Vec<String> {
        let (mark, time) = match self.result {
            StepResult::Passed => ("ok", format!("{:5.2} s", self.seconds)),
            StepResult::Failed => ("FAILED", format!("{:5.2} s", self.seconds)),
            StepResult::Skipped => ("not tried", String::new()),
        };
        [mark, self.component, self.claim, &time]
            .map(str::to_owned)
            .to_vec()
    }

    /// What stands below the row.
    fn details(&self) -> Vec<String> {
        let problem = self.problem.as_ref();
        let what = problem.map(|it| it.what.trim().to_owned());
        let hint = problem.and_then(|it| it.hint.as_ref());
        let hint = hint.map(|hint| format!("  hint: {hint}"));
        what.into_iter()
            .chain(hint)
            .chain(self.note.clone())
            .collect()
    }

    fn to_json(&self) -> JsonStep<'_> {
        JsonStep {
            component: self.component,
            claim: self.claim,
            result: self.result,
            problem: self.problem.as_ref().map(|problem| JsonProblem {
                what: &problem.what,
                hint: problem.hint.as_deref(),
            }),
            note: self.note.as_deref(),
            seconds: self.seconds,
        }
    }
}

/// What is known of an error that was accepted and does not appear.
pub struct Stuck<'a> {
    /// The service whose process takes events out of the queue.
    pub worker: &'a str,
    /// The health or state of its container.
    pub state: &'a str,
    pub takes_writes: bool,
    /// How many tasks are in the queue, as far as it is known.
    pub waiting: Option<u64>,
    pub seconds: u64,
}

impl Stuck<'_> {
    /// Which hop lost the error.
    pub fn explain(&self) -> Problem {
        let (worker, state, seconds) = (self.worker, self.state, self.seconds);
        if !self.takes_writes {
            return Problem::new("lost between the worker and PostgreSQL, which takes no writes");
        }
        if state == "starting" {
            let problem = Problem::new(format!("stuck at the worker: {worker} is still starting"));
            return problem.hint("repeat `cargo xtask verify` in a moment");
        }
        let what = match (state, self.waiting) {
            ("healthy" | "unhealthy" | "running", Some(0)) => {
                format!("{worker} ({state}) took it and stored nothing within {seconds} s")
            }
            ("healthy" | "unhealthy" | "running", _) => {
                format!("{worker} ({state}) did not take it within {seconds} s")
            }
            _ => format!("{worker} is {state}"),
        };
        Problem::new(format!("stuck at the worker: {what}")).hint(format!(
            "`cargo xtask restart {worker}` recovers it, `cargo xtask logs {worker}` shows why"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(result: StepResult, problem: Option<Problem>) -> Step {
        Step {
            component: "umami",
            claim: "answers",
            result,
            problem,
            note: None,
            seconds: 0.25,
        }
    }

    #[test]
    fn a_failed_step_says_why_and_the_rest_was_not_tried() {
        let problem = Problem::new("nothing answers\nat all").hint("start it");
        let mut steps = vec![
            step(StepResult::Passed, None),
            step(StepResult::Failed, Some(problem)),
            step(StepResult::Skipped, None),
        ];
        steps[0].note = Some("slowly".to_owned());
        let report = Report::new(steps, 1.0);
        assert!(!report.passed);
        assert_eq!(
            report.render(),
            "ok         umami  answers   0.25 s\n    slowly\n\
             FAILED     umami  answers   0.25 s\n    nothing answers\n    at all\n      hint: start it\n\
             not tried  umami  answers\n\
             1 of 3 steps failed, 1 could not be tried\n"
        );
    }

    #[test]
    fn nothing_but_passed_steps_passes() {
        let passed = || step(StepResult::Passed, None);
        let report = Report::new(vec![passed(), passed()], 1.25);
        assert!(report.passed);
        assert!(report.render().ends_with("all 2 steps passed in 1.2 s\n"));
        assert!(!Report::new(vec![step(StepResult::Skipped, None)], 1.0).passed);
    }

    /// The shape that deploy/analytics/README.md promises.
    #[test]
    fn json_has_the_documented_shape() {
        let problem = Problem::new("nothing answers").hint("start it");
        let steps = vec![
            step(StepResult::Failed, Some(problem)),
            step(StepResult::Skipped, None),
        ];
        let json = Report::new(steps, 1.5).render_json().unwrap();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "version": 1,
            "passed": false,
            "seconds": 1.5,
            "steps": [
                {"component": "umami", "claim": "answers", "result": "failed", "note": null, "seconds": 0.25,
                 "problem": {"what": "nothing answers", "hint": "start it"}},
                {"component": "umami", "claim": "answers", "result": "skipped", "note": null, "seconds": 0.25,
                 "problem": null},
            ],
        });
        assert_eq!(json, expected);

        let readme = include_str!("../../../deploy/analytics/README.md");
        for field in ["version", "passed", "seconds", "steps"] {
            assert!(readme.contains(&format!("| `{field}` |")), "{field}");
        }
        for field in ["component", "claim", "result", "problem", "note", "seconds"] {
            assert!(
                readme.contains(&format!("| `steps[].{field}` |")),
                "{field}"
            );
        }
    }

    #[test]
    fn names_the_hop_that_lost_the_error() {
        const WELL: Stuck = Stuck {
            worker: "glitchtip-worker",
            state: "healthy",
            takes_writes: true,
            waiting: Some(0),
            seconds: 10,
        };
        #[track_caller]
        fn check(stuck: &Stuck, expected: &str) {
            let Problem { what, hint, .. } = stuck.explain();
            let explained = format!("{what}\n{}", hint.unwrap_or_default());
            assert!(explained.contains(expected), "{explained}");
        }
        let in_state = |state, waiting| Stuck {
            state,
            waiting,
            ..WELL
        };
        let read_only = Stuck {
            takes_writes: false,
            ..WELL
        };
        let restart = "glitchtip-worker is exited\n`cargo xtask restart glitchtip-worker` recovers";
        check(&in_state("exited", Some(4)), restart);
        check(&in_state("absent", None), "glitchtip-worker is absent");
        check(&in_state("starting", Some(1)), "still starting\nrepeat");
        check(&read_only, "lost between the worker and PostgreSQL");
        let not_taken = "glitchtip-worker (healthy) did not take it within 10 s";
        check(&in_state("healthy", Some(4)), not_taken);
        let not_stored = "(unhealthy) took it and stored nothing within 10 s";
        check(&in_state("unhealthy", Some(0)), not_stored);
        let embedded = Stuck {
            worker: "glitchtip-web",
            ..WELL
        };
        check(&embedded, "glitchtip-web (healthy) took it");
    }
}
