//! The stack on a real engine, from the stand-in images: one claim a test, over one shared stack.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::checkout::{Checkout, Run};
use crate::shared;

#[test]
#[ignore = "starts containers"]
fn up_goes_from_nothing_to_endpoints_and_clean_back_to_nothing() {
    let checkout = Checkout::with_stack();

    let up = checkout.xtask(&["up"]).success();
    let up = up
        .says("created deploy/analytics/.env")
        .says("all 9 services are healthy")
        .says("cargo xtask hosts");
    for url in urls(&checkout) {
        assert!(
            up.stdout.contains(&url),
            "no {url} on stdout:\n{}",
            up.stdout
        );
    }
    let is_endpoint = |line: &str| line.contains("http://");
    assert!(
        up.stdout.lines().all(is_endpoint),
        "more than endpoints:\n{}",
        up.stdout
    );
    assert!(
        !up.stderr.contains(&checkout.variable("POSTGRES_PASSWORD")),
        "a secret was printed"
    );

    let volume = format!("{}_postgres_data", checkout.project);
    checkout
        .xtask(&["clean", "--yes", "--no-backup"])
        .success()
        .says(&volume);
    assert_nothing_is_left(&checkout);
    assert!(checkout.path(".env").is_file(), ".env is gone");
    checkout
        .xtask(&["clean"])
        .success()
        .says("nothing to delete");
}

#[test]
#[ignore = "starts containers"]
fn a_second_up_changes_nothing_within_a_second() {
    let checkout = shared::stack();
    let before = started_at(&checkout);
    let begin = Instant::now();
    checkout.xtask(&["up"]).success().says("already up to date");
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "looking took {:?}",
        begin.elapsed()
    );
    checkout
        .xtask(&["up", "--timeout", "0"])
        .success()
        .says("already up to date");
    assert_eq!(started_at(&checkout), before, "something was restarted");
}

#[test]
#[ignore = "starts containers"]
fn status_shows_every_service_with_its_memory() {
    let checkout = shared::stack();
    let table = checkout.xtask(&["status"]).success().stdout;
    assert!(table.contains("9 of 9 services are healthy"), "{table}");
    assert!(table.contains(&urls(&checkout)[0]), "{table}");
    let json = checkout.xtask(&["status", "--json"]).success().stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["healthy"], true);
    assert!(report["memory_used"].as_u64().unwrap() > 0);
    assert_eq!(report["memory_limit"].as_u64().unwrap(), 2048 * 1024 * 1024);
}

#[test]
#[ignore = "starts containers"]
fn each_application_reaches_its_own_database_alone() {
    databases_are_apart(&shared::stack());
}

#[test]
#[ignore = "starts containers"]
fn nothing_but_the_two_ports_is_published() {
    let checkout = shared::stack();
    let format =
        "{{range .Publishers}}{{if .PublishedPort}}{{.URL}}:{{.PublishedPort}} {{end}}{{end}}";
    let run = checkout.compose(&["ps", "--format", format]).success();
    let mut ports: Vec<&str> = run.stdout.split_whitespace().collect();
    ports.sort();
    let mut wanted =
        [checkout.umami_port, checkout.glitchtip_port].map(|port| format!("127.0.0.1:{port}"));
    wanted.sort();
    assert_eq!(ports, wanted);
}

#[test]
#[ignore = "starts containers"]
fn restart_makes_the_containers_of_a_service_anew() {
    let checkout = shared::stack();
    let before = checkout.container("redis");
    // What somebody tried by hand, older than the service's next container.
    let tried = format!("{}-tried", checkout.project);
    let run = ["run", "--name", &tried, "redis", "true"];
    checkout.compose(&run).success();
    checkout.xtask(&["restart", "redis"]).success();
    assert_ne!(
        checkout.container("redis"),
        before,
        "redis was not made anew"
    );
    checkout.xtask(&["status"]).success();
    checkout.xtask(&["up"]).success().says("already up to date");

    checkout.replace("docker-compose.override.yml", "services:\n", EARLIER);
    checkout.xtask(&["up"]).success();
    checkout.replace("docker-compose.override.yml", EARLIER, "services:\n");
    let doctor = checkout.xtask(&["doctor"]).stdout;
    let left_over = "earlier runs, but is not in the compose files";
    assert!(doctor.contains(left_over), "{doctor}");
    let earlier = format!("{}-earlier-1", checkout.project);
    let rm = ["rm", "--force", &earlier, &tried];
    Run::of(checkout.command("docker").args(rm)).success();
}

