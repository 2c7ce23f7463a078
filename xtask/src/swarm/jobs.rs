//! One-shots on the swarm: one at a time, each awaited with a deadline of its own.
//!
//! The swarm knows no order of jobs and runs each again with every deployment that has it, so each is a
//! deployment by itself, in a stack beside the one that it prepares.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use super::Swarm;
use super::inspect::Task;
use super::stackfile::StackFile;
use super::watch::Others;
use crate::problem::Problem;
use crate::terminal::text::render_duration;

const GLANCE: Duration = Duration::from_millis(300);

/// A job is removed after it, so that it holds no secret; the swarm takes a moment for that.
const REMOVAL: Duration = Duration::from_secs(60);

/// A job that is to be run.
pub struct Job<'a> {
    /// The stack that it is to be a part of.
    pub stack: &'a str,
    pub file: &'a StackFile,
    /// Its name in the file.
    pub name: &'a str,
    pub timeout: Duration,
}

impl Swarm {
    /// Runs a job, and returns what it printed.
    ///
    /// # Errors
    /// When it fails or takes too long: with its last lines.
    pub fn run_job(&self, job: &Job) -> anyhow::Result<String> {
        let Job {
            stack,
            file,
            name: job,
            timeout,
        } = *job;
        let service = format!("{stack}_{job}");
        self.remove_service(&service)?;
        let mut file = file.only(&[job]);
        // What opens PostgreSQL's socket must run where the primary does.
        if file.is_beside_database(job) && self.has_members()? {
            file.place(job, &self.place_of_primary()?);
        }
        self.deploy(stack, &file, Others::Stay)?;

        let begin = Instant::now();
        let ended = loop {
            let tasks = self.tasks_of(std::slice::from_ref(&service))?;
            match verdict(&tasks) {
                Verdict::Done => break Ok(()),
                Verdict::Failed(reason) => break Err(format!("the job {job} failed: {reason}")),
                Verdict::Waiting(state) if begin.elapsed() > timeout => {
                    let after = render_duration(timeout.as_secs());
                    break Err(format!(
                        "the job {job} has not ended after {after}: {state}"
                    ));
                }
                Verdict::Waiting(_) => thread::sleep(GLANCE),
            }
        };

        let printed = match &ended {
            Ok(()) => self.all_lines(&service)?,
            Err(_) => self.last_lines(&service),
        };
        // What failed would be tried again.
        self.remove_service(&service)?;
        match ended {
            Ok(()) => Ok(printed),
            Err(what) if printed.is_empty() => bail!(Problem::new(what)),
            Err(what) => bail!(Problem::new(what).evidence(printed)),
        }
    }

    /// What a job has printed on stdout.
    fn all_lines(&self, service: &str) -> anyhow::Result<String> {
        let logs = ["service", "logs", "--raw", "--no-trunc", service];
        let text = self.docker.docker().args(logs).text()?;
        Ok(self.docker.redact(text.trim()))
    }

    /// Removes a service, if it is there, and waits until its tasks have gone.
    fn remove_service(&self, service: &str) -> anyhow::Result<()> {
        let exists = ["service", "inspect", "--format", "{{.ID}}", service];
        let Ok(id) = self.docker.docker().args(exists).text() else {
            return Ok(());
        };
        self.docker
            .docker()
            .args(["service", "rm", service])
            .text()?;
        let begin = Instant::now();
        let label = format!("label=com.docker.swarm.service.id={}", id.trim());
        let list = ["ps", "--quiet", "--filter", &label];
        // The engine that is asked may not be the one that it ran on; then there is nothing to wait for.
        while begin.elapsed() < REMOVAL {
            if self.docker.docker().args(list).text()?.trim().is_empty() {
                break;
            }
            thread::sleep(GLANCE);
        }
        Ok(())
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Waiting(String),
    Done,
    Failed(String),
}

/// How far a job is; one task that is complete is all of it.
fn verdict(tasks: &[Task]) -> Verdict {
    if tasks.iter().any(|task| task.status.state == "complete") {
        return Verdict::Done;
    }
    if let Some(task) = tasks.iter().find(|task| task.has_failed()) {
        return Verdict::Failed(task.reason().to_owned());
    }
    let state = tasks.first().map(|task| match task.status.err.as_str() {
        "" => task.status.state.clone(),
        err => err.to_owned(),
    });
    Verdict::Waiting(state.unwrap_or_else(|| "not begun".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::inspect::parse_tasks;
    use super::*;

    #[test]
    fn a_job_is_done_with_its_first_complete_task_and_failed_with_its_first_failed_one() {
        #[track_caller]
        fn check(states: &[(&str, &str)], expected: &Verdict) {
            let task = |(state, err): &(&str, &str)| {
                format!(
                    r#"{{"ID":"1","ServiceID":"s","DesiredState":"complete",
                        "Status":{{"State":"{state}","Err":"{err}"}}}}"#
                )
            };
            let json: Vec<String> = states.iter().map(task).collect();
            let tasks = parse_tasks(&format!("[{}]", json.join(","))).unwrap();
            assert_eq!(verdict(&tasks), *expected);
        }
        let waiting = |text: &str| Verdict::Waiting(text.to_owned());
        check(&[], &waiting("not begun"));
        check(&[("running", "")], &waiting("running"));
        check(
            &[("pending", "no suitable node")],
            &waiting("no suitable node"),
        );
        check(&[("complete", "")], &Verdict::Done);
        let exit = "task: non-zero exit (1)";
        check(&[("failed", exit)], &Verdict::Failed(exit.to_owned()));
    }
}
