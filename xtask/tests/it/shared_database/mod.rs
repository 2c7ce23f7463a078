//! The stack on a PostgreSQL that is somebody else's: all of it works there, and nothing else on that server
//! changes.

mod neighbour;

use std::process::Stdio;

use self::neighbour::Neighbour;
use crate::checkout::Checkout;

#[test]
#[ignore = "starts containers"]
fn all_of_it_works_on_postgresql_15() {
    story("15", |neighbour, checkout| {
        let rotate = checkout.xtask(&["rotate"]).success();
        rotate.says("POSTGRES_PASSWORD stays");
        let own = checkout.xtask(&["rotate", "POSTGRES_PASSWORD"]).code(1);
        own.says("is the password of the role provider at directus-db");
        no_secret_is_in_the_log(neighbour, checkout);
        let down = checkout.xtask(&["down"]).success();
        down.says("that of the databases on the PostgreSQL at directus-db");
        checkout.compose(&["up", "--detach"]).success();
        has_no_postgres(checkout);
    });
}

#[test]
#[ignore = "starts containers"]
fn all_of_it_works_on_postgresql_17() {
    story("17", |neighbour, checkout| {
        another_network_is_taken(neighbour, checkout);
        is_cleaned(neighbour, checkout);
        let file = newest(checkout);
        let restore = ["restore", &file, "--yes", "--no-backup", "--no-verify"];
        checkout.xtask(&restore).success();
        assert_eq!(kept(neighbour), "5050");
    });
}

/// From nothing to a stack with data, whatever `more` does then, and back to nothing; whatever else is on the
/// server stays as it is.
fn story(major: &str, more: fn(&Neighbour, &Checkout)) {
    // Dropped last: the stack's containers are in its network.
    let neighbour = Neighbour::start(major);
    let checkout = Checkout::with_stack();
    neighbour.use_in(&checkout);
    let before = neighbour.others();
    let unchanged = |after: &str| assert_eq!(neighbour.others(), before, "after {after}");

    checkout.xtask(&["up"]).success();
    has_no_postgres(&checkout);
    let again = checkout.xtask(&["up"]).success();
    again.says("already up to date: 8 services are healthy");
    unchanged("up");
    checkout.xtask(&["verify"]).success();
    is_encrypted(&neighbour);
    unchanged("verify");
    for looks in [&["status"][..], &["connect"], &["upgrade", "--no-pull"]] {
        checkout.xtask(looks).success();
    }
    doctor_finds_what_there_is(&checkout, major);
    unchanged("status, connect, upgrade and doctor");

    neighbour.sql("umami_db", KEPT);
    let file = checkout.xtask(&["backup"]).success().stdout;
    unchanged("backup");
    neighbour.sql("umami_db", "drop table kept");
    let restore = ["restore", file.trim(), "--yes", "--no-verify"];
    checkout.xtask(&restore).success();
    assert_eq!(kept(&neighbour), "5050");
    unchanged("restore");

    more(&neighbour, &checkout);
    unchanged("what came then");

    is_cleaned(&neighbour, &checkout);
    unchanged("clean");
}

/// Compose does not see that the network has another name (2.26).
#[track_caller]
fn another_network_is_taken(neighbour: &Neighbour, checkout: &Checkout) {
    let set = |from: &str, to: &str| {
        let line = |name: &str| format!("DIRECTUS_NETWORK={name}\n");
        checkout.replace(".env", &line(from), &line(to));
    };
    set(&neighbour.name, "nowhere");
    let up = checkout.xtask(&["up"]).code(1);
    up.says("there is no network nowhere, which DIRECTUS_NETWORK");
    checkout.xtask(&["status"]).success();

    let other = neighbour.is_in_another_network_too();
    set("nowhere", &other);
    checkout.xtask(&["up"]).success();
    let there = neighbour.names_in(&other);
    assert!(there.contains("glitchtip-web"), "{there}");
    let again = checkout.xtask(&["up"]).success();
    again.says("already up to date");
    set(&other, &neighbour.name);
    checkout.xtask(&["up"]).success();
    neighbour.leaves(&other);
}

