//! What the committed files promise, read from the files themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_yaml::Value;

use crate::checkout::{compose_file, repository};

const ONE_SHOTS: [&str; 4] = [
    "glitchtip-migrate",
    "postgres-init",
    "umami-accounts",
    "umami-migrate",
];

#[test]
fn services_ports_and_names_are_those_of_the_plan() {
    let file = compose_file();
    let long_running: Vec<&str> = long_running(&file).map(|(name, _)| name).collect();
    assert_eq!(
        long_running,
        [
            "postgres",
            "redis",
            "umami",
            "glitchtip-web",
            "glitchtip-worker"
        ]
    );
    let names: BTreeSet<&str> = services(&file)
        .map(|(_, service)| text(&service["container_name"]))
        .collect();
    for name in [
        "analytics-postgres",
        "analytics-redis",
        "umami",
        "glitchtip-web",
        "glitchtip-worker",
        "glitchtip-migrate",
    ] {
        assert!(names.contains(name), "no container is called {name}");
    }
    assert_eq!(
        text(&file["networks"]["analytics-network"]["name"]),
        "analytics-network"
    );
    let variables = template();
    assert_eq!(
        (&*variables["UMAMI_PORT"], &*variables["GLITCHTIP_PORT"]),
        ("3001", "3002")
    );
    assert!(file.get("version").is_none());
}

#[test]
fn every_long_running_service_has_health_check_and_restart_policy() {
    let file = compose_file();
    for (name, service) in long_running(&file) {
        assert!(
            service["healthcheck"]["test"].is_sequence(),
            "{name} has no health check"
        );
        assert!(
            service["healthcheck"]["start_interval"].is_string(),
            "{name} is looked at too rarely while it starts"
        );
        assert_eq!(text(&service["restart"]), "unless-stopped", "{name}");
    }
}

/// Otherwise it may answer up to two seconds before it has handed the event to the kernel, while an older one is on its
/// way to the disk: one of 935 accepted errors was lost to a kill (2026-11-30).
#[test]
fn redis_answers_when_an_event_is_on_the_disk() {
    let file = compose_file();
    let command = file["services"]["redis"]["command"].as_sequence().unwrap();
    let words: Vec<&str> = command.iter().map(text).collect();
    assert!(
        words.windows(2).any(|it| it == ["--appendfsync", "always"]),
        "{words:?}"
    );
}

#[test]
fn every_one_shot_is_awaited_and_never_restarted() {
    let file = compose_file();
    let awaited: BTreeSet<&str> = services(&file)
        .flat_map(|(_, service)| {
            service
                .get("depends_on")
                .and_then(Value::as_mapping)
                .into_iter()
                .flatten()
        })
        .filter(|(_, dependency)| {
            text(&dependency["condition"]) == "service_completed_successfully"
        })
        .map(|(name, _)| text(name))
        .collect();
    assert_eq!(awaited, BTreeSet::from(ONE_SHOTS));
    for (name, service) in services(&file).filter(|(name, _)| ONE_SHOTS.contains(name)) {
        assert_eq!(text(&service["restart"]), "no", "{name}");
    }
}

#[test]
fn every_service_has_limits_and_few_privileges() {
    for (name, service) in services(&compose_file()) {
        assert!(
            text(&service["mem_limit"]).ends_with(['M', '}']),
            "{name} has no memory limit"
        );
        assert!(
            service["logging"]["options"]["max-size"].is_string(),
            "{name} logs without a limit"
        );
        assert!(
            service["logging"]["options"]["max-file"].is_string(),
            "{name} logs without a limit"
        );
        assert_eq!(
            text(&service["security_opt"][0]),
            "no-new-privileges:true",
            "{name}"
        );
        assert_eq!(text(&service["cap_drop"][0]), "ALL", "{name}");
        assert_eq!(
            service["read_only"],
            Value::Bool(true),
            "{name} may write to its image"
        );
        assert!(
            service.get("privileged").is_none() && service.get("network_mode").is_none(),
            "{name}"
        );
    }
}

#[test]
fn what_runs_at_once_is_limited_to_2_gib() {
    let file = compose_file();
    let limit = |service: &Value| mebibytes(&resolve(text(&service["mem_limit"])));
    let running: u64 = long_running(&file).map(|(_, service)| limit(service)).sum();
    assert_eq!(running, 2048);
    // A one-shot runs before those that wait for it: beside PostgreSQL, Redis and the other application.
    let of = |name: &str| limit(&file["services"][name]);
    let databases = of("postgres") + of("redis");
    let umami = of("umami")
        .max(of("umami-migrate"))
        .max(of("umami-accounts"));
    let glitchtip = (of("glitchtip-web") + of("glitchtip-worker")).max(of("glitchtip-migrate"));
    assert!(databases + umami + glitchtip <= 2048);
    assert!(databases + of("postgres-init") <= 2048);
}

