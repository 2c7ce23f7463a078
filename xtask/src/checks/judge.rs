//! What can be wrong with a machine and its `.env`, judged from what was read of them.

use serde::Serialize;

use crate::docker::engine::{Engine, Info, Thing};
use crate::stack::desired::{Config, Service};
use crate::terminal::text::render_bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    /// Worth knowing; `up` works.
    Warning,
    /// `up` would fail, or touch what is not ours.
    Stops,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    pub level: Level,
    pub finding: String,
    /// What to do about it; empty where nothing is to be done.
    pub remedy: String,
}

impl Finding {
    pub fn good(check: &str, finding: impl Into<String>) -> Finding {
        Finding {
            check: check.to_owned(),
            level: Level::Good,
            finding: finding.into(),
            remedy: String::new(),
        }
    }

    pub fn warning(check: &str, finding: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            level: Level::Warning,
            remedy: remedy.into(),
            ..Finding::good(check, finding)
        }
    }

    pub fn stops(check: &str, finding: impl Into<String>, remedy: impl Into<String>) -> Finding {
        Finding {
            level: Level::Stops,
            ..Finding::warning(check, finding, remedy)
        }
    }
}

impl Engine {
    /// Another checkout whose containers carry our project's name. `is_other` knows whether a folder is
    /// one: a checkout that was moved is not.
    pub fn other_checkout(
        &self,
        project: &str,
        is_other: impl Fn(&str) -> bool,
    ) -> Option<Finding> {
        let other = self
            .containers
            .iter()
            .find(|it| it.project == project && !it.folder.is_empty() && is_other(&it.folder))?;
        Some(Finding::stops(
            "project",
            format!(
                "the project {project} is the stack of another checkout, in {}",
                other.folder
            ),
            format!(
                "work there; or stop it there (`cargo xtask down` in {}): then `cargo xtask up` here goes on with its \
                 data; or give this checkout a COMPOSE_PROJECT_NAME of its own in .env, and names and ports in an override",
                other.folder
            ),
        ))
    }

    /// Names that the stack wants and something else has.
    pub fn taken_names(&self, config: &Config) -> Vec<Finding> {
        let owner = |thing: &Thing| match (thing.project.as_str(), thing.folder.as_str()) {
            ("", _) => "made by hand".to_owned(),
            (project, "") => format!("of the project {project}"),
            (project, folder) => format!("of the project {project} in {folder}"),
        };
        let foreign = |things: &'_ [Thing], name: &str| -> Option<String> {
            things
                .iter()
                .find(|thing| thing.name == name && thing.project != config.name)
                .map(owner)
        };
        let mut findings = Vec::new();
        for name in config
            .services
            .values()
            .filter_map(|service| service.container_name.as_ref())
        {
            if let Some(owner) = foreign(&self.containers, name) {
                findings.push(Finding::stops(
                    "names",
                    format!("the container name {name} is taken by one {owner}"),
                    format!("`docker rename {name} {name}-old` frees the name and loses nothing"),
                ));
            }
        }
        for network in config.networks.values().filter(|network| !network.external) {
            if let Some(owner) = foreign(&self.networks, &network.name) {
                findings.push(Finding::stops(
                    "names",
                    format!("the network name {} is taken by one {owner}", network.name),
                    format!(
                        "`docker network rm {}`, once nothing uses it, frees the name",
                        network.name
                    ),
                ));
            }
        }
        for volume in config.volumes.values().filter(|volume| !volume.external) {
            let Some(thing) = self
                .volumes
                .iter()
                .find(|it| it.name == volume.name && it.project != config.name)
            else {
                continue;
            };
            let finding = format!("the volume {} is one {}", volume.name, owner(thing));
            findings.push(match thing.project.is_empty() {
                true => Finding::warning(
                    "names",
                    finding,
                    "none, if you made it for this stack: it will be used",
                ),
                false => Finding::stops(
                    "names",
                    finding,
                    "give this checkout a COMPOSE_PROJECT_NAME of its own in .env",
                ),
            });
        }
        findings
    }
}

