//! The stack on a PostgreSQL that is somebody else's: all of it works there, and nothing else on that server
//! changes.

mod neighbour;

use self::neighbour::Neighbour;
use crate::checkout::Checkout;

#[test]
#[ignore = "starts containers"]
fn the_whole_story_on_postgresql_15() {
    story("15");
}

#[test]
#[ignore = "starts containers"]
fn the_whole_story_on_postgresql_17() {
    story("17");
}

fn story(major: &str) {
    // Dropped last: the stack's containers are in its network.
    let neighbour = Neighbour::start(major);
    let checkout = Checkout::with_stack();
    neighbour.use_in(&checkout);
    let before = neighbour.others();
    let unchanged = |after: &str| assert_eq!(neighbour.others(), before, "after {after}");

    checkout.xtask(&["up"]).success();
    unchanged("up");
    has_no_postgres(&checkout);
    let again = checkout.xtask(&["up"]).success();
    again.says("already up to date: 8 services are healthy");
    checkout.xtask(&["verify"]).success();
    is_encrypted(&neighbour);
    for looks in ["status", "connect"] {
        checkout.xtask(&[looks]).success();
    }
    unchanged("verify, status and connect");

    neighbour.sql("umami_db", KEPT);
    let file = checkout.xtask(&["backup"]).success().stdout;
    unchanged("backup");
    neighbour.sql("umami_db", "drop table kept");
    checkout.xtask(&["restore", file.trim(), "--yes"]).success();
    assert_eq!(kept(&neighbour), "5050");
    unchanged("restore");

    checkout
        .xtask(&["rotate"])
        .success()
        .says("POSTGRES_PASSWORD stays");
    let own = checkout.xtask(&["rotate", "POSTGRES_PASSWORD"]).code(1);
    own.says("is the password of the role provider at directus-db");
    unchanged("rotate");
    no_secret_is_in_the_log(&neighbour, &checkout);

    checkout.xtask(&["down"]).success();
    checkout.compose(&["up", "--detach"]).success();
    has_no_postgres(&checkout);
    unchanged("down and plain Compose");

    let clean = checkout.xtask(&["clean", "--yes"]).success();
    let clean = clean.says("database   umami_db  at directus-db");
    clean.says("deleted 2 databases and their roles at directus-db");
    assert!(
        !neighbour.everything().contains("glitchtip"),
        "{}",
        neighbour.everything()
    );
    unchanged("clean");

    let file = newest(&checkout);
    checkout.xtask(&["restore", &file, "--yes"]).success();
    assert_eq!(kept(&neighbour), "5050");
    unchanged("restore of what clean had saved");
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