#[test]
fn no_container_makes_an_unnamed_volume() {
    // Where the images declare a volume: without a mount the engine makes a new one with each container.
    let declared = [
        ("POSTGRES", "/var/lib/postgresql/data"),
        // From 18 on.
        ("POSTGRES", "/var/lib/postgresql"),
        ("REDIS", "/data"),
    ];
    for (name, service) in services(&compose_file()) {
        let image = text(&service["image"]);
        for (_, path) in declared
            .iter()
            .filter(|(image_of, _)| image.contains(image_of))
        {
            let volumes = service["volumes"].as_sequence().unwrap();
            let covers = |volume: &Value| match volume.as_str() {
                Some(short) => short.split(':').nth(1) == Some(*path),
                None => text(&volume["target"]) == *path,
            };
            let tmpfs = service["tmpfs"].as_sequence();
            let is_tmpfs = tmpfs.is_some_and(|it| it.iter().any(|folder| text(folder) == *path));
            assert!(
                is_tmpfs || volumes.iter().any(covers),
                "{name} mounts nothing at {path}"
            );
        }
    }
}

#[test]
fn health_checks_go_through_no_proxy_and_say_why_they_fail() {
    let text = compose_text();
    for line in text.lines().filter(|line| line.contains("curl ")) {
        assert!(
            line.contains("--noproxy '*'") && line.contains("--show-error"),
            "{line}"
        );
    }
    assert!(
        !text.contains("pg_isready --quiet"),
        "pg_isready does not say why"
    );
    assert!(
        !text.contains("urllib"),
        "urllib asks the proxy of the environment"
    );
}

#[test]
fn what_compose_does_to_redis_it_does_to_the_worker() {
    let worker = &compose_file()["services"]["glitchtip-worker"];
    assert_eq!(worker["depends_on"]["redis"]["restart"], Value::Bool(true));
    assert_eq!(
        text(&worker["depends_on"]["glitchtip-migrate"]["condition"]),
        "service_completed_successfully"
    );
}

#[test]
fn what_glitchtip_may_take_of_postgresql_is_there() {
    let file = compose_file();
    let command = file["services"]["postgres"]["command"]
        .as_sequence()
        .unwrap();
    assert!(
        command
            .iter()
            .any(|word| text(word) == "max_locks_per_transaction=256"),
        "{command:?}"
    );
    for name in ["glitchtip-migrate", "glitchtip-web", "glitchtip-worker"] {
        let environment = &file["services"][name]["environment"];
        assert_eq!(text(&environment["DATABASE_POOL_MAX_SIZE"]), "10", "{name}");
        assert_eq!(text(&environment["SKIP_INIT"]), "true", "{name}");
    }
}

#[test]
fn images_are_pinned_to_a_major_version() {
    for (name, service) in services(&compose_file()) {
        let image = resolve(text(&service["image"]));
        let tag = image
            .rsplit_once(':')
            .unwrap_or_else(|| panic!("{name}: {image} has no tag"))
            .1;
        assert!(
            tag.starts_with(|c: char| c.is_ascii_digit()),
            "{name}: {image}"
        );
    }
}

#[test]
fn only_the_two_ports_are_published_on_loopback() {
    let file = compose_file();
    let published: Vec<String> = services(&file)
        .flat_map(|(_, service)| {
            service
                .get("ports")
                .and_then(Value::as_sequence)
                .into_iter()
                .flatten()
        })
        .map(|port| resolve(text(port)))
        .collect();
    assert_eq!(published, ["127.0.0.1:3001:3000", "127.0.0.1:3002:8000"]);
}

#[test]
fn every_variable_is_in_the_template_and_every_one_there_is_used() {
    let used: BTreeSet<String> = references(&compose_text())
        .into_iter()
        .map(|reference| reference.name)
        .collect();
    // The browser's names for Umami: nothing inside the stack needs them.
    let ours = BTreeSet::from(["UMAMI_HOSTNAME", "UMAMI_URL"].map(str::to_owned));
    let known: BTreeSet<String> = template().into_keys().collect();
    assert_eq!(known, used.union(&ours).cloned().collect());
}

#[test]
fn defaults_are_the_same_in_both_files_and_secrets_have_none() {
    let template = template();
    for Reference {
        name,
        operator,
        argument,
    } in references(&compose_text())
    {
        let value = &template[&name];
        // What depends on whether they are set at all, and on nothing else of them.
        if ["POSTGRES_HOST", "DIRECTUS_NETWORK"].contains(&name.as_str()) {
            assert_eq!(value, "", "{name}");
            continue;
        }
        if value.starts_with("change_this") {
            assert_eq!(
                (operator.as_str(), argument.as_str()),
                (":?", "run cargo xtask setup"),
                "{name}"
            );
        } else {
            assert_eq!((operator.as_str(), &argument), (":-", value), "{name}");
        }
    }
}

