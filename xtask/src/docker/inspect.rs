//! What the engine says of containers: `docker inspect` and `docker stats` as text, types out.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;
use serde::Deserialize;

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    pub id: String,
    pub name: String,
    /// The id of the image it was made from.
    pub image: String,
    #[serde(default)]
    pub restart_count: u64,
    pub state: State,
    pub config: ContainerConfig,
    pub host_config: HostConfig,
    #[serde(default)]
    pub mounts: Vec<Mounted>,
}

/// What a container has in its file system from elsewhere.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Mounted {
    /// A volume's; empty for what is none.
    #[serde(default)]
    pub name: String,
    pub destination: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct State {
    /// created, running, paused, restarting, removing, exited or dead.
    pub status: String,
    #[serde(rename = "OOMKilled", default)]
    pub oom_killed: bool,
    #[serde(default)]
    pub exit_code: i64,
    /// What the engine could not do when it started the container.
    #[serde(default)]
    pub error: String,
    /// RFC 3339 in UTC.
    #[serde(default)]
    pub started_at: String,
    pub health: Option<Health>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Health {
    /// starting, healthy or unhealthy.
    pub status: String,
    #[serde(default)]
    log: Option<Vec<HealthRun>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthRun {
    exit_code: i64,
    output: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerConfig {
    /// The image's name as it was asked for.
    pub image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HostConfig {
    /// Bytes; 0 is no limit.
    #[serde(default)]
    pub memory: u64,
}

impl Container {
    fn label(&self, name: &str) -> &str {
        let labels = self.config.labels.as_ref();
        labels
            .and_then(|labels| labels.get(&format!("com.docker.compose.{name}")))
            .map_or("", String::as_str)
    }

    pub fn service(&self) -> &str {
        self.label("service")
    }

    pub fn config_hash(&self) -> &str {
        self.label("config-hash")
    }

    /// The version of what is inside, where the image's label says it.
    pub fn image_version(&self) -> Option<&str> {
        let labels = self.config.labels.as_ref()?;
        labels
            .get("org.opencontainers.image.version")
            .map(String::as_str)
    }

    /// What the last health check printed, if it failed.
    pub fn failed_health_output(&self) -> Option<&str> {
        let last = self.state.health.as_ref()?.log.as_ref()?.last()?;
        (last.exit_code != 0).then(|| last.output.trim())
    }

    /// How far the container is. `baseline` is the same service's container as it was before anything
    /// was started: what it did then is no news.
    pub fn progress(&self, is_one_shot: bool, baseline: Option<&Container>) -> Progress {
        let same_run = baseline.filter(|before| {
            before.id == self.id && before.state.started_at == self.state.started_at
        });
        let restarts_before = baseline
            .filter(|before| before.id == self.id)
            .map_or(0, |before| before.restart_count);
        let restarts = self.restart_count.saturating_sub(restarts_before);
        let health = self
            .state
            .health
            .as_ref()
            .map(|health| health.status.as_str());
        match (self.state.status.as_str(), health) {
            ("created", _) if self.state.error.is_empty() || same_run.is_some() => {
                Progress::Waiting("created")
            }
            ("created", _) => Progress::Failed(Reason::NotStarted),
            ("exited", _) if is_one_shot && self.state.exit_code == 0 => Progress::Ready("done"),
            ("exited" | "dead", _) if same_run.is_some() => Progress::Waiting("stopped"),
            ("exited" | "dead" | "restarting" | "running", _) if self.state.oom_killed => {
                Progress::Failed(Reason::OutOfMemory)
            }
            ("exited" | "dead", _) => Progress::Failed(Reason::Exited(self.state.exit_code)),
            (_, Some("unhealthy")) => Progress::Failed(Reason::Unhealthy),
            _ if restarts >= RESTARTS_ARE_A_LOOP => {
                Progress::Failed(Reason::RestartLoop(restarts, self.state.exit_code))
            }
            ("restarting", _) => Progress::Waiting("restarting"),
            ("running", Some("healthy")) => Progress::Ready("healthy"),
            ("running", Some(_)) => Progress::Waiting("starting"),
            ("running", None) if is_one_shot => Progress::Waiting("running"),
            ("running", None) => Progress::Ready("running"),
            ("paused", _) => Progress::Failed(Reason::Paused),
            _ => Progress::Waiting("changing"),
        }
    }
}

/// A container whose health stays `starting` may be restarting for ever; its dependencies were
/// ready before it started, so that the third restart is no coincidence.
const RESTARTS_ARE_A_LOOP: u64 = 3;

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
    RestartLoop(u64, i64),
    Paused,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Reason::NotStarted => f.write_str("could not be started"),
            Reason::Exited(code) => write!(f, "exited with code {code}"),
            Reason::OutOfMemory => f.write_str("killed for memory"),
            Reason::Unhealthy => f.write_str("unhealthy"),
            Reason::RestartLoop(restarts, code) => {
                write!(
                    f,
                    "restarts for ever ({restarts} times, last exit code {code})"
                )
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

/// Reads what `docker inspect` prints for containers (Engine 26, 2026-11-22).
pub fn parse_inspect(json: &str) -> anyhow::Result<Vec<Container>> {
    let mut containers: Vec<Container> =
        serde_json::from_str(json).context("reading the output of `docker inspect`")?;
    for container in &mut containers {
        container.name = container.name.trim_start_matches('/').to_owned();
    }
    Ok(containers)
}

/// Reads a line of `docker events --format "{{.Actor.ID}} {{.Action}}"`: the id of a container whose state
/// changed; `Some(None)` when there is another set of containers than before; `None` when nothing changed.
pub fn parse_event(line: &str) -> Option<Option<String>> {
    let (id, action) = line.split_once(' ')?;
    match action {
        // Each run of a health check is three events.
        _ if action.starts_with("exec_") => None,
        "create" | "destroy" | "rename" => Some(None),
        _ => Some(Some(id.to_owned())),
    }
}

/// Reads `docker stats --no-stream --format json`: bytes of memory in use, by container id.
pub fn parse_memory(lines: &str) -> anyhow::Result<BTreeMap<String, u64>> {
    #[derive(Deserialize)]
    struct Line {
        #[serde(rename = "ID")]
        id: String,
        #[serde(rename = "MemUsage")]
        memory: String,
    }
    lines
        .lines()
        .map(|line| {
            let line: Line =
                serde_json::from_str(line).context("reading the output of `docker stats`")?;
            let used = line.memory.split(" / ").next().unwrap_or_default();
            Ok((line.id, parse_bytes(used).unwrap_or(0)))
        })
        .collect()
}

/// `24.5MiB` in bytes.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "B" => 1.0,
        "KiB" | "kB" => 1024.0,
        "MiB" | "MB" => 1024.0 * 1024.0,
        "GiB" | "GB" => 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    Some((digits.parse::<f64>().ok()? * factor) as u64)
}

/// An image that the engine has.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Image {
    pub id: String,
    /// amd64, arm64, …
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    repo_digests: Option<Vec<String>>,
}

impl Image {
    /// Whether a compose file means this image by `name`: `redis` is `docker.io/library/redis:latest`.
    pub fn is_called(&self, name: &str) -> bool {
        let names = self.repo_tags.iter().chain(&self.repo_digests).flatten();
        self.id == name
            || names
                .map(|known| full_name(known))
                .any(|known| known == full_name(name))
    }
}

fn full_name(name: &str) -> String {
    let name = name.strip_prefix("docker.io/").unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) {
        name.to_owned()
    } else {
        format!("{name}:latest")
    }
}

/// Reads what `docker image inspect` prints.
pub fn parse_images(json: &str) -> anyhow::Result<Vec<Image>> {
    serde_json::from_str(json).context("reading the output of `docker image inspect`")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A container as `docker inspect` shows it, with a state of its own.
    fn container(state: &str, restart_count: u64) -> Container {
        let json = format!(
            r#"[{{"Id":"c1","Name":"/umami","Image":"sha256:1","RestartCount":{restart_count},"State":{{{state}}},
            "Config":{{"Image":"umami:3","Labels":{{"com.docker.compose.service":"umami"}}}},"HostConfig":{{"Memory":1}}}}]"#
        );
        parse_inspect(&json).unwrap().remove(0)
    }

    #[track_caller]
    fn check(state: &str, restart_count: u64, is_one_shot: bool, wanted: Progress) {
        assert_eq!(
            container(state, restart_count).progress(is_one_shot, None),
            wanted
        );
    }

    #[test]
    fn an_event_says_where_to_look() {
        assert_eq!(
            parse_event("c1 exec_create: curl http://127.0.0.1:3000"),
            None
        );
        assert_eq!(
            parse_event("c1 health_status: healthy"),
            Some(Some("c1".to_owned()))
        );
        assert_eq!(parse_event("c1 die"), Some(Some("c1".to_owned())));
        assert_eq!(parse_event("c1 rename"), Some(None));
    }

    #[test]
    fn tells_ready_from_waiting_from_failed() {
        use Progress::{Failed, Ready, Waiting};
        let healthy = r#""Status":"running","Health":{"Status":"healthy","Log":[]}"#;
        let starting = r#""Status":"running","Health":{"Status":"starting","Log":null}"#;
        check(healthy, 0, false, Ready("healthy"));
        check(starting, 0, false, Waiting("starting"));
        check(r#""Status":"running""#, 0, false, Ready("running"));
        check(r#""Status":"running""#, 0, true, Waiting("running"));
        check(r#""Status":"exited","ExitCode":0"#, 0, true, Ready("done"));
        check(
            r#""Status":"exited","ExitCode":0"#,
            0,
            false,
            Failed(Reason::Exited(0)),
        );
        check(
            r#""Status":"exited","ExitCode":3"#,
            0,
            true,
            Failed(Reason::Exited(3)),
        );
        check(
            r#""Status":"exited","ExitCode":137,"OOMKilled":true"#,
            0,
            true,
            Failed(Reason::OutOfMemory),
        );
        check(
            r#""Status":"running","Health":{"Status":"unhealthy"}"#,
            0,
            false,
            Failed(Reason::Unhealthy),
        );
        check(
            r#""Status":"created","Error":"port is already allocated""#,
            0,
            false,
            Failed(Reason::NotStarted),
        );
        check(r#""Status":"created""#, 0, false, Waiting("created"));
        // Health stays `starting` for ever in a restart loop.
        check(starting, 3, false, Failed(Reason::RestartLoop(3, 0)));
        check(
            r#""Status":"restarting","ExitCode":1"#,
            2,
            false,
            Waiting("restarting"),
        );
    }

    #[test]
    fn what_happened_before_is_no_news() {
        let before = container(r#""Status":"exited","ExitCode":1,"StartedAt":"t1""#, 0);
        let again = container(r#""Status":"exited","ExitCode":1,"StartedAt":"t2""#, 0);
        assert_eq!(
            before.progress(true, Some(&before)),
            Progress::Waiting("stopped")
        );
        assert_eq!(
            again.progress(true, Some(&before)),
            Progress::Failed(Reason::Exited(1))
        );
        let restarted = container(r#""Status":"running","Health":{"Status":"starting"}"#, 9);
        assert_eq!(
            restarted.progress(false, Some(&restarted)),
            Progress::Waiting("starting")
        );
    }

    #[test]
    fn image_names_are_compared_in_full() {
        let image = parse_images(
            r#"[{"Id":"sha256:1","RepoTags":["redis:latest"],"RepoDigests":["redis@sha256:2"]}]"#,
        )
        .unwrap()
        .remove(0);
        for name in [
            "redis",
            "redis:latest",
            "docker.io/redis",
            "docker.io/library/redis:latest",
            "redis@sha256:2",
        ] {
            assert!(image.is_called(name), "{name}");
        }
        assert!(!image.is_called("redis:7") && !image.is_called("my/redis"));
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let line = r#"{"ID":"c1","MemUsage":"1.5MiB / 512MiB","Name":"umami"}"#;
        assert_eq!(parse_memory(line).unwrap()["c1"], 1_572_864);
    }
}