/// A service that is removed again.
const EARLIER: &str =
    "services:\n  earlier: {image: 'analytics-standin/redis:7', entrypoint: [sleep, '1000']}\n";

#[test]
#[ignore = "starts containers"]
fn logs_end_when_they_are_not_followed() {
    let stack = shared::stack();
    let logs = ["logs", "umami", "--no-follow", "--tail", "5"];
    let logs = stack.xtask(&logs).success().stdout;
    assert!(logs.starts_with("umami-1"), "{logs:?}");
}

#[test]
#[ignore = "starts containers"]
fn down_keeps_the_data_and_says_when_nothing_runs() {
    let checkout = shared::stack();
    keep_a_row(&checkout);
    checkout.xtask(&["down"]).success().says("the data stays");
    checkout.xtask(&["status"]).code(1);
    checkout.xtask(&["down"]).success().says("already down");
    checkout.xtask(&["up"]).success();
    assert_row_is_kept(&checkout);
}

#[test]
#[ignore = "starts containers"]
fn a_lost_env_file_costs_no_data() {
    let checkout = shared::stack();
    keep_a_row(&checkout);
    std::fs::remove_file(checkout.path(".env")).unwrap();
    checkout
        .xtask(&["up"])
        .success()
        .says("found data that is older than this .env");
    databases_are_apart(&checkout);
    assert_row_is_kept(&checkout);
}

#[test]
#[ignore = "starts containers"]
fn a_volume_of_another_name_is_used_and_clean_keeps_the_one_before() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    keep_a_row(&checkout);
    let [before, after] =
        ["data", "other"].map(|name| format!("{}_redis_{name}", checkout.project));
    let original = checkout.read("docker-compose.override.yml");
    let renamed = format!("{original}volumes: {{redis_data: {{name: {after}}}}}\n");
    checkout.write("docker-compose.override.yml", &renamed);

    checkout
        .xtask(&["up"])
        .success()
        .says("all 9 services are healthy");
    let format = r#"{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}"#;
    assert_eq!(
        inspect(&checkout, &checkout.container("redis"), format),
        after
    );
    checkout.xtask(&["up"]).success().says("already up to date");

    // Clean asks, and nobody answers.
    checkout.xtask(&["clean"]).code(1).says("--yes");
    assert_row_is_kept(&checkout);
    let clean = checkout.xtask(&["clean", "--yes"]).success();
    let clean = clean.says(&format!("not the volume {before}"));
    assert!(clean.stderr.contains(&after), "{}", clean.stderr);
    checkout.write("docker-compose.override.yml", &original);
    checkout
        .xtask(&["clean", "--yes", "--no-backup"])
        .success()
        .says(&before);
    assert_nothing_is_left(&checkout);
}

#[test]
#[ignore = "starts containers"]
fn a_migration_that_fails_is_named_at_once_with_its_log() {
    let checkout = Checkout::with_stack();
    let good = "umami-migrate:\n    image: analytics-standin/umami:3\n";
    let broken = "umami-migrate:\n    image: analytics-standin/umami:3-broken\n";
    checkout.replace("docker-compose.override.yml", good, broken);
    let begin = Instant::now();
    let run = checkout
        .xtask(&["up"])
        .code(1)
        .says("umami-migrate")
        .says("cargo xtask logs");
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "failing took {:?}",
        begin.elapsed()
    );
    let secret = checkout.variable("UMAMI_DATABASE_PASSWORD");
    assert!(!run.stderr.contains(&secret), "a secret was printed");
}

#[test]
#[ignore = "starts containers"]
fn a_crash_loop_is_no_wait_for_ever() {
    let checkout = shared::stack();
    let original = checkout.read("docker-compose.override.yml");
    // An address that cannot be bound to.
    let service = "  umami:\n    environment:\n      HOSTNAME: analytics.local\n";
    checkout.replace("docker-compose.override.yml", "  umami:\n", service);
    let run = checkout.xtask(&["up"]);
    checkout.write("docker-compose.override.yml", &original);
    run.code(1).says("umami").says("analytics.local");
}

