//! What happens to a project's containers, told as it happens.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::{Docker, PROJECT_LABEL};

/// Events that follow each other faster than this belong together.
const BURST: Duration = Duration::from_millis(100);

/// What woke the one who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The state of these containers has changed, by id.
    Changed(BTreeSet<String>),
    /// There is another set of containers than before, or a change that was started has ended: nobody
    /// knows which containers to look at.
    Everything,
    /// Nothing happened in time.
    TimedOut,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    Changed(String),
    Everything,
}

/// Wakes those who wait for events.
pub struct Waker(mpsc::Sender<Happening>);

impl Waker {
    /// A change that was under way has ended.
    pub fn change_ended(&self) {
        let _ = self.0.send(Happening::Everything);
    }
}

/// The events of a project's containers, from when it was made until it is dropped.
pub struct Events {
    child: Child,
    sender: mpsc::Sender<Happening>,
    receiver: mpsc::Receiver<Happening>,
}

impl Events {
    /// # Errors
    /// When there is no docker.
    pub fn listen(docker: &Docker, project: &str) -> anyhow::Result<Events> {
        let filter = format!("label={PROJECT_LABEL}={project}");
        let command = ["events", "--filter", &filter, "--filter", "type=container"];
        let format = ["--format", "{{.Actor.ID}} {{.Action}}"];
        let mut child = docker.docker().args(command).args(format).listen()?;
        let (sender, receiver) = mpsc::channel();
        let ours = sender.clone();
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                for happened in lines.filter_map(|line| parse_event(&line)) {
                    if sender.send(happened).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Events {
            child,
            sender: ours,
            receiver,
        })
    }

    pub fn waker(&self) -> Waker {
        Waker(self.sender.clone())
    }

    /// Waits until something happens, at most `limit`.
    pub fn wait(&self, limit: Duration) -> Woken {
        let begin = Instant::now();
        let mut happened = Vec::new();
        let mut patience = limit;
        while let Ok(one) = self.receiver.recv_timeout(patience) {
            happened.push(one);
            // What comes together is looked at together.
            patience = limit.saturating_sub(begin.elapsed()).min(BURST);
        }
        gather(happened)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(happened: Vec<Happening>) -> Woken {
    if happened.is_empty() {
        return Woken::TimedOut;
    }
    let id = |happening| match happening {
        Happening::Changed(id) => Some(id),
        Happening::Everything => None,
    };
    match happened.into_iter().map(id).collect() {
        Some(ids) => Woken::Changed(ids),
        None => Woken::Everything,
    }
}

/// Reads a line of `docker events --format "{{.Actor.ID}} {{.Action}}"` (Engine 26, 2026-11-22); `None`
/// when nothing changed.
fn parse_event(line: &str) -> Option<Happening> {
    let (id, action) = line.split_once(' ')?;
    match action {
        // Each run of a health check is three events.
        _ if action.starts_with("exec_") => None,
        "create" | "destroy" | "rename" => Some(Happening::Everything),
        _ => Some(Happening::Changed(id.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(id: &str) -> Happening {
        Happening::Changed(id.to_owned())
    }

    #[test]
    fn an_event_says_where_to_look() {
        assert_eq!(
            parse_event("c1 exec_create: curl http://127.0.0.1:3000"),
            None
        );
        assert_eq!(
            parse_event("c1 health_status: healthy"),
            Some(changed("c1"))
        );
        assert_eq!(parse_event("c1 die"), Some(changed("c1")));
        assert_eq!(parse_event("c1 rename"), Some(Happening::Everything));
    }

    #[test]
    fn events_that_come_together_are_looked_at_together() {
        assert_eq!(gather(vec![]), Woken::TimedOut);
        let both = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(
            gather(vec![changed("b"), changed("a"), changed("b")]),
            Woken::Changed(both)
        );
        assert_eq!(
            gather(vec![changed("b"), Happening::Everything]),
            Woken::Everything
        );
    }
}
