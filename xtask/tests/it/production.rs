//! `cargo xtask production` as far as it goes without a swarm; with one, `tests/production` tries it.

use std::fs;
use std::path::PathBuf;

use crate::checkout::{Checkout, Run, repository};

/// What only its owner knows.
const ANSWERS: [(&str, &str); 12] = [
    ("UMAMI_HOSTNAME", "analytics.example.com"),
    ("GLITCHTIP_HOSTNAME", "errors.example.com"),
    ("ADMIN_EMAIL", "admin@example.com"),
    ("SITE_NAME", "example"),
    ("SITE_DOMAIN", "example.com"),
    ("GLITCHTIP_ORGANIZATION", "example"),
    ("GLITCHTIP_FROM_EMAIL", "errors@example.com"),
    ("GLITCHTIP_EMAIL_URL", "smtp://mail.example.com:25"),
    ("BACKUP_S3_ENDPOINT", "s3.example.com"),
    ("BACKUP_S3_BUCKET", "backups"),
    ("BACKUP_S3_KEY", "key"),
    ("BACKUP_S3_KEY_SECRET", "hidden-key"),
];

#[test]
fn setup_makes_the_secrets_and_names_what_only_the_owner_knows() {
    let checkout = with_production();
    let run = production(&checkout, &["setup"]).code(1);
    run.says("created deploy/production/.env with new secrets")
        .says("has no value for UMAMI_HOSTNAME, GLITCHTIP_HOSTNAME")
        .says("UMAMI_HOSTNAME=analytics.example.com");
    let text = fs::read_to_string(env_file(&checkout)).unwrap();
    assert!(!text.contains("=change_this"), "a placeholder is left");
}

#[test]
fn setup_prints_the_records_to_make_and_changes_nothing_the_second_time() {
    let checkout = complete("TARGET=ssh://me@server.example.com\n");
    let before = fs::read_to_string(env_file(&checkout)).unwrap();
    let mut command = checkout.xtask_command(&["production", "setup"]);
    // No ssh that could ask anyone.
    let run = Run::of(command.env("PATH", "")).success();
    assert_eq!(
        run.stdout,
        "analytics.example.com. 300 IN CNAME server.example.com\n\
         errors.example.com. 300 IN CNAME server.example.com\n"
    );
    run.says("already complete: deploy/production/.env");
    assert_eq!(fs::read_to_string(env_file(&checkout)).unwrap(), before);
}

#[test]
fn a_verb_without_an_env_file_says_what_makes_one() {
    let checkout = with_production();
    for verb in [
        "doctor", "deploy", "status", "logs", "verify", "rollback", "rotate", "backup", "restore",
        "drill", "nodes", "failover", "remove",
    ] {
        let run = production(&checkout, &[verb]).code(1);
        run.says("error: there is no deploy/production/.env yet")
            .says("`cargo xtask production setup`");
    }
}

#[test]
fn an_engine_that_is_not_there_is_named_with_who_named_it() {
    let checkout = complete("TARGET=tcp://127.0.0.1:9\n");
    let run = production(&checkout, &["status"]).code(1);
    run.says("tcp://127.0.0.1:9")
        .says("TARGET in deploy/production/.env");
}

#[test]
fn doctor_names_what_is_wrong_with_the_env_file_before_it_asks_an_engine() {
    let checkout = complete("TARGET=tcp://127.0.0.1:9\nUMAMI_HOSTNAME=https://x.example.com\n");
    let run = production(&checkout, &["doctor"]).code(1);
    for what in [
        "error    .env: UMAMI_HOSTNAME is not a host name",
        "error    swarm: ",
    ] {
        assert!(run.stdout.contains(what), "{}", run.stdout);
    }
    let json = production(&checkout, &["doctor", "--json"]).code(1).stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["ok"], false);
}

#[test]
fn what_cannot_be_rotated_and_what_is_no_time_is_refused_before_an_engine_is_asked() {
    let checkout = complete("TARGET=tcp://127.0.0.1:9\n");
    let run = production(&checkout, &["rotate", "BACKUP_CIPHER_PASSWORD"]).code(1);
    run.says("BACKUP_CIPHER_PASSWORD cannot be replaced")
        .says("UMAMI_DATABASE_PASSWORD");
    let run = production(&checkout, &["restore", "--at", "yesterday"]).code(1);
    run.says("\"yesterday\" is no time in UTC")
        .says("--at '2026-11-25 13:55:47'");
}

#[test]
fn a_file_that_is_no_backup_is_refused_before_an_engine_is_asked() {
    let checkout = complete("TARGET=tcp://127.0.0.1:9\n");
    fs::write(checkout.root().join("mine.tar"), "no backup").unwrap();
    let run = production(&checkout, &["import", "mine.tar", "--yes"]).code(1);
    run.says("error: reading mine.tar");
    let run = production(&checkout, &["import", "nowhere.tar", "--yes"]).code(1);
    run.says("nowhere.tar");
}

#[test]
fn no_secret_is_shown_with_the_commands() {
    let checkout = complete("TARGET=tcp://127.0.0.1:9\n");
    let run = production(&checkout, &["deploy", "--verbose"]).code(1);
    let text = fs::read_to_string(env_file(&checkout)).unwrap();
    let secret = text
        .lines()
        .find_map(|line| line.strip_prefix("UMAMI_APP_SECRET="));
    for hidden in [secret.unwrap(), "hidden-key"] {
        assert!(!run.stderr.contains(hidden) && !run.stdout.contains(hidden));
    }
}

fn production(checkout: &Checkout, arguments: &[&str]) -> Run {
    checkout.xtask(&[&["production"], arguments].concat())
}

fn env_file(checkout: &Checkout) -> PathBuf {
    checkout.root().join("deploy/production/.env")
}

/// A checkout with the artifacts of production.
fn with_production() -> Checkout {
    let checkout = Checkout::new();
    let from = repository().join("deploy/production");
    let to = checkout.root().join("deploy/production");
    fs::create_dir(&to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        // Never what a user of the repository that is tested has.
        if path.is_file() && name != ".env" {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
    checkout
}

/// The same with a complete env file, and `more` lines in it.
fn complete(more: &str) -> Checkout {
    let checkout = with_production();
    production(&checkout, &["setup"]).code(1);
    let mut text = fs::read_to_string(env_file(&checkout)).unwrap();
    for (key, value) in ANSWERS {
        let empty = format!("\n{key}=\n");
        assert!(text.contains(&empty), "no empty {key}");
        text = text.replace(&empty, &format!("\n{key}={value}\n"));
    }
    fs::write(env_file(&checkout), text + more).unwrap();
    checkout
}