/// What the engine has for the stack, against what the stack's limits let it take.
pub fn check_resources(info: &Info, config: &Config, probe: Option<&Probe>) -> Vec<Finding> {
    let (one_shots, long_running): (Vec<_>, Vec<_>) = config
        .services
        .iter()
        .partition(|(name, _)| config.is_one_shot(name));
    let limits = |services: &[(&String, &Service)]| {
        services
            .iter()
            .map(|(_, it)| it.memory_limit())
            .collect::<Vec<_>>()
    };
    let running: u64 = limits(&long_running).iter().sum();
    // Before the applications start, their migrations run in their place.
    let needed = running.max(limits(&one_shots).iter().sum());
    let (has, needs) = (render_bytes(info.mem_total), render_bytes(needed));
    let mut findings = vec![if info.mem_total < needed {
        let remedy = "give the engine's machine more memory (Docker Desktop: Settings, Resources; `colima start --memory 4`), \
                      or lower the limits in .env";
        Finding::warning(
            "memory",
            format!("the engine has {has}, the limits add up to {needs}"),
            remedy,
        )
    } else {
        Finding::good(
            "memory",
            format!("the engine has {has}, the limits add up to {needs}"),
        )
    }];
    if !info.memory_limit {
        let remedy = "enable the memory controller: `cgroup_enable=memory` on the kernel's command line, or cgroup v2 for rootless";
        findings.push(Finding::warning(
            "memory",
            "the engine does not enforce memory limits",
            remedy,
        ));
    }
    findings.push(match probe.and_then(|probe| probe.free) {
        None => Finding::good("disk", "not known before the images are there"),
        Some(free) if free < NEEDED_DISK => Finding::warning(
            "disk",
            format!("the engine has {} left", render_bytes(free)),
            "`docker image prune` and `docker builder prune` free what nothing uses; never prune volumes",
        ),
        Some(free) => Finding::good("disk", format!("the engine has {} left", render_bytes(free))),
    });
    findings
}

/// The four images take about 2 GiB (measured 2026-11-22 on Umami 3.1, GlitchTip 5.2); data comes on top.
const NEEDED_DISK: u64 = 3 << 30;

/// A role's way into a database.
pub struct Login {
    pub role: String,
    pub database: String,
    pub password: String,
}

/// What [`Probe`] reads, said by a shell in PostgreSQL's image.
pub const PROBE: &str = "echo \"data: $(cat /probe/PG_VERSION 2>/dev/null)\"; postgres --version; df -Pk /probe 2>/dev/null || df -Pk /";

#[derive(Debug, PartialEq, Eq)]
pub struct Probe {
    /// PostgreSQL's major version that made the data; `None` if there is none.
    pub data_major: Option<u32>,
    pub image_major: Option<u32>,
    /// Bytes left on the disk.
    pub free: Option<u64>,
}

impl Probe {
    pub fn parse(output: &str) -> Probe {
        let after = |word: &str| output.lines().find_map(|line| line.strip_prefix(word));
        let major = |text: &str| text.trim().split('.').next()?.parse().ok();
        let blocks = output
            .lines()
            .last()
            .and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        Probe {
            data_major: after("data: ").and_then(major),
            image_major: after("postgres (PostgreSQL) ")
                .and_then(|text| major(text.split(' ').next()?)),
            free: blocks.map(|blocks| blocks * 1024),
        }
    }

