//! What the files of production promise, read from the files themselves, and where they say the same as those of
//! the single machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use serde_yaml::Value;

use crate::artifacts::{mebibytes, references, resolve, services, template_of, text};
use crate::checkout::{Run, compose_file, repository};

const FILES: [&str; 3] = ["stack.yml", "jobs.yml", "operation.yml"];

/// What takes the place of some services of stack.yml.
const HA: &str = "ha.yml";

/// The one-shots, in the order in which they must run.
const JOBS: [&str; 4] = [
    "postgres-init",
    "umami-migrate",
    "umami-accounts",
    "glitchtip-migrate",
];

/// Variables that no file of the stack reads: what secrets are made of, and at the end what only the tool reads.
const INPUTS_OF_SECRETS: [&str; 21] = [
    "BACKUP_CIPHER_PASSWORD",
    "BACKUP_S3_KEY",
    "BACKUP_S3_KEY_SECRET",
    "GLITCHTIP_ADMIN_PASSWORD",
    "GLITCHTIP_API_TOKEN",
    "GLITCHTIP_DATABASE_PASSWORD",
    "GLITCHTIP_EMAIL_URL",
    "GLITCHTIP_SECRET_KEY",
    "PATRONI_PASSWORD",
    "REPLICATION_PASSWORD",
    "REWIND_PASSWORD",
    "SECRETS_KEY",
    "UMAMI_ADMIN_PASSWORD",
    "UMAMI_APP_SECRET",
    "UMAMI_DATABASE_PASSWORD",
    "UPLOADS_S3_BUCKET",
    "UPLOADS_S3_ENDPOINT",
    "UPLOADS_S3_KEY",
    "UPLOADS_S3_KEY_SECRET",
    "DATABASE",
    "TARGET",
];

/// What only one of the two has in its environment: the single machine has its secrets there, and production what
/// the public needs.
const DIFFERENT: [&str; 17] = [
    "APP_SECRET",
    "CLIENT_IP_HEADER",
    "CLOSE_OTHER_LOGINS",
    "CSRF_TRUSTED_ORIGINS",
    "DATABASE_POOL_MAX_SIZE",
    "DATABASE_URL",
    "EMAIL_URL",
    "GLITCHTIP_DATABASE_PASSWORD",
    "GLITCHTIP_DOMAIN",
    "GLITCHTIP_LOGIN",
    // On the single machine Redis has a name that no other network has.
    "REDIS_URL",
    "SECRET_KEY",
    "SESSION_COOKIE_SECURE",
    "SKIP_LOCATION_HEADERS",
    "UMAMI_DATABASE_PASSWORD",
    "UMAMI_LOGIN",
    "VALKEY_URL",
];

#[test]
fn production_runs_the_services_of_the_single_machine() {
    let (stack, jobs) = (file("stack.yml"), file("jobs.yml"));
    let production: BTreeSet<&str> = services(&stack)
        .chain(services(&jobs))
        .map(|(name, _)| name)
        .filter(|name| *name != "edge" && *name != "backup")
        .collect();
    let single = compose_file();
    let single: BTreeSet<&str> = services(&single).map(|(name, _)| name).collect();
    assert_eq!(production, single);
    let order: Vec<&str> = services(&jobs).map(|(name, _)| name).collect();
    assert_eq!(order, JOBS);
}

#[test]
fn images_and_memory_are_those_of_the_single_machine() {
    let single = compose_file();
    for (name, service) in all_services() {
        let Some(other) = single["services"].get(&name) else {
            continue;
        };
        if !text(&service["image"]).contains("POSTGRES_IMAGE") && !name.starts_with("redis") {
            assert_eq!(service["image"], other["image"], "{name}");
        }
        let limit = &service["deploy"]["resources"]["limits"]["memory"];
        assert_eq!(text(limit), text(&other["mem_limit"]), "{name}");
    }
}

#[test]
fn environments_are_those_of_the_single_machine() {
    let single = compose_file();
    for (name, service) in all_services() {
        let Some(other) = single["services"].get(&name) else {
            continue;
        };
        // PostgreSQL's image is another one, and Redis has none.
        if name == "postgres" || name == "redis" {
            continue;
        }
        assert_eq!(environment(&service), environment(other), "{name}");
    }
}