#[test]
#[ignore = "starts containers"]
fn a_crash_loop_without_a_word_is_told_by_its_exit_code() {
    let checkout = shared::stack();
    let original = checkout.read("docker-compose.override.yml");
    let service = "  umami:\n    command: [sh, -c, 'exit 3']\n";
    checkout.replace("docker-compose.override.yml", "  umami:\n", service);
    let run = checkout.xtask(&["up"]);
    checkout.write("docker-compose.override.yml", &original);
    run.code(1)
        .says("cause: umami ended after each start with exit code 3, wrote nothing")
        .says("`cargo xtask logs umami`");
}

/// As of one that was taken out of the override.
#[test]
#[ignore = "starts containers"]
fn a_container_that_is_left_over_makes_no_work() {
    let checkout = shared::stack();
    let original = checkout.read("docker-compose.override.yml");
    let extra = "services:\n  extra:\n    image: analytics-standin/redis:7\n";
    checkout.replace("docker-compose.override.yml", "services:\n", extra);
    checkout.xtask(&["up"]).success();
    checkout.write("docker-compose.override.yml", &original);
    let again = checkout.xtask(&["up"]);
    let container = format!("{}-extra-1", checkout.project);
    let remove = ["rm", "--force", "--volumes", &container];
    Run::of(checkout.command("docker").args(remove)).success();
    again
        .success()
        .says("already up to date: 9 services are healthy");
}

#[test]
#[ignore = "starts containers"]
fn what_dies_comes_back_healthy() {
    let checkout = shared::stack();
    let services = [
        "postgres",
        "redis",
        "umami",
        "glitchtip-web",
        "glitchtip-worker",
    ];
    for service in services {
        let id = checkout.container(service);
        let before = inspect(&checkout, &id, "{{.RestartCount}}");
        let pid = inspect(&checkout, &id, "{{.State.Pid}}");
        Run::of(Command::new("kill").args(["-KILL", &pid])).success();
        wait_for_restart(&checkout, &id, &before);
    }
    for service in services {
        wait_for(&checkout, service);
    }
    checkout.xtask(&["status"]).success();
}

fn urls(checkout: &Checkout) -> [String; 2] {
    [checkout.umami_port, checkout.glitchtip_port].map(|port| format!("http://localhost:{port}"))
}

fn keep_a_row(checkout: &Checkout) {
    let table = "create table if not exists kept (n int primary key)";
    checkout.sql("umami_db", table);
    checkout.sql(
        "umami_db",
        "insert into kept values (42) on conflict do nothing",
    );
}

#[track_caller]
fn assert_row_is_kept(checkout: &Checkout) {
    assert_eq!(checkout.sql("umami_db", "select n from kept"), "42");
}

#[track_caller]
fn assert_nothing_is_left(checkout: &Checkout) {
    let filter = format!("label=com.docker.compose.project={}", checkout.project);
    for list in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
        let mut command = checkout.command("docker");
        let left = Run::of(command.args(list).args(["--quiet", "--filter", &filter])).success();
        assert_eq!(left.stdout, "", "docker {list:?}");
    }
}

