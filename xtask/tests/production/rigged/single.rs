//! Production on one node: from nothing to a release, killed on the way as often as it takes to believe it; then all
//! that its owner does with it.
//!
//! CI kills it a few times. More often:
//!
//!     XTASK_PRODUCTION_KILLS=20 cargo test --package xtask --test production single -- --include-ignored --nocapture

use std::thread;
use std::time::Duration;

use super::{data, edges, releases};
use crate::laptop::Laptop;
use crate::site::Site;

/// How long a release is watched that follows another: nothing is wrong with it, and CI has other things to do.
const WATCH: [&str; 2] = ["--watch", "5"];

const SECRETS: [&str; 10] = [
    "SECRETS_KEY",
    "UMAMI_DATABASE_PASSWORD",
    "UMAMI_APP_SECRET",
    "UMAMI_ADMIN_PASSWORD",
    "GLITCHTIP_DATABASE_PASSWORD",
    "GLITCHTIP_SECRET_KEY",
    "GLITCHTIP_ADMIN_PASSWORD",
    "GLITCHTIP_API_TOKEN",
    "BACKUP_CIPHER_PASSWORD",
    "BACKUP_S3_KEY_SECRET",
];

#[test]
#[ignore = "needs the rig"]
fn one_node_gets_there_however_often_deploy_is_killed() {
    let laptop = Laptop::new();
    let website = laptop.website();
    // It runs and is saved while a node is made.
    let saved = thread::spawn(|| laptop.save());
    let site = Site::on_one_node();
    site.set("UMAMI_WEBSITE_ID", &website);
    volumes_of_a_single_machine_are_left_alone(&site);
    what_would_stop_it_is_told_before_anything_is_made(&site);
    // A first deployment takes 20 seconds on a machine at rest, and another watches for a minute.
    let mut last = End::Killed;
    for _ in 0..kills() {
        last = kill_deploy_within(&site, Duration::from_secs(20));
    }
    converge(&site, last);
    last = End::ByItself;
    for round in 0..kills() {
        site.set("GLITCHTIP_RETENTION_DAYS", &(100 + round).to_string());
        last = kill_deploy_within(&site, Duration::from_secs(15));
    }
    converge(&site, last);
    what_was_stopped_starts_again(&site);

    nothing_secret_is_in_the_open(&site);
    a_killed_rotation_is_told_and_finished(&site);
    edges::the_authority_vouches_for_both_names(&site);
    edges::the_first_event_is_stored(&site);
    releases::neither_new_secrets_nor_the_way_back_cost_a_request(&site);
    data::there_is_more_data_if_wanted(&site);
    data::a_restore_goes_back_between_two_rows(&site);
    data::a_drill_measures_what_a_loss_would_cost(&site);
    data::an_import_brings_every_row_of_a_single_machine(&site, &saved.join().unwrap());
    the_way_back_has_every_row(&site);

    site.production(&["remove", "--yes"]).success();
    let left = site.docker(&["service", "ls", "--quiet"]);
    assert_eq!(left, "", "services are left");
    let volumes = site.docker(&["volume", "ls", "--quiet"]);
    assert!(volumes.contains("analytics_postgres_data"), "{volumes}");
}

/// Both have the same names, unless somebody changes one.
#[track_caller]
fn volumes_of_a_single_machine_are_left_alone(site: &Site) {
    let volume = "analytics_redis_data";
    let label = ["--label", "com.docker.compose.project=analytics"];
    site.docker(&[&["volume", "create"], &label[..], &[volume]].concat());
    let what =
        "the volume analytics_redis_data on this engine belongs to the stack of a single machine";
    site.production(&["deploy"]).code(1).says(what);
    let doctor = site.production(&["doctor"]).code(1).stdout;
    assert!(
        doctor.contains(&format!("error    volumes: {what}")),
        "{doctor}"
    );
    assert_eq!(site.docker(&["secret", "ls", "--quiet"]), "");
    site.docker(&["volume", "rm", volume]);
}