#[test]
fn health_checks_are_those_of_the_single_machine_but_for_a_database_that_is_away() {
    let single = compose_file();
    let stack = file("stack.yml");
    let test = |file: &Value, name: &str| file["services"][name]["healthcheck"]["test"].clone();
    for name in ["redis", "glitchtip-worker"] {
        assert_eq!(test(&stack, name), test(&single, name), "{name}");
    }
    let web = test(&stack, "glitchtip-web");
    assert_eq!(text(&web[3]), "/glitchtip-service.py");
    assert_eq!(text(&web[4]), "check-replica");
    assert!(text(&test(&stack, "umami")[1]).contains("/api/heartbeat"));

    for (name, service) in services(&stack) {
        let check = &service["healthcheck"];
        assert!(check["start_interval"].is_string(), "{name}");
        let seconds: u64 = text(&check["interval"])
            .trim_end_matches('s')
            .parse()
            .unwrap();
        let tolerated = seconds * check["retries"].as_u64().unwrap();
        assert!(tolerated >= 90, "{name} is killed after {tolerated} s");
    }
}

#[test]
fn every_service_has_limits_few_privileges_and_needs_no_ipvs() {
    for (name, service) in all_services().into_iter().chain(members()) {
        let deploy = &service["deploy"];
        assert!(
            text(&deploy["resources"]["limits"]["memory"]).ends_with(['M', '}']),
            "{name} has no memory limit"
        );
        assert!(
            service["logging"]["options"]["max-size"].is_string(),
            "{name} logs without a limit"
        );
        assert_eq!(text(&service["cap_drop"][0]), "ALL", "{name}");
        assert_eq!(
            service["read_only"],
            Value::Bool(true),
            "{name} may write to its image"
        );
        assert_eq!(text(&deploy["endpoint_mode"]), "dnsrr", "{name}");
        assert!(
            deploy["restart_policy"]["condition"].is_string(),
            "{name} would run again for ever"
        );
        for port in service["ports"].as_sequence().into_iter().flatten() {
            assert_eq!(text(&port["mode"]), "host", "{name}");
        }
        // Swarm drops the short form without a word.
        assert!(service.get("tmpfs").is_none(), "{name}");
    }
}

#[test]
fn what_cannot_run_twice_is_pinned_and_stopped_before() {
    let stack = file("stack.yml");
    for name in ["postgres", "redis", "backup"] {
        let deploy = &stack["services"][name]["deploy"];
        assert_eq!(
            text(&deploy["placement"]["constraints"][0]),
            "node.labels.analytics.data == true",
            "{name}"
        );
        assert_eq!(text(&deploy["update_config"]["order"]), "stop-first");
    }
    for name in ["umami", "glitchtip-web"] {
        let update = &stack["services"][name]["deploy"]["update_config"];
        assert_eq!(text(&update["order"]), "start-first", "{name}");
        assert_eq!(text(&update["failure_action"]), "rollback", "{name}");
    }
}

#[test]
fn everything_fits_a_machine_of_4_gib() {
    let limit = |service: &Value| {
        mebibytes(&resolve(text(
            &service["deploy"]["resources"]["limits"]["memory"],
        )))
    };
    let (stack, jobs) = (file("stack.yml"), file("jobs.yml"));
    let running: u64 = services(&stack).map(|(_, service)| limit(service)).sum();
    assert!(running <= 2816, "{running} MiB");
    // Jobs run one after the other beside it; both applications may be replaced at once.
    let job = services(&jobs).map(|(_, service)| limit(service)).max();
    assert!(running + job.unwrap() <= 3584);
    let of = |name: &str| limit(&stack["services"][name]);
    assert!(running + of("umami") + of("glitchtip-web") <= 3584);
}

#[test]
fn no_environment_and_no_argument_holds_a_secret() {
    for name in FILES.into_iter().chain([HA]) {
        let code = code(name);
        for input in &INPUTS_OF_SECRETS[..19] {
            assert!(!code.contains(&format!("${{{input}")), "{name}: {input}");
        }
    }
    for (name, service) in all_services().into_iter().chain(members()) {
        for key in environment_keys(&service) {
            let is_secret = ["PASSWORD", "TOKEN", "SECRET", "EMAIL_URL", "DATABASE_URL"]
                .iter()
                .any(|word| key.contains(word));
            assert!(!is_secret, "{name} has {key} in its environment");
        }
    }
}