    pub fn check(&self, image: &str) -> Finding {
        match (self.data_major, self.image_major) {
            (Some(data), Some(in_image)) if data != in_image => Finding::stops(
                "data",
                format!(
                    "the volume was made by PostgreSQL {data}, and {image} is {in_image}, which cannot read it"
                ),
                format!("set POSTGRES_IMAGE in deploy/analytics/.env to PostgreSQL {data}"),
            ),
            (Some(data), _) => Finding::good("data", format!("PostgreSQL {data}, like {image}")),
            (None, _) => Finding::good("data", "none yet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::engine::parse_things;

    #[test]
    fn a_container_between_two_starts_may_hold_its_port() {
        let engine = |state: &str| {
            let containers = parse_things(&format!("umami\tanalytics\t/srv\t\t{state}\n"));
            Engine {
                containers,
                ..Engine::default()
            }
        };
        assert!(engine("restarting").has_restarting("analytics"));
        assert!(!engine("restarting").has_restarting("other"));
        assert!(!engine("exited").has_restarting("analytics"));
    }

    const CONFIG: &str = "name: analytics\nservices:\n  umami: {container_name: umami}\n  redis: {}\n\
                          networks:\n  n: {name: analytics-network}\n  e: {name: shared, external: true}\n\
                          volumes:\n  v: {name: analytics_postgres_data}\n";

    fn engine(containers: &str, networks: &str, volumes: &str) -> Engine {
        let [containers, networks, volumes] = [containers, networks, volumes].map(parse_things);
        Engine {
            containers,
            networks,
            volumes,
            ..Engine::default()
        }
    }

    #[test]
    fn sees_names_that_something_else_has() {
        let config = Config::parse(CONFIG).unwrap();
        let check = |engine: Engine, level, words: &str| {
            let findings = engine.taken_names(&config);
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(
                findings[0].level == level && findings[0].finding.contains(words),
                "{findings:?}"
            );
        };
        check(
            engine("umami\t\t\t\n", "", ""),
            Level::Stops,
            "container name umami is taken by one made by hand",
        );
        check(
            engine("umami\tother\t/o\t\n", "", ""),
            Level::Stops,
            "of the project other in /o",
        );
        check(
            engine("", "analytics-network\tother\n", ""),
            Level::Stops,
            "network name analytics-network",
        );
        check(
            engine("", "", "analytics_postgres_data\tother\n"),
            Level::Stops,
            "of the project other",
        );
        check(
            engine("", "", "analytics_postgres_data\t\n"),
            Level::Warning,
            "made by hand",
        );
        let ours = engine(
            "umami\tanalytics\t/c\t\nredis\t\t\t\n",
            "analytics-network\tanalytics\nshared\t\n",
            "",
        );
        assert_eq!(ours.taken_names(&config), []);
    }

    #[test]
    fn stops_before_the_stack_of_another_checkout() {
        let there = engine(
            "umami\tanalytics\t/there\t\nx\tother\t/elsewhere\t\n",
            "",
            "",
        );
        let finding = there
            .other_checkout("analytics", |folder| folder != "/here")
            .unwrap();
        assert!(
            finding.level == Level::Stops && finding.finding.contains("/there"),
            "{finding:?}"
        );
        assert_eq!(
            there.other_checkout("analytics", |folder| folder != "/there"),
            None
        );
    }

    #[test]
    fn compares_the_engine_with_what_the_stack_may_take() {
        let yaml = "name: a\nservices:\n  a: {mem_limit: '1073741824', depends_on: {m: {condition: service_completed_successfully}}}\n  \
                    b: {mem_limit: '1073741824'}\n  m: {mem_limit: '536870912'}\n";
        let config = Config::parse(yaml).unwrap();
        let check = |memory: u64, limits: bool, df: &str, level: [Level; 2]| {
            let json = format!(
                r#"{{"ServerVersion":"26","OperatingSystem":"x","Architecture":"x86_64","MemTotal":{memory},"MemoryLimit":{limits}}}"#
            );
            let findings = check_resources(
                &Info::parse(&json).unwrap(),
                &config,
                Some(&Probe::parse(df)),
            );
            assert_eq!(
                [findings[0].level, findings.last().unwrap().level],
                level,
                "{findings:?}"
            );
            assert_eq!(findings.len(), if limits { 2 } else { 3 });
        };
        let roomy = "data: 15\npostgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\nFilesystem 1024-blocks Used Available Capacity Mounted on\n\
                     overlay 264212084 21212792 74073096 23% /\n";
        check(2 << 30, true, roomy, [Level::Good, Level::Good]);
        check((2 << 30) - 1, false, roomy, [Level::Warning, Level::Good]);
        check(
            4 << 30,
            true,
            &roomy.replace("74073096", "74073"),
            [Level::Good, Level::Warning],
        );
    }

    #[test]
    fn stops_at_data_of_another_major_version() {
        let check = |output: &str| Probe::parse(output).check("postgres:16").level;
        assert_eq!(
            check("data: 15\npostgres (PostgreSQL) 15.18\n"),
            Level::Good
        );
        assert_eq!(check("data: \npostgres (PostgreSQL) 15.18\n"), Level::Good);
        assert_eq!(
            check("data: 15\npostgres (PostgreSQL) 16.2 (Debian)\n"),
            Level::Stops
        );
    }

    #[test]
    fn knows_whose_a_port_is() {
        let things = engine(
            "umami\tanalytics\t/c\t127.0.0.1:3001->3000/tcp, 5432/tcp\nweb\t\t\t[::]:80-82->80-82/tcp\n",
            "",
            "",
        );
        assert_eq!(things.port_owner(3001, "analytics"), Some(Ok(())));
        assert_eq!(
            things.port_owner(3001, "other").unwrap().unwrap_err().name,
            "umami"
        );
        assert_eq!(
            things
                .port_owner(81, "analytics")
                .unwrap()
                .unwrap_err()
                .name,
            "web"
        );
        assert_eq!(things.port_owner(5432, "analytics"), None);
    }
}