/// When each container was started.
fn started_at(checkout: &Checkout) -> Vec<String> {
    let ids = checkout
        .compose(&["ps", "--all", "--quiet"])
        .success()
        .stdout;
    let mut command = checkout.command("docker");
    let format = "{{.Name}} {{.State.StartedAt}}";
    let run = Run::of(
        command
            .args(["inspect", "--format", format])
            .args(ids.lines()),
    )
    .success();
    let mut lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn databases_are_apart(checkout: &Checkout) {
    for (role, own, other) in [
        ("umami", "umami_db", "glitchtip_db"),
        ("glitchtip", "glitchtip_db", "umami_db"),
    ] {
        let password = checkout.variable(&format!("{}_DATABASE_PASSWORD", role.to_uppercase()));
        let login = |database: &str, password: &str| {
            let mut command = checkout.command("docker");
            command.env("PGPASSWORD", password);
            command.args([
                "compose",
                "exec",
                "--no-TTY",
                "--env",
                "PGPASSWORD",
                "postgres",
                "psql",
                "--host",
                "postgres",
            ]);
            Run::of(command.args([
                "--username",
                role,
                "--dbname",
                database,
                "--command",
                "select 1",
            ]))
        };
        login(own, &password).success();
        login(other, &password)
            .code(2)
            .says("permission denied for database");
        login("postgres", &password)
            .code(2)
            .says("permission denied for database");
        login(own, "wrong")
            .code(2)
            .says("password authentication failed");
    }
}

#[test]
#[ignore = "starts containers"]
fn plain_compose_starts_it_heals_a_changed_password_and_an_older_volume() {
    let checkout = Checkout::with_stack();
    // Names of one's own, and the template as it is: no xtask anywhere.
    let template = checkout.read(".env.example");
    let renamed = template
        .replace("=umami_db", "=my_umami")
        .replace("=analytics_admin", "=me");
    checkout.write(".env", &renamed);
    checkout.compose(&["up", "--detach"]).success();
    wait_for(&checkout, "umami");
    wait_for(&checkout, "glitchtip-web");
    let databases = owners(&checkout, "me");
    assert!(
        databases.contains("my_umami|umami") && databases.contains("glitchtip_db|glitchtip"),
        "{databases}"
    );

    // Every password changes under a volume that knows the old ones, one of which has expired.
    let expire = "alter role umami valid until '2001-01-01'";
    let psql = ["exec", "postgres", "psql", "--username", "me", "--command"];
    let psql = [&psql[..], &[expire, "postgres"]].concat();
    checkout.compose(&psql).success();
    checkout.write(
        ".env",
        &renamed.replace("change_this_strong_password", "another-password-1"),
    );
    checkout.compose(&["up", "--detach"]).success();
    wait_for(&checkout, "umami");
    wait_for(&checkout, "glitchtip-web");
    wait_for(&checkout, "glitchtip-worker");
    checkout.xtask(&["status"]).success();

    // .env is lost, the volume is not: new secrets, the same data.
    std::fs::remove_file(checkout.path(".env")).unwrap();
    checkout.write(".env", "POSTGRES_USER=me\nUMAMI_DATABASE=my_umami\n");
    checkout
        .xtask(&["up"])
        .success()
        .says("added to deploy/analytics/.env");
    assert_eq!(owners(&checkout, "me"), databases);
}

fn owners(checkout: &Checkout, superuser: &str) -> String {
    let query = "select datname, pg_get_userbyid(datdba) from pg_database order by 1";
    let psql = [
        "exec",
        "--no-TTY",
        "postgres",
        "psql",
        "--username",
        superuser,
        "--dbname",
        "postgres",
        "-At",
    ];
    checkout
        .compose(&[&psql[..], &["--command", query]].concat())
        .success()
        .stdout
}

/// Waits until a service is healthy.
fn wait_for(checkout: &Checkout, service: &str) {
    let id = checkout.container(service);
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let format = "{{.State.Status}} {{.State.Health.Status}}";
        let state = Run::of(
            checkout
                .command("docker")
                .args(["inspect", "--format", format, &id]),
        )
        .success()
        .stdout;
        if state.trim() == "running healthy" {
            return;
        }
        if Instant::now() > deadline {
            let logs = Run::of(
                checkout
                    .command("docker")
                    .args(["logs", "--tail", "20", &id]),
            );
            panic!("{service} is {state}\n{}{}", logs.stdout, logs.stderr);
        }
        next_event(&id);
    }
}

/// Waits until something happens to a container, two seconds at most.
fn next_event(container: &str) {
    let filter = format!("container={container}");
    let until = format!("{}", std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 2);
    let mut events = Command::new("docker")
        .args([
            "events",
            "--filter",
            &filter,
            "--filter",
            "event=health_status",
            "--filter",
            "event=start",
        ])
        .args(["--until", &until])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(events.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let _ = events.kill();
    events.wait().unwrap();
}

fn inspect(checkout: &Checkout, id: &str, format: &str) -> String {
    Run::of(
        checkout
            .command("docker")
            .args(["inspect", "--format", format, id]),
    )
    .success()
    .stdout
    .trim()
    .to_owned()
}

/// Waits until a container has restarted once more than `before`.
fn wait_for_restart(checkout: &Checkout, id: &str, before: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while inspect(checkout, id, "{{.RestartCount}}") == before {
        assert!(Instant::now() < deadline, "{id} was not restarted");
        next_event(id);
    }
}