#[test]
fn every_secret_and_config_is_versioned() {
    for name in FILES.into_iter().chain([HA]) {
        let file = file(name);
        for kind in ["secrets", "configs"] {
            let Some(entries) = file.get(kind).and_then(Value::as_mapping) else {
                continue;
            };
            for (key, value) in entries {
                let key = text(key);
                let version = format!(
                    "{}_{}_VERSION",
                    key.to_uppercase(),
                    kind.trim_end_matches('s').to_uppercase()
                );
                assert_eq!(
                    text(&value["name"]),
                    format!("${{STACK:-analytics}}_{key}_${{{version}:-1}}"),
                    "{name}"
                );
            }
        }
    }
}

#[test]
fn every_variable_of_production_is_in_its_template_and_every_one_there_is_used() {
    let used: BTreeSet<String> = FILES
        .iter()
        .chain([&HA])
        .flat_map(|name| references(&code(name)))
        .map(|reference| reference.name)
        .collect();
    let inputs = INPUTS_OF_SECRETS.map(str::to_owned);
    let known: BTreeSet<String> = template_of("deploy/production").into_keys().collect();
    assert_eq!(known, used.into_iter().chain(inputs).collect());
}

#[test]
fn defaults_of_production_are_those_of_its_template_and_of_the_single_machine() {
    let (template, single) = (
        template_of("deploy/production"),
        template_of("deploy/analytics"),
    );
    for name in FILES.into_iter().chain([HA]) {
        for reference in references(&code(name)) {
            let value = template[&reference.name].trim_matches('\'');
            match reference.operator.as_str() {
                ":-" => assert_eq!(reference.argument, value, "{}", reference.name),
                _ => assert!(reference.argument.contains(' '), "{}", reference.name),
            }
        }
    }
    // Names of one's own, and PostgreSQL's image, are no defaults.
    let own = BTreeSet::from([
        "ADMIN_EMAIL",
        "GLITCHTIP_EMAIL_URL",
        "GLITCHTIP_FROM_EMAIL",
        "GLITCHTIP_ORGANIZATION",
        "POSTGRES_IMAGE",
        "SITE_DOMAIN",
        "SITE_NAME",
        "UMAMI_HOSTNAME",
    ]);
    for (name, value) in template.iter().filter(|(name, _)| !own.contains(&***name)) {
        if let Some(other) = single.get(name) {
            assert_eq!(value, other, "{name}");
        }
    }
}

#[test]
fn operations_run_where_and_as_the_database_does() {
    let (stack, operation) = (file("stack.yml"), file("operation.yml"));
    let ours = &operation["services"]["operation"];
    let database = &stack["services"]["postgres"];
    for key in ["image", "environment", "secrets", "configs", "cap_drop"] {
        assert_eq!(ours[key], database[key], "{key}");
    }
    let place = |service: &Value| resolve(text(&service["deploy"]["placement"]["constraints"][0]));
    assert_eq!(place(ours), place(database));
}

#[test]
fn each_member_of_three_is_the_database_of_one_node_on_a_node_of_its_own() {
    let (stack, ha) = (file("stack.yml"), file(HA));
    for (number, single) in ["1", "2", "3"]
        .into_iter()
        .flat_map(|it| [(it, "postgres"), (it, "backup")])
    {
        let member = &ha["services"][format!("{single}-{number}")];
        let place = format!("node.labels.analytics.member == {number}");
        assert_eq!(
            text(&member["deploy"]["placement"]["constraints"][0]),
            place
        );
        let single = &stack["services"][single];
        for key in [
            "image",
            "volumes",
            "configs",
            "cap_drop",
            "init",
            "logging",
            "read_only",
        ] {
            assert_eq!(member[key], single[key], "{key}");
        }
        let limits = |service: &Value| service["deploy"]["resources"].clone();
        assert_eq!(limits(member), limits(single));
        let own = |service: &Value| {
            let mut variables = service["environment"].as_mapping().unwrap().clone();
            variables.remove("MEMBER");
            variables
        };
        assert_eq!(own(member), own(single));
        assert_eq!(member["secrets"][0], single["secrets"][0]);
    }
    for name in ["postgres", "backup"] {
        assert_eq!(ha["services"][name]["deploy"]["replicas"].as_u64(), Some(0));
    }
    assert_eq!(
        text(&ha["services"]["haproxy"]["networks"]["data"]["aliases"][0]),
        "postgres"
    );
}

