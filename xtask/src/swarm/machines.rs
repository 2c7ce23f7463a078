//! Looking at the machines of a swarm, before anything of the stack is made on them.
//!
//! Whoever looks takes no lock, so that each look has a stack of its own: a job begins by removing the one before it
//! in its stack, and a look must never end another look, a backup or a restore.

use std::collections::BTreeMap;
use std::io::Read;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_yaml::Value;

use super::Swarm;
use super::files::Plan;
use super::inspect::{Service, Task};
use super::look::{Machine, Reached};
use super::stackfile::StackFile;
use super::watch::Others;
use crate::system::{clock, random};
use crate::terminal::text::{parse_timestamp, render_duration};

const LOOK: &str = include_str!("scripts/look.sh");
const REACH: &str = include_str!("scripts/reach.sh");

/// Safe, and as the machine itself sees the network.
const OPTIONS: [&str; 5] = ["--network", "host", "--cap-drop", "ALL", "--read-only"];

const GLANCE: Duration = Duration::from_millis(300);

/// The swarm takes this long to make the tasks of a job, at most.
const BEGIN: Duration = Duration::from_secs(3);

/// What is older was left by a command that was killed.
const ABANDONED: u64 = 3600;

/// What a node with an image said.
pub struct Look {
    pub node: String,
    pub image: String,
    /// Why it could not be looked at, where it could not.
    pub seen: Result<Machine, String>,
    /// Seconds between its clock and that of the managers.
    pub apart: u64,
}

impl Swarm {
    /// Looks at the machine of the engine that is asked, by one of its images.
    ///
    /// # Errors
    /// When the engine does not run it.
    pub fn look_here(&self, image: &str) -> anyhow::Result<Machine> {
        let options = OPTIONS.iter().chain(&["--volume", "/probe"]);
        let options: Vec<String> = options.map(|it| (*it).to_owned()).collect();
        let tool = self.docker.tool((&self.name, image), LOOK, &options);
        let text = tool.text().context("looking at the engine's machine")?;
        Machine::parse(&text).context("what look.sh prints is cut off")
    }

    /// Looks at every other node by each image that it is to run, which it pulls where it has it not.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn look_elsewhere(
        &self,
        stack: &StackFile,
        here: &str,
        patience: Duration,
    ) -> anyhow::Result<Vec<Look>> {
        let name = self.begin_look()?;
        let looked = self.deploy(&name, &render_jobs(stack, here)?, Others::Stay);
        let looked = looked.and_then(|()| self.await_looks(&name, patience));
        self.docker.docker().args(["stack", "rm", &name]).text()?;
        looked
    }

    /// Asks for names, and tries the bucket that a plan names, from the machine of the engine that is asked.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn reach(&self, plan: &Plan, image: &str, names: &[&str]) -> anyhow::Result<Reached> {
        let mut options: Vec<String> = OPTIONS.map(str::to_owned).to_vec();
        options.extend(["--tmpfs", "/tmp"].map(str::to_owned));
        let environment = plan
            .stack
            .service(plan.stack.database())
            .map(|it| &it["environment"]);
        let environment = environment
            .and_then(Value::as_mapping)
            .into_iter()
            .flatten();
        let plain = environment.filter_map(|(key, value)| Some((key.as_str()?, value.as_str()?)));
        let ours = plain.filter(|(key, _)| key.starts_with("PGBACKREST_"));
        for (key, value) in ours.chain([("SSL_CERT_FILE", "/tmp/authorities")]) {
            options.extend(["--env".to_owned(), format!("{key}={value}")]);
        }
        let tool = self.docker.tool((&self.name, image), REACH, &options);
        let mut pipe = tool.arg("sh").args(names).pipe()?;
        let input = render_input(plan);
        let mut text = String::new();
        let ended = pipe
            .write(|stdin| Ok(stdin.write_all(input.as_bytes())?))
            .and_then(|()| Ok(pipe.stdout()?.read_to_string(&mut text)?))
            .and_then(|_| pipe.finish());
        let said = ended.unwrap_or_else(|error| format!("{error:#}"));
        Ok(Reached::parse(&text, &said))
    }

    /// A name for the stack of a look; what killed ones have left goes.
    pub(super) fn begin_look(&self) -> anyhow::Result<String> {
        let (now, prefix) = (clock::now(), self.look_prefix());
        for name in self.looks()? {
            let began = name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split('-').next());
            let began = began.and_then(|hex| u64::from_str_radix(hex, 16).ok());
            if began.is_none_or(|began| now.saturating_sub(began) > ABANDONED) {
                self.docker.docker().args(["stack", "rm", &name]).text()?;
            }
        }
        let own = random::letters_and_digits(6);
        Ok(format!("{prefix}{now:x}-{own}"))
    }

    /// The stacks of all looks that are under way, or were left.
    pub(super) fn looks(&self) -> anyhow::Result<Vec<String>> {
        let list = ["stack", "ls", "--format", "{{.Name}}"];
        let text = self.docker.docker().args(list).text()?;
        let prefix = self.look_prefix();
        let looks = text.lines().filter(|name| name.starts_with(&prefix));
        Ok(looks.map(str::to_owned).collect())
    }

    fn look_prefix(&self) -> String {
        format!("{}-report-", self.name)
    }

    fn await_looks(&self, stack: &str, patience: Duration) -> anyhow::Result<Vec<Look>> {
        let services = self.services_of(stack)?;
        let names: Vec<String> = services.values().map(|it| it.spec.name.clone()).collect();
        let begin = Instant::now();
        let tasks = loop {
            let tasks = self.tasks_of(&names)?;
            let is_done = tasks.iter().all(Task::has_ended);
            let has_begun = !tasks.is_empty() || begin.elapsed() > BEGIN;
            if (is_done && has_begun) || begin.elapsed() > patience {
                break tasks;
            }
            thread::sleep(GLANCE);
        };
        let mut looks: Vec<Look> = Vec::new();
        for task in &tasks {
            let service = services.values().find(|it| it.id == task.service);
            let image = service.map(Service::image).unwrap_or_default();
            looks.push(Look {
                node: task.node.clone(),
                image: image.to_owned(),
                seen: self.what_was_seen(task, patience),
                apart: seconds_apart(task).unwrap_or_default(),
            });
        }
        Ok(looks)
    }

    fn what_was_seen(&self, task: &Task, patience: Duration) -> Result<Machine, String> {
        if !task.has_ended() {
            let (state, after) = (&task.status.state, render_duration(patience.as_secs()));
            return Err(format!("it is still {state} after {after}"));
        }
        if task.status.state != "complete" {
            return Err(task.reason().to_owned());
        }
        let logs = ["service", "logs", "--raw", "--no-trunc", &task.id];
        let text = self.docker.docker().args(logs).text();
        let text = text.map_err(|error| format!("{error:#}"))?;
        Machine::parse(&text).ok_or_else(|| "what look.sh prints is cut off".to_owned())
    }
}

