//! What the engine says of containers: `docker inspect` and `docker stats` as text, types out.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Context;
use serde::Deserialize;
use serde::de::IgnoredAny;

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
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    /// By the port in the container, as `3000/tcp`; `null` for one that is not published.
    #[serde(default)]
    ports: Option<BTreeMap<String, Option<Vec<PortBinding>>>>,
    #[serde(default)]
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PortBinding {
    /// Empty for every address.
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
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

impl Mounted {
    /// Whether it is a volume that the engine made without a name: its name is 64 hexadecimal digits.
    pub fn is_unnamed(&self) -> bool {
        self.name.len() == 64 && self.name.bytes().all(|byte| byte.is_ascii_hexdigit())
    }
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
    /// RFC 3339 in UTC: when the run before this one, or this one, ended.
    #[serde(default)]
    pub finished_at: String,
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

    /// The names of the networks that it is in, also while it does not run.
    pub fn networks(&self) -> impl Iterator<Item = &String> {
        let networks = self.network_settings.networks.as_ref();
        networks.into_iter().flat_map(BTreeMap::keys)
    }

    /// The addresses of the engine's machine at which a TCP port of the container is published now; an
    /// unspecified one stands for every address of its family. A container that does not run has none.
    pub fn published(&self, port: u16) -> Vec<SocketAddr> {
        let ports = self.network_settings.ports.as_ref();
        let bindings = ports.and_then(|ports| ports.get(&format!("{port}/tcp")));
        let address = |binding: &PortBinding| {
            let host_ip = binding.host_ip.trim_matches(['[', ']']);
            let host_ip: IpAddr = if host_ip.is_empty() {
                Ipv4Addr::UNSPECIFIED.into()
            } else {
                host_ip.parse().ok()?
            };
            Some(SocketAddr::new(host_ip, binding.host_port.parse().ok()?))
        };
        let bindings = bindings.into_iter().flatten().flatten();
        bindings.filter_map(address).collect()
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
    #[serde(default)]
    config: Option<ImageConfig>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ImageConfig {
    #[serde(default)]
    env: Option<Vec<String>>,
}

impl Image {
    /// What the image sets a variable of the environment to.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let mut variables = self.config.iter().flat_map(|it| &it.env).flatten();
        variables.find_map(|it| it.strip_prefix(name)?.strip_prefix('='))
    }

    /// The name by which every engine can get exactly this image from the registry that `name` is of, if it
    /// came from there: `redis@sha256:…`.
    pub fn pinned_name(&self, name: &str) -> Option<&str> {
        let repository = |name: &str| {
            let name = full_name(name);
            let name = name.split('@').next().unwrap_or_default().to_owned();
            let path = name.rfind('/').map_or(0, |slash| slash + 1);
            let tag = name[path..].find(':').map(|colon| path + colon);
            tag.map_or(name.clone(), |tag| name[..tag].to_owned())
        };
        let mut digests = self.repo_digests.iter().flatten();
        digests
            .find(|digest| repository(digest) == repository(name))
            .map(String::as_str)
    }

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

/// The first twelve digits of an image's id, as docker shows it.
pub fn short_id(id: &str) -> &str {
    id.trim_start_matches("sha256:").get(..12).unwrap_or(id)
}

/// Reads what `docker image inspect` prints.
pub fn parse_images(json: &str) -> anyhow::Result<Vec<Image>> {
    serde_json::from_str(json).context("reading the output of `docker image inspect`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_pinned_by_the_digest_of_its_own_repository() {
        let json = r#"[{"Id":"sha256:1","RepoDigests":["localhost:5000/redis@sha256:a","redis@sha256:b"]}]"#;
        let image = parse_images(json).unwrap().remove(0);
        let pinned = |name| image.pinned_name(name);
        assert_eq!(pinned("redis:7-alpine"), Some("redis@sha256:b"));
        assert_eq!(pinned("docker.io/library/redis"), Some("redis@sha256:b"));
        assert_eq!(
            pinned("localhost:5000/redis:7"),
            Some("localhost:5000/redis@sha256:a")
        );
        assert_eq!(pinned("valkey:7"), None);
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
    fn published_addresses_are_those_of_the_engine() {
        #[track_caller]
        fn check(ports: &str, expected: &[&str]) {
            let json = format!(
                r#"[{{"Id":"1","Name":"/umami","Image":"sha256:1","State":{{"Status":"running"}},
                "Config":{{"Image":"umami"}},"HostConfig":{{}},"NetworkSettings":{{"Ports":{ports}}}}}]"#
            );
            let published = parse_inspect(&json).unwrap()[0].published(3000);
            let expected: Vec<SocketAddr> = expected.iter().map(|it| it.parse().unwrap()).collect();
            assert_eq!(published, expected);
        }
        let binding = |ip: &str, port: u16| format!(r#"{{"HostIp":"{ip}","HostPort":"{port}"}}"#);
        let one = |ip, port| format!(r#"{{"3000/tcp":[{}]}}"#, binding(ip, port));
        check(&one("127.0.0.1", 3001), &["127.0.0.1:3001"]);
        check(&one("::1", 49153), &["[::1]:49153"]);
        check(&one("[::1]", 3001), &["[::1]:3001"]);
        check(&one("", 3001), &["0.0.0.0:3001"]);
        let several = [
            binding("0.0.0.0", 3001),
            binding("::", 3001),
            binding("192.0.2.7", 80),
        ];
        check(
            &format!(
                r#"{{"9229/tcp":[{}],"3000/tcp":[{}]}}"#,
                several[2],
                several.join(",")
            ),
            &["0.0.0.0:3001", "[::]:3001", "192.0.2.7:80"],
        );
        check(r#"{"3000/tcp":null}"#, &[]);
        check("{}", &[]);
        check("null", &[]);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let line = r#"{"ID":"c1","MemUsage":"1.5MiB / 512MiB","Name":"umami"}"#;
        assert_eq!(parse_memory(line).unwrap()["c1"], 1_572_864);
    }
}