#[test]
fn members_have_the_limits_of_postgresql_on_one_node() {
    let settings = read("postgres/member-settings.sh");
    for line in read("postgres/server.conf").lines() {
        // What Patroni gives PostgreSQL as an argument, and the file therefore cannot.
        let is_shared = ["max_connections", "max_locks_per_transaction"]
            .iter()
            .any(|key| line.starts_with(key));
        if let (true, Some((key, value))) = (is_shared, line.split_once(" = ")) {
            assert!(settings.contains(&format!("\"{key}\": {value},")), "{key}");
        }
    }
}

#[test]
fn the_limits_of_postgresql_are_those_of_the_single_machine() {
    let conf = read("postgres/server.conf");
    let single = compose_file();
    let grace = |file: &Value| file["services"]["postgres"]["stop_grace_period"].clone();
    assert_eq!(grace(&file("stack.yml")), grace(&single));
    let command = single["services"]["postgres"]["command"].as_sequence();
    for argument in command
        .unwrap()
        .iter()
        .map(text)
        .filter(|it| it.contains('='))
    {
        let line = argument.replace('=', " = ");
        assert!(conf.lines().any(|it| it == line), "{line}");
    }
}

/// The client reads the files alone; no engine is asked.
#[test]
#[ignore = "needs docker"]
fn swarm_accepts_the_files() {
    let sets = [&FILES[..1], &FILES[1..2], &FILES[2..], &["stack.yml", HA]];
    for files in sets {
        let name = files.join(" with ");
        let mut docker = Command::new("docker");
        docker
            .args(["stack", "config"])
            .args(files.iter().flat_map(|name| ["--compose-file", name]))
            .current_dir(repository().join("deploy/production"))
            .env("OPERATION", "backup");
        for (key, value) in template_of("deploy/production") {
            let is_needed = value.is_empty() || value.starts_with("change_this");
            if is_needed && key != "OPERATION" && key != "OPERATION_ARGUMENT" {
                docker.env(key, "example.com");
            }
        }
        let run = Run::of(&mut docker);
        assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
        // A property that Swarm does not know earns a warning.
        assert_eq!(run.stderr, "", "{name}");
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(repository().join("deploy/production").join(name)).unwrap()
}

/// The file without its comments.
fn code(name: &str) -> String {
    let text = read(name);
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

fn file(name: &str) -> Value {
    let mut file: Value = serde_yaml::from_str(&read(name)).unwrap();
    file.apply_merge().unwrap();
    file.apply_merge().unwrap();
    file
}

fn all_services() -> Vec<(String, Value)> {
    let files = FILES.map(file);
    let all = files.iter().flat_map(services);
    all.map(|(name, service)| (name.to_owned(), service.clone()))
        .collect()
}

/// The services of three nodes.
fn members() -> Vec<(String, Value)> {
    let file = file(HA);
    let members = services(&file).filter(|(name, _)| !matches!(*name, "postgres" | "backup"));
    members
        .map(|(name, service)| (name.to_owned(), service.clone()))
        .collect()
}

fn environment_keys(service: &Value) -> Vec<String> {
    let variables = service.get("environment").and_then(Value::as_mapping);
    variables
        .into_iter()
        .flatten()
        .map(|(key, _)| text(key).to_owned())
        .collect()
}

/// What must be the same in both. Another test compares the defaults, so of a variable only its name counts here;
/// where production has a constant, the default of the single machine must be the same.
fn environment(service: &Value) -> BTreeMap<String, String> {
    let variables = template_of("deploy/production");
    let value = |key: &str| {
        let value = text(&service["environment"][key]);
        let name = value.strip_prefix("${").and_then(|it| it.split(':').next());
        match name {
            Some(name) if variables.contains_key(name) => name.to_owned(),
            _ => resolve(value),
        }
    };
    environment_keys(service)
        .into_iter()
        .filter(|key| !DIFFERENT.contains(&key.as_str()))
        // How psql connects: on the single machine also to a server elsewhere.
        .filter(|key| !key.starts_with("PG"))
        .filter(|key| !key.ends_with("PASSWORD") && !key.ends_with("TOKEN"))
        .map(|key| {
            let value = value(&key);
            (key, value)
        })
        .collect()
}
