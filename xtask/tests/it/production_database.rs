//! Production's databases, container by container, without a swarm: a volume is used once, a backup goes back to a
//! time, and a password changes while the old one still works.

use std::time::Duration;

use crate::artifacts::text;
use crate::checkout::Run;
use crate::faults::{until, until_within};
use crate::lab::{Lab, artifact};

#[test]
#[ignore = "starts containers"]
fn a_second_postgresql_waits_while_the_first_uses_the_volume_even_if_that_one_hangs() {
    let lab = Lab::new();
    lab.start_postgres("first");
    lab.docker(&["pause", &lab.name_of("first")]);
    lab.start_with_database("second", &["serve.sh"]);
    until("the second to wait", || {
        lab.logs("second").contains("waiting for its end")
    });
    assert!(!lab.is_ready("second"));

    lab.docker(&["kill", &lab.name_of("first")]);
    until("the second to take over", || lab.is_ready("second"));
    assert_eq!(lab.sql("second", "postgres", "SELECT 1"), "1");
}

#[test]
#[ignore = "starts containers"]
fn redis_has_on_disk_what_it_acknowledged_and_a_second_one_waits_for_its_volume() {
    let lab = Lab::new();
    let stack: serde_yaml::Value = serde_yaml::from_str(&artifact("stack.yml")).unwrap();
    let redis = &stack["services"]["redis"];
    let data = format!("{}-redis:/data", lab.name);
    let command = redis["command"].as_sequence().unwrap();
    let mut words = vec!["analytics-standin/redis:7"];
    words.extend(command.iter().map(text));
    let options = ["--init", "--user", text(&redis["user"]), "--volume", &data];
    let answers = |service: &str| lab.run(service, &["redis-cli", "ping"]).stdout == "PONG\n";

    lab.start("first", &options, &words);
    until("the first to answer", || answers("first"));
    let setting = ["redis-cli", "config", "get", "appendfsync"];
    assert_eq!(lab.run("first", &setting).stdout, "appendfsync\nalways\n");
    lab.start("second", &options, &words);
    until("the second to wait", || {
        lab.logs("second").contains("waiting for its end")
    });
    assert!(!answers("second"));

    lab.docker(&["kill", &lab.name_of("first")]);
    until("the second to take over", || answers("second"));
}

#[test]
#[ignore = "starts containers"]
fn a_standby_that_is_all_that_is_left_becomes_the_database_of_one_node() {
    let lab = Lab::new();
    lab.start_postgres("postgres");
    lab.sql(
        "postgres",
        "postgres",
        "CREATE TABLE kept AS SELECT 1 AS row",
    );
    let refused = lab.operate(&["promote.sh"]);
    refused.code(1).says("PostgreSQL runs on this volume");
    let signal = "/var/lib/postgresql/data/current/standby.signal";
    lab.run("postgres", &["touch", signal]).success();
    lab.docker(&["stop", &lab.name_of("postgres")]);

    lab.operate(&["promote.sh"]).success();
    lab.start_postgres("alone");
    let kept = "SELECT row FROM kept";
    assert_eq!(lab.sql("alone", "postgres", kept), "1");
    // Nobody else's changes are in files of this name.
    let timeline = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)";
    assert_eq!(lab.sql("alone", "postgres", timeline), "00000002");
    lab.docker(&["stop", &lab.name_of("alone")]);
    let again = lab.operate(&["promote.sh"]).success();
    again.says("is no standby");
}

#[test]
#[ignore = "starts containers"]
fn the_schedule_backs_up_and_drills_and_a_restore_goes_back_between_two_rows() {
    let lab = Lab::new();
    lab.start_bucket();
    lab.start_postgres("postgres");
    for database in ["umami_db", "glitchtip_db"] {
        lab.sql(
            "postgres",
            "postgres",
            &format!("CREATE DATABASE {database}"),
        );
    }
    lab.start_heartbeat();
    the_schedule_backs_up_and_drills(&lab);

    lab.sql("postgres", "umami_db", "CREATE TABLE row (name text)");
    lab.sql("postgres", "umami_db", "INSERT INTO row VALUES ('one')");
    // Not in the bucket yet, and yet a part of everything.
    let everything = lab.result(&["restore.sh"]);
    assert_eq!(everything["rows"]["umami_db"], 1, "{everything}");
    let future = lab.operate(&["restore.sh", "2030-01-01 00:00:00+00"]);
    future.code(1).says("take an earlier time");

    let mark = lab.result(&["mark.sh", "release-2"]);
    assert_eq!(mark["name"], "release-2");
    let time = format!("{}+00", mark["at"].as_str().unwrap());
    lab.sql("postgres", "umami_db", "INSERT INTO row VALUES ('two')");
    let rows = || lab.sql("postgres", "umami_db", "SELECT name FROM row ORDER BY name");
    // Nor is what ended the time that is gone back to.
    let restored = lab.result(&["restore.sh", &time]);
    assert_eq!(restored["rows"]["umami_db"], 1, "{restored}");
    assert_eq!(restored["live_rows"]["umami_db"], 2, "{restored}");
    assert_eq!(rows(), "one\ntwo");

    let cluster = restored["cluster"].as_str().unwrap();
    lab.operate(&["switch.sh", "restored-never"]).code(1);
    assert_eq!(lab.result(&["switch.sh", cluster])["was"], "first");
    restart_much_later(&lab);
    assert_eq!(rows(), "one\ntwo");
    assert_eq!(lab.result(&["switch.sh", cluster])["was"], "first");
    lab.restart_postgres();
    assert_eq!(rows(), "one");
    let report = lab.result(&["report.sh"]);
    assert_eq!(report["cluster"], cluster);
    assert!(report["free_bytes"].as_u64() > report["database_bytes"].as_u64());
    // The new history can be backed up too.
    assert_eq!(lab.result(&["backup.sh", "full"])["type"], "full");

    lab.result(&["switch.sh", "previous"]);
    lab.restart_postgres();
    assert_eq!(rows(), "one\ntwo");
}

