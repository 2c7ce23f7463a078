//! Production on three nodes, under load: releases that work, releases that do not, and a node that dies.
//!
//! CI rolls out once. As long as it takes for so many requests, at 50 a second, and with the limit of a quiet machine:
//!
//!     XTASK_PRODUCTION_REQUESTS=10000 cargo test --package xtask --test production several -- --include-ignored --nocapture

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checkout::Run;
use crate::load::Load;
use crate::rig::until;
use crate::site::Site;

/// From a node's being found dead until its replicas answer elsewhere, on a machine that does nothing else.
const LONGEST_MOVE: Duration = Duration::from_secs(12);
/// The same on the two cores of a machine of CI, which has all three nodes, their load and this test (12.9 s seen).
const LONGEST_MOVE_IN_CI: Duration = Duration::from_secs(20);

/// Requests a second.
const RATE: usize = 20;
/// The same while a number of them is asked for.
const HIGH_RATE: usize = 50;

const BROKEN_MIGRATION: &str = "analytics-standin/umami:3-broken";
/// What is changed in stack.yml, so that Umami exits.
const EXITS: [(&str, &str); 1] = [(
    "command: [node, --env-file=/run/secrets/umami, server.js]",
    "command: [sh, -c, exit 3]",
)];
/// So that it is never healthy, and known to be so after seconds instead of minutes.
const NEVER_HEALTHY: [(&str, &str); 2] = [
    (r#"[ "$$answer" = 401 ]"#, r#"[ "$$answer" = never ]"#),
    (
        "      # Until it has been well once",
        "      start_period: 2s\n      interval: 1s\n      retries: 3\n      # Until it has been well once",
    ),
];

#[test]
#[ignore = "needs the rig"]
fn three_nodes_lose_no_request_to_a_rollout_a_broken_release_or_a_dead_node() {
    let site = Site::on_three_nodes();
    site.production(&["deploy"]).success();

    a_rollout_refuses_nobody(&site);
    broken_releases_are_taken_back(&site);
    a_node_may_die(&site);
}

/// Both applications are replaced at once, and once more until there were as many requests as are wanted.
fn a_rollout_refuses_nobody(site: &Site) {
    let (wanted, rate) = match std::env::var("XTASK_PRODUCTION_REQUESTS") {
        Ok(wanted) => (wanted.parse().unwrap(), HIGH_RATE),
        Err(_) => (0, RATE),
    };
    let load = Load::start(site, &["n1", "n2"], rate);
    let mut release = 1;
    while release == 1 || load.count() < wanted {
        release += 1;
        site.set("UMAMI_DISABLE_UPDATES", &(release % 2).to_string());
        site.set("GLITCHTIP_RETENTION_DAYS", &(90 + release).to_string());
        let run = site.production(&["deploy"]).success();
        run.says(&format!("deployed: release {release} runs"));
    }
    let answers = load.finish();

    let what = format!("{} rollouts of both applications", release - 1);
    answers.are_all_stored(site, &what);
}

/// Each fails in a way of its own and says in which, while the release before it serves everyone.
fn broken_releases_are_taken_back(site: &Site) {
    let good = site.variable("UMAMI_IMAGE");
    let stack = site.read("stack.yml");
    let broken: [(_, &[(&str, &str)], _); 2] = [
        ("a release that exits", &EXITS, "exit (3)"),
        (
            "a release that is never healthy",
            &NEVER_HEALTHY,
            "unhealthy",
        ),
    ];
    for (what, edits, says) in broken {
        let mut text = stack.clone();
        for (from, to) in edits {
            assert!(text.contains(from), "stack.yml has no {from:?}");
            text = text.replace(from, to);
        }
        site.write("stack.yml", &text);
        is_taken_back(site, what, says);
        site.write("stack.yml", &stack);
    }

    // The migration comes last: once one has failed, Umami takes no other before a person has looked.
    site.rig.run(&["load", BROKEN_MIGRATION]);
    let nowhere = "analytics-standin/umami:nowhere";
    for (what, image, says) in [
        ("an image that is nowhere", nowhere, nowhere),
        (
            "a migration that fails",
            BROKEN_MIGRATION,
            "migrate resolve --rolled-back 20_broken`",
        ),
        (
            "a migration that has failed before",
            BROKEN_MIGRATION,
            "has left Umami's migration 20_broken failed (P3009)",
        ),
    ] {
        site.set("UMAMI_IMAGE", image);
        is_taken_back(site, what, says);
        site.set("UMAMI_IMAGE", &good);
    }
    site.production(&["deploy"])
        .success()
        .says("already up to date");
}

#[track_caller]
fn is_taken_back(site: &Site, what: &str, says: &str) {
    let load = Load::start(site, &["n1", "n2"], RATE);
    let run = site.production(&["deploy"]);
    let answers = load.finish();

    run.code(1).says(says);
    answers.are_all_stored(site, what);
}

/// The node without the database and without an edge that is asked.
fn a_node_may_die(site: &Site) {
    let load = Load::start(site, &["n1", "n2"], RATE);
    thread::sleep(Duration::from_secs(5));
    site.rig.run(&["kill", "n3"]);
    let died = Instant::now();
    until("n3 is found dead", || state(site, "n3") == "down");
    let down = died.elapsed();
    until("two of each application elsewhere", || {
        ["umami", "glitchtip-web"]
            .iter()
            .all(|service| running_elsewhere(site, service) == 2)
    });
    let elsewhere = died.elapsed() - down;
    until("a thousand requests", || load.count() >= 1000);
    let answers = load.finish();

    let lost = answers.lost(site);
    answers.print("a node without the database lost", lost);
    println!("found dead after {down:.1?}, two of each elsewhere {elsewhere:.1?} later");
    assert!(elsewhere < longest_move(), "{elsewhere:?}");
    assert!(
        answers.refused() * 500 <= answers.count(),
        "too many refused"
    );
    assert_eq!(lost, 0);
    nothing_is_hidden_by_a_dead_node(site);
}

fn longest_move() -> Duration {
    match std::env::var_os("XTASK_PRODUCTION_REQUESTS") {
        Some(_) => LONGEST_MOVE,
        None => LONGEST_MOVE_IN_CI,
    }
}

/// Every service can be seen, with where it runs and what it says.
fn nothing_is_hidden_by_a_dead_node(site: &Site) {
    let json = site.production(&["status", "--json"]).code(1).stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    let dead = json!({"node": "n3", "state": "down"});
    assert_eq!(report["nodes"][2], dead, "{json}");
    assert_eq!(report["healthy"], false);
    let services = report["services"].as_array().unwrap();
    assert_eq!(services.len(), 7, "{json}");
    for service in services {
        assert_eq!(service["healthy"], true, "{service}");
        let nodes = service["nodes"].as_array().unwrap();
        assert!(
            !nodes.is_empty() && !nodes.contains(&json!("n3")),
            "{service}"
        );
    }
    let logs = site.production(&["logs", "--no-follow", "--tail", "1"]);
    for service in ["umami", "glitchtip-web", "redis"] {
        assert!(
            logs.stdout.contains(service),
            "nothing of {service}: {}",
            logs.stdout
        );
    }
}

fn state(site: &Site, node: &str) -> String {
    let inspect = ["node", "inspect", "--format", "{{.Status.State}}", node];
    let Run { stdout, .. } = site.rig.docker("n1", &inspect);
    stdout.trim().to_owned()
}

/// How many tasks of a service run on the nodes that are left.
fn running_elsewhere(site: &Site, service: &str) -> usize {
    let name = format!("analytics_{service}");
    let ps = ["service", "ps", "--filter", "desired-state=running"];
    let format = ["--format", "{{.Node}} {{.CurrentState}}", &name];
    let tasks = site.rig.docker("n1", &[&ps[..], &format].concat()).stdout;
    let runs = |it: &&str| !it.starts_with("n3 ") && it.contains(" Running");
    tasks.lines().filter(runs).count()
}
