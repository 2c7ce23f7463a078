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
    let running = checkout
        .compose(&["ps", "--all", "--services"])
        .success()
        .stdout;
    assert!(
        !running.lines().any(|service| service == "postgres"),
        "{running}"
    );
    checkout
        .xtask(&["up"])
        .success()
        .says("already up to date: 8 services are healthy");
    checkout.xtask(&["verify"]).success();
    unchanged("verify");
    checkout.xtask(&["status"]).success();
    checkout.xtask(&["connect"]).success();
    for verb in [
        &["backup"][..],
        &["clean", "--yes"],
        &["rotate"],
        &["upgrade", "--no-pull"],
    ] {
        checkout
            .xtask(verb)
            .code(1)
            .says("cannot work on the PostgreSQL at directus-db yet");
    }
    is_encrypted(&neighbour);
    no_secret_is_in_the_log(&neighbour, &checkout);

    checkout.xtask(&["down"]).success();
    checkout.compose(&["up", "--detach"]).success();
    let running = checkout
        .compose(&["ps", "--all", "--services"])
        .success()
        .stdout;
    assert!(
        !running.lines().any(|service| service == "postgres"),
        "{running}"
    );
    unchanged("down and plain Compose");
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