/// A machine with everything against it, each thing of another kind.
#[track_caller]
fn what_would_stop_it_is_told_before_anything_is_made(site: &Site) {
    let node = site.rig.address("n1").to_string();
    let volumes = site.rig.engine_url("n1");
    let volumes = volumes
        .trim_start_matches("unix://")
        .replace("docker.sock", "data/volumes");
    let squat = [
        "run",
        "--detach",
        "--name",
        "squatter",
        "--publish",
        "80:80",
    ];
    site.docker(&[&squat[..], &["analytics-standin/redis:7"]].concat());
    site.rig.run(&["dns", "analytics.rig.test"]);
    let secret = site.variable("BACKUP_S3_KEY_SECRET");
    site.set("BACKUP_S3_KEY_SECRET", "another");
    let mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "full", &volumes];
    site.rig.run(&[&["shell", "n1"], &mount[..]].concat());

    let things = ["service", "secret", "config", "volume", "network"];
    let everything = || things.map(|list| site.docker(&[list, "ls", "--quiet"]));
    let before = everything();
    for deploy in [&["deploy", "--dry-run"][..], &["deploy"]] {
        let mut run = site.production(deploy).code(1);
        for what in [
            "analytics.rig.test does not resolve",
            "the bucket backups at s3.rig.test cannot be used",
            "the disk is full: ",
            "port 80 of n1, which is for the edge, is taken by the container squatter",
            "nothing was changed",
        ] {
            run = run.says(what);
        }
    }
    assert_eq!(everything(), before, "something was made");
    let labels = site.docker(&["node", "inspect", "--format", "{{.Spec.Labels}}", "n1"]);
    assert_eq!(labels, "map[]\n");

    site.rig.run(&["shell", "n1", "umount", &volumes]);
    site.set("BACKUP_S3_KEY_SECRET", &secret);
    site.rig.run(&["dns", "analytics.rig.test", &node]);
    site.docker(&["rm", "--force", "squatter"]);
}

/// As one leaves it that was killed when the new passwords were in use; and two who look at once.
#[track_caller]
fn a_killed_rotation_is_told_and_finished(site: &Site) {
    let label = ["config", "create", "--label", "analytics.stack=analytics"];
    site.docker(&[&label[..], &["analytics_rotation", "/etc/hostname"]].concat());
    let open = "create role umami_b login; grant umami to umami_b";
    site.rows("postgres", open);

    let mut other = site.production_command(&["doctor"]);
    let other = thread::spawn(move || crate::checkout::Run::of(&mut other));
    // The rig's mail goes nowhere, and nothing else is wrong.
    for doctor in [site.production(&["doctor"]), other.join().unwrap()] {
        let doctor = doctor.code(1);
        let errors = doctor.stdout.lines().filter(|it| it.starts_with("error"));
        assert_eq!(errors.count(), 1, "{}", doctor.stdout);
        for what in [
            "error    .env: GLITCHTIP_EMAIL_URL only logs the mail",
            "good     certificates: that of analytics.rig.test on n1 is valid for another",
            "good     bucket: backups at s3.rig.test takes files and gives them back",
            "warning  logins: a rotation of the databases' passwords was not finished",
        ] {
            assert!(doctor.stdout.contains(what), "{}", doctor.stdout);
        }
    }
    let stacks = site.docker(&["stack", "ls", "--format", "{{.Name}}"]);
    assert!(!stacks.contains("report"), "{stacks}");

    let deploy = site.production(&["deploy"]).success();
    deploy.says("closing the logins").says("already up to date");
    let logins = "select rolname from pg_roles where rolcanlogin and rolname like 'umami%'";
    assert_eq!(site.rows("postgres", logins), ["umami_a".to_owned()].into());
    let configs = site.docker(&["config", "ls", "--format", "{{.Name}}"]);
    assert!(!configs.contains("_rotation"), "{configs}");
}