/// `clean` takes what is ours off the server, after a backup.
#[track_caller]
fn is_cleaned(neighbour: &Neighbour, checkout: &Checkout) {
    let clean = checkout.xtask(&["clean", "--yes"]).success();
    let clean = clean.says("database   umami_db  at directus-db");
    clean.says("deleted 2 databases and their roles at directus-db");
    let left = neighbour.everything();
    assert!(!left.contains("glitchtip"), "{left}");
}

#[track_caller]
fn doctor_finds_what_there_is(checkout: &Checkout, major: &str) {
    let doctor = checkout.xtask(&["doctor"]).success().stdout;
    for found in [
        &*format!("directus-db answers: PostgreSQL {major}"),
        "connections to directus-db are encrypted: TLSv1.3",
        "of 20 connections to directus-db are free for this stack, which takes up to 30",
        "PostgreSQL accepts all applications' passwords in .env",
    ] {
        assert!(doctor.contains(found), "{found}\n{doctor}");
    }
}

/// Rows that only a restore can bring back.
const KEPT: &str =
    "create table kept as select n from generate_series(1, 100) n; alter table kept owner to umami";

#[track_caller]
fn kept(neighbour: &Neighbour) -> String {
    neighbour.sql("umami_db", "set role umami; select sum(n) from kept")
}

#[track_caller]
fn has_no_postgres(checkout: &Checkout) {
    let services = checkout.compose(&["ps", "--all", "--services"]).success();
    let mut services = services.stdout.lines().map(str::to_owned);
    assert!(!services.any(|service| service == "postgres"));
}

/// The backup that was made last.
fn newest(checkout: &Checkout) -> String {
    let files = std::fs::read_dir(checkout.path("backups")).unwrap();
    let names = files.map(|file| file.unwrap().path().display().to_string());
    names.filter(|name| name.ends_with(".tar")).max().unwrap()
}

#[test]
#[ignore = "starts containers"]
fn the_data_moves_to_another_server_and_back_without_a_lost_row() {
    let neighbour = Neighbour::start("15");
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let (limit, _) = memory(&checkout);
    checkout.sql("umami_db", KEPT);
    let saved = rows(|statement| checkout.sql("umami_db", statement));
    let file = checkout.xtask(&["backup"]).success().stdout;

    let own = checkout.read(".env");
    neighbour.use_in(&checkout);
    let restore = |file: &str| checkout.xtask(&["restore", file.trim(), "--yes"]).success();
    restore(&file);
    assert_eq!(
        rows(|statement| neighbour.sql("umami_db", statement)),
        saved
    );
    has_no_postgres(&checkout);
    let (limit_there, services) = memory(&checkout);
    assert_eq!(limit - limit_there, 512 << 20);
    assert_eq!(services, 8);

    is_killed_in_the_middle(&neighbour, &checkout, &file);
    neighbour.sql("umami_db", "insert into kept values (101)");
    let saved = rows(|statement| neighbour.sql("umami_db", statement));
    let file = checkout.xtask(&["backup"]).success().stdout;
    own_data_survives_clean(&checkout);
    checkout.write(".env", &own);
    restore(&file);
    assert_eq!(rows(|statement| checkout.sql("umami_db", statement)), saved);
}

/// What the stack's own PostgreSQL held is in no backup of what is used now.
#[track_caller]
fn own_data_survives_clean(checkout: &Checkout) {
    let clean = checkout.xtask(&["clean", "--yes"]).success();
    let volume = format!("{}_postgres_data", checkout.project);
    clean.says(&format!(
        "not the volume {volume}: the stack does not use it now"
    ));
    let volumes = neighbour::docker(&[
        "volume",
        "ls",
        "--quiet",
        "--filter",
        &format!("name={}", checkout.project),
    ]);
    assert_eq!(volumes, volume);
}

/// A restore that is killed as soon as it has made a database beside those in use: nothing was replaced, and
/// the next command takes away what was made.
#[track_caller]
fn is_killed_in_the_middle(neighbour: &Neighbour, checkout: &Checkout, file: &str) {
    let restore = ["restore", file.trim(), "--yes", "--no-backup"];
    let mut restore = checkout
        .xtask_command(&restore)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_there = "select count(*) from pg_database where datname = 'umami_db_restore'";
    while neighbour.sql("postgres", is_there) == "0" {
        assert!(restore.try_wait().unwrap().is_none(), "it ended too early");
    }
    restore.kill().unwrap();
    restore.wait().unwrap();

    let up = checkout.xtask(&["up"]).success();
    up.says("finished the interrupted restore: nothing was replaced");
    assert_eq!(neighbour.sql("postgres", is_there), "0");
    assert_eq!(kept(neighbour), "5050");
}