#[track_caller]
fn the_schedule_backs_up_and_drills(lab: &Lab) {
    lab.start_with_database("backup", &["schedule.sh"]);
    until_within(Duration::from_secs(90), "a drill to pass", || {
        let passed = "SELECT count(*) FROM operations.drills WHERE passed";
        let psql = ["psql", "--tuples-only", "--no-align", "--command", passed];
        lab.run("postgres", &psql).stdout == "1\n"
    });
    until("the heartbeat", || {
        lab.logs("heartbeat").contains("/backups-are-well")
    });
    lab.docker(&["rm", "--force", &lab.name_of("backup")]);
}

/// Whoever was to restart it after the switch was killed.
fn restart_much_later(lab: &Lab) {
    let later = "touch --date '2 hours ago' /var/lib/postgresql/data/next";
    lab.run("postgres", &["sh", "-ec", later]).success();
    lab.restart_postgres();
}

#[test]
#[ignore = "starts containers"]
fn a_password_changes_while_the_old_login_still_works_and_the_superuser_has_none() {
    let lab = Lab::new();
    lab.start_postgres("postgres");
    lab.copy("../analytics/init-db.sql", "postgres");
    prepare(&lab, "a", "0");
    ask(&lab, "umami_a", "CREATE TABLE kept (name text)").success();
    prepare(&lab, "b", "0");
    ask(&lab, "umami_b", "INSERT INTO kept VALUES ('b')").success();
    ask(&lab, "umami_a", "INSERT INTO kept VALUES ('a')").success();
    let owner = ask(
        &lab,
        "umami_b",
        "SELECT tableowner FROM pg_tables WHERE tablename = 'kept'",
    );
    assert_eq!(owner.success().stdout, "umami\n");

    prepare(&lab, "b", "1");
    ask(&lab, "umami_a", "SELECT 1")
        .code(2)
        .says("is not permitted to log in");
    ask(&lab, "umami_b", "SELECT 1").success();
    ask(&lab, "umami", "SELECT 1").code(2);
    ask(&lab, "glitchtip_b", "SELECT 1")
        .code(2)
        .says("permission denied for database");
    ask(&lab, "analytics_admin", "SELECT 1")
        .code(2)
        .says("password authentication failed");
}

#[test]
#[ignore = "starts containers"]
fn an_import_replaces_both_databases_and_gives_them_to_their_owners() {
    let lab = Lab::new();
    lab.start_postgres("postgres");
    lab.copy("../analytics/init-db.sql", "postgres");
    prepare(&lab, "a", "0");
    for owner in ["umami", "glitchtip"] {
        let database = format!("{owner}_db");
        lab.sql("postgres", &database, "CREATE TABLE laptop (name text)");
        lab.sql("postgres", &database, "INSERT INTO laptop VALUES ('kept')");
    }
    // The parts of a backup that hold databases, as `cargo xtask backup` names them.
    let save = "cd /tmp; for name in umami glitchtip; do pg_dump --format custom --file $name.dump ${name}_db; done
        echo {} >manifest.json; tar --create --file backup.tar manifest.json umami.dump glitchtip.dump";
    lab.run("postgres", &["sh", "-ec", save]).success();
    lab.sql(
        "postgres",
        "umami_db",
        "INSERT INTO laptop VALUES ('production')",
    );

    let import = "import.sh </tmp/backup.tar";
    for _ in 0..2 {
        let run = lab.run("postgres", &["sh", "-ec", import]).success();
        assert_eq!(
            run.stdout,
            "{\"operation\":\"import\",\"rows\":{\"umami_db\":1,\"glitchtip_db\":1}}\n"
        );
    }
    let kept = ask(
        &lab,
        "umami_a",
        "INSERT INTO laptop VALUES ('new') RETURNING name",
    );
    assert_eq!(kept.success().stdout, "new\n");
    ask(&lab, "glitchtip_a", "SELECT 1").code(2);

    let broken = "head -c 2000 /tmp/backup.tar | import.sh";
    assert_ne!(lab.run("postgres", &["sh", "-ec", broken]).code, Some(0));
    assert_eq!(
        lab.sql("postgres", "umami_db", "SELECT count(*) FROM laptop"),
        "2"
    );
}

/// What the job postgres-init does, with this pair of login roles.
fn prepare(lab: &Lab, login: &str, close: &str) {
    let variables = [
        format!("UMAMI_LOGIN=umami_{login}"),
        format!("GLITCHTIP_LOGIN=glitchtip_{login}"),
        format!("UMAMI_DATABASE_PASSWORD=password-umami_{login}"),
        format!("GLITCHTIP_DATABASE_PASSWORD=password-glitchtip_{login}"),
        "UMAMI_DATABASE=umami_db".to_owned(),
        "GLITCHTIP_DATABASE=glitchtip_db".to_owned(),
        "POSTGRES_DB=postgres".to_owned(),
        format!("CLOSE_OTHER_LOGINS={close}"),
    ];
    let mut words = vec!["env"];
    words.extend(variables.iter().map(String::as_str));
    words.extend(["psql", "--quiet", "--file", "/tmp/init-db.sql"]);
    lab.run("postgres", &words).success();
}

/// Over the network, as an application does.
fn ask(lab: &Lab, login: &str, statement: &str) -> Run {
    let address = format!("postgresql://{login}:password-{login}@127.0.0.1/umami_db");
    let words = [
        "psql",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--dbname",
        &address,
    ];
    lab.run(
        "postgres",
        &[&words[..], &["--command", statement]].concat(),
    )
}