#[test]
fn every_variable_is_documented_in_one_line() {
    check_documented("deploy/analytics");
    check_documented("deploy/production");
}

fn check_documented(folder: &str) {
    let text = fs::read_to_string(repository().join(folder).join(".env.example")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for (number, line) in lines
        .iter()
        .enumerate()
        .filter(|(_, line)| assignment(line).is_some())
    {
        let above = lines[number - 1];
        let is_comment =
            above.starts_with("# ") && !above.starts_with("# ---") && assignment(above).is_none();
        assert!(is_comment, "nothing explains {line}");
        let before = lines[number - 2];
        let is_single = before.is_empty() || assignment(before).is_some();
        assert!(is_single, "more than one line explains {line}");
    }
}

#[test]
fn harmful_values_of_the_plan_are_gone() {
    let file = compose_file();
    assert_eq!(
        text(&file["services"]["umami"]["environment"]["HOSTNAME"]),
        "0.0.0.0"
    );
    for (name, service) in services(&file) {
        let environment = service.get("environment").and_then(Value::as_mapping);
        assert!(
            environment.is_none_or(|values| !values.contains_key("CACHE_URL")),
            "{name}"
        );
    }
    assert_eq!(template()["GLITCHTIP_EMAIL_URL"], "consolemail://");
}

#[test]
fn git_ignores_secrets_overrides_and_backups() {
    let ignored = [
        "deploy/analytics/.env",
        "deploy/analytics/.env.previous",
        "deploy/production/.env",
    ];
    let more = [
        "deploy/analytics/backups/x",
        "deploy/analytics/docker-compose.override.yml",
        "deploy/analytics/docker-compose.override.yaml",
        "deploy/analytics/compose.override.yml",
        "deploy/analytics/compose.override.yaml",
        "target/x",
    ];
    for path in ignored.into_iter().chain(more) {
        assert!(check_ignore(path), "{path} could be committed");
    }
    assert!(!check_ignore("deploy/analytics/.env.example"));
}

fn check_ignore(path: &str) -> bool {
    let git = std::process::Command::new("git")
        .current_dir(repository())
        .args(["check-ignore", "--quiet", path])
        .status();
    match git.unwrap().code() {
        Some(0) => true,
        Some(1) => false,
        code => panic!("git check-ignore ended with {code:?}"),
    }
}

pub fn services(file: &Value) -> impl Iterator<Item = (&str, &Value)> {
    file["services"]
        .as_mapping()
        .unwrap()
        .iter()
        .map(|(name, service)| (text(name), service))
}

fn long_running(file: &Value) -> impl Iterator<Item = (&str, &Value)> {
    services(file).filter(|(name, _)| !ONE_SHOTS.contains(name))
}

#[track_caller]
pub fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value:?} is no text"))
}

fn compose_text() -> String {
    fs::read_to_string(repository().join("deploy/analytics/docker-compose.yml")).unwrap()
}

/// `KEY=value` and `# KEY=default`.
pub fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("# ").unwrap_or(line).split_once('=')?;
    let is_key = key
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
    is_key.then_some((key, value))
}

fn template() -> BTreeMap<String, String> {
    template_of("deploy/analytics")
}

/// The variables of the template in this folder, with their values or defaults.
pub fn template_of(folder: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(repository().join(folder).join(".env.example")).unwrap();
    text.lines()
        .filter_map(assignment)
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub struct Reference {
    pub name: String,
    pub operator: String,
    pub argument: String,
}

/// Each `${NAME:-default}` and `${NAME:?message}` of a compose file.
pub fn references(text: &str) -> Vec<Reference> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    let found = code.flat_map(|line| line.split("${").skip(1)).map(|rest| {
        let inside = rest.split_once('}').unwrap().0;
        let end = inside.find(':').unwrap_or(inside.len());
        let (name, operation) = inside.split_at(end);
        let operator_end = 2.min(operation.len());
        let (operator, argument) = operation.split_at(operator_end);
        Reference {
            name: name.to_owned(),
            operator: operator.to_owned(),
            argument: argument.to_owned(),
        }
    });
    found.collect()
}

/// A value with every reference replaced by its default.
pub fn resolve(value: &str) -> String {
    let mut parts = value.split("${");
    let mut resolved = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inside, rest) = part.split_once('}').unwrap();
        resolved.push_str(
            inside
                .split_once(":-")
                .unwrap_or_else(|| panic!("{inside} has no default"))
                .1,
        );
        resolved.push_str(rest);
    }
    resolved
}

#[track_caller]
pub fn mebibytes(limit: &str) -> u64 {
    limit
        .strip_suffix('M')
        .and_then(|number| number.parse().ok())
        .unwrap_or_else(|| panic!("{limit} is not in M"))
}