/// All rows that no verification changes, in one line.
fn rows(sql: impl Fn(&str) -> String) -> String {
    [
        "select count(*), sum(n) from kept",
        "select string_agg(user_id::text || username, ',' order by username) from \"user\"",
        "select string_agg(website_id::text || name, ',' order by name) from website",
    ]
    .map(sql)
    .join(" ")
}

/// What the running services may take together, in bytes, and how many services there are.
#[track_caller]
fn memory(checkout: &Checkout) -> (u64, usize) {
    let status = checkout.xtask(&["status", "--json"]).success().stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let services = status["services"].as_array().unwrap().len();
    (status["memory_limit"].as_u64().unwrap(), services)
}

/// What is done on the server, how it is undone, and what is said of it.
const REFUSED: [(&str, &str, &str); 4] = [
    (
        "create role umami",
        "drop role umami",
        "the role \"umami\" is there and is not of this stack",
    ),
    (
        "create database glitchtip_db",
        "drop database glitchtip_db",
        "belongs to \"directus\"",
    ),
    (
        "alter role provider nocreatedb",
        "alter role provider createdb",
        "may not create databases",
    ),
    (
        "alter role provider nocreaterole",
        "alter role provider createrole",
        "may not create roles",
    ),
];

#[test]
#[ignore = "starts containers"]
fn what_is_somebody_elses_or_not_allowed_is_refused_before_anything_changes() {
    let neighbour = Neighbour::start("15");
    let checkout = Checkout::with_stack();
    neighbour.use_in(&checkout);
    let directus = &neighbour.name;
    checkout.replace(".env", directus, "not-there");
    checkout
        .xtask(&["up"])
        .code(1)
        .says("there is no network not-there");
    assert_eq!(
        checkout
            .compose(&["ps", "--all", "--quiet"])
            .success()
            .stdout,
        ""
    );
    checkout.replace(".env", "not-there", directus);

    for (done, undone, said) in REFUSED {
        neighbour.sql("postgres", done);
        let before = (neighbour.everything(), neighbour.others());
        let init = ["run", "--rm", "--no-TTY", "--no-deps", "postgres-init"];
        checkout.compose(&init).code(3).says(said);
        assert_eq!(
            (neighbour.everything(), neighbour.others()),
            before,
            "{done}"
        );
        neighbour.sql("postgres", undone);
    }

    checkout.replace(".env", "SSLMODE=require", "SSLMODE=disable");
    let doctor = checkout.xtask(&["doctor"]).code(1).stdout;
    assert!(doctor.contains("directus-db cannot be used: "), "{doctor}");
    assert!(doctor.contains("no encryption"), "{doctor}");
    let up = checkout.xtask(&["up"]).code(1);
    let up = up.says("takes the role provider with TLS alone");
    up.says("hint: set POSTGRES_SSLMODE=require in deploy/analytics/.env");
}

/// The applications' connections, which are there while they run.
#[track_caller]
fn is_encrypted(neighbour: &Neighbour) {
    let clients = "select usename, ssl, count(*) from pg_stat_ssl join pg_stat_activity using (pid) \
                   where usename in ('umami', 'glitchtip') group by 1, 2 order by 1";
    let clients = neighbour.sql("postgres", clients);
    assert!(
        clients.contains("glitchtip|t|") && !clients.contains("|f|"),
        "{clients}"
    );
}

/// The server writes down every statement.
#[track_caller]
fn no_secret_is_in_the_log(neighbour: &Neighbour, checkout: &Checkout) {
    let log = neighbour.log();
    assert!(log.contains("CREATE DATABASE"), "{log}");
    for key in ["UMAMI_DATABASE_PASSWORD", "GLITCHTIP_DATABASE_PASSWORD"] {
        assert!(!log.contains(&checkout.variable(key)), "{key}");
    }
}