/// The file is one of `cargo xtask backup`, which `tar` and `sha256sum` read too.
#[track_caller]
fn the_way_back_has_every_row(site: &Site) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("home.tar");
    site.production(&["export", file.to_str().unwrap()])
        .success();
    let check = "test $(stat --format %a home.tar) = 600 && tar --extract --file home.tar && sha256sum --check --strict SHA256SUMS";
    let mut shell = std::process::Command::new("sh");
    crate::checkout::Run::of(shell.args(["-ec", check]).current_dir(folder.path())).success();
    let manifest = std::fs::read_to_string(folder.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["format"], &manifest["verified"]),
        (&1.into(), &true.into())
    );
    let counted = site.rows("umami_db", "select count(*) from website_event");
    let exported = manifest["databases"]["umami"]["tables"]["public.website_event"].to_string();
    assert_eq!(counted, [exported].into());
}

fn kills() -> u32 {
    std::env::var("XTASK_PRODUCTION_KILLS").map_or(2, |kills| kills.parse().unwrap())
}

/// How a deployment ended that was to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Killed,
    /// It was faster.
    ByItself,
}

/// Ends a deployment as a power cut does, at a moment within this time.
fn kill_deploy_within(site: &Site, longest: Duration) -> End {
    let deploy = [&["deploy"], &WATCH[..]].concat();
    let mut deploy = site.production_command(&deploy).spawn().unwrap();
    let moment = longest.mul_f64(f64::from(rand::random::<u16>()) / f64::from(u16::MAX));
    thread::sleep(moment);
    let end = match deploy.try_wait().unwrap() {
        None => End::Killed,
        Some(status) => {
            assert!(status.success(), "it failed by itself: {status}");
            End::ByItself
        }
    };
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    println!("a deployment after {moment:.1?}: {end:?}");
    end
}

/// The next deployment does what is left, and the one after it nothing.
#[track_caller]
fn converge(site: &Site, last: End) {
    let done = match last {
        End::Killed => "deployed: release",
        End::ByItself => "already up to date",
    };
    let deploy = [&["deploy"], &WATCH[..]].concat();
    site.production(&deploy).success().says(done);
    site.production(&deploy)
        .success()
        .says("already up to date");
    let configs = site.docker(&["config", "ls", "--format", "{{.Name}}"]);
    assert!(!configs.contains("_lock"), "the lock is left: {configs}");
}

/// As a killed import or restore leaves it.
#[track_caller]
fn what_was_stopped_starts_again(site: &Site) {
    site.docker(&["service", "scale", "--detach", "analytics_umami=0"]);
    let status = site.production(&["status"]).code(1).stdout;
    assert!(status.contains("stopped: scaled to 0"), "{status}");
    let deploy = [&["deploy"], &WATCH[..]].concat();
    site.production(&deploy).success();
    site.production(&["status"]).success();
}

/// What anyone may read who may look at the swarm, or at the processes of its node.
#[track_caller]
fn nothing_secret_is_in_the_open(site: &Site) {
    let ids = |list: &[&str]| {
        site.docker(list)
            .split_whitespace()
            .map(str::to_owned)
            .collect()
    };
    let services: Vec<String> = ids(&["service", "ls", "--quiet"]);
    let containers: Vec<String> = ids(&["ps", "--all", "--quiet"]);
    assert!(services.len() >= 7 && containers.len() >= 7);
    let mut seen = Vec::new();
    for (verb, ids) in [
        (&["service", "inspect"][..], &services),
        (&["inspect"], &containers),
    ] {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        seen.push(("inspect", site.docker(&[verb, &ids].concat())));
    }
    for id in &containers {
        let logs = site.rig.docker("n1", &["logs", id]).success();
        seen.push(("logs", logs.stdout + &logs.stderr));
    }
    let list = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '";
    let arguments = site.rig.run(&["shell", "n1", "sh", "-c", list]).stdout;
    assert!(
        arguments.contains("server.js"),
        "no process of Umami: {arguments}"
    );
    seen.push(("arguments", arguments));

    for key in SECRETS {
        let secret = site.variable(key);
        for (what, text) in &seen {
            assert!(!text.contains(&secret), "{key} is in {what}");
        }
    }
}