/// What both clocks said when the node told that the task had ended.
fn seconds_apart(task: &Task) -> Option<u64> {
    let there = parse_timestamp(&task.status.timestamp)?;
    Some(there.abs_diff(parse_timestamp(&task.updated_at)?))
}

/// pgBackRest's configuration, secrets included, and the authorities: what reach.sh reads.
fn render_input(plan: &Plan) -> String {
    let config = |key: &str| {
        let mut named = plan.configs.iter();
        let found = named.find(|(name, _)| name.contains(&format!("_{key}_")));
        found.map_or("", |(_, content)| content)
    };
    let secret = plan.secrets.iter().find(|it| it.key == "pgbackrest");
    let secret = secret.map_or("", |it| &it.content);
    let (conf, authorities) = (config("pgbackrest_conf"), config("trusted_ca"));
    format!("{conf}\n{secret}\n# authorities\n{authorities}")
}

/// A job for each image and each set of places where it is to run.
fn render_jobs(stack: &StackFile, here: &str) -> anyhow::Result<StackFile> {
    let mut services: BTreeMap<String, &str> = BTreeMap::new();
    for name in stack.services() {
        let service = stack.service(name).unwrap_or(&Value::Null);
        let places = &service["deploy"]["placement"]["constraints"];
        let mut places: Vec<&str> = places
            .as_sequence()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let elsewhere = format!("node.id != {here}");
        places.push(&elsewhere);
        let job = serde_json::json!({
            "image": service["image"].as_str().unwrap_or_default(),
            "entrypoint": ["sh", "-c", LOOK],
            "networks": ["machine"],
            "cap_drop": ["ALL"],
            "read_only": true,
            "volumes": [{"type": "volume", "target": "/probe"}],
            "deploy": {
                "mode": "global-job",
                "restart_policy": {"condition": "none"},
                "placement": {"constraints": places},
                "resources": {"limits": {"memory": "32M"}},
            },
        });
        services.entry(job.to_string()).or_insert(name);
    }
    let jobs = services
        .iter()
        .map(|(job, name)| format!("{name:?}: {job}"));
    let jobs = jobs.collect::<Vec<_>>().join(", ");
    StackFile::parse(&format!(
        "{{version: '3.8', services: {{{jobs}}}, networks: {{machine: {{external: true, name: host}}}}}}"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::inspect::parse_tasks;
    use super::*;

    #[test]
    fn each_image_is_looked_for_once_wherever_it_may_run_but_here() {
        let stack = StackFile::parse(
            "services: {a: {image: 'x:1', deploy: {placement: {constraints: [node.labels.l == true]}}}, \
             b: {image: 'x:1', deploy: {placement: {constraints: [node.labels.l == true]}}}, c: {image: 'x:1'}}",
        );
        let jobs = render_jobs(&stack.unwrap(), "me").unwrap();
        assert_eq!(jobs.services().len(), 2);
        let place = |name: &str| {
            let places = &jobs.service(name).unwrap()["deploy"]["placement"]["constraints"];
            serde_json::to_string(places).unwrap()
        };
        assert_eq!(place("a"), r#"["node.labels.l == true","node.id != me"]"#);
        assert_eq!(place("c"), r#"["node.id != me"]"#);
    }

    #[test]
    fn clocks_are_apart_by_what_a_node_and_a_manager_say_of_the_same_moment() {
        let tasks = r#"[{"ID":"1","ServiceID":"s","DesiredState":"complete","UpdatedAt":"2026-11-30T19:00:02.1Z",
            "Status":{"State":"complete","Timestamp":"2026-11-30T18:59:00.9Z"}}]"#;
        assert_eq!(seconds_apart(&parse_tasks(tasks).unwrap()[0]), Some(62));
    }
}
