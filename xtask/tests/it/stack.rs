//! The stack on a real engine, from the stand-in images.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::checkout::{Checkout, Run};

#[test]
#[ignore = "starts containers"]
fn the_whole_story_from_nothing_to_nothing() {
    let checkout = Checkout::with_stack();

    // From nothing to endpoints in one command; they alone are on stdout.
    let up = checkout
        .xtask(&["up"])
        .success()
        .says("created deploy/analytics/.env")
        .says("all 9 services are healthy")
        .says("cargo xtask hosts");
    let urls = [checkout.umami_port, checkout.glitchtip_port]
        .map(|port| format!("http://localhost:{port}"));
    for url in &urls {
        assert!(
            up.stdout.contains(url),
            "no {url} on stdout:\n{}",
            up.stdout
        );
        assert!(
            up.stdout.lines().all(|line| line.contains("http://")),
            "more than endpoints:\n{}",
            up.stdout
        );
    }
    assert!(
        !up.stderr.contains(&checkout.variable("POSTGRES_PASSWORD")),
        "a secret was printed"
    );

    // The second time there is nothing to do.
    let before = started_at(&checkout);
    let begin = Instant::now();
    checkout.xtask(&["up"]).success().says("already up to date");
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "looking took {:?}",
        begin.elapsed()
    );
    assert_eq!(started_at(&checkout), before, "something was restarted");

    let table = checkout.xtask(&["status"]).success().stdout;
    assert!(
        table.contains("9 of 9 services are well") && table.contains(&urls[0]),
        "{table}"
    );
    let json = checkout.xtask(&["status", "--json"]).success().stdout;
    let report: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["well"], true);
    assert!(report["memory_used"].as_u64().unwrap() > 0);
    assert_eq!(report["memory_limit"].as_u64().unwrap(), 2048 * 1024 * 1024);

    each_application_reaches_its_own_database_alone(&checkout);
    nothing_but_the_two_ports_is_published(&checkout);

    // A row outlives everything but clean.
    checkout.sql(
        "umami_db",
        "create table kept (n int); insert into kept values (42)",
    );
    checkout.xtask(&["restart", "redis"]).success();
    assert_ne!(started_at(&checkout), before, "nothing was restarted");
    checkout
        .xtask(&["logs", "umami", "--no-follow", "--tail", "5"])
        .success();
    checkout.xtask(&["down"]).success().says("the data stays");
    checkout.xtask(&["status"]).code(1);
    checkout.xtask(&["down"]).success().says("already down");
    checkout.xtask(&["up"]).success();
    assert_eq!(checkout.sql("umami_db", "select n from kept"), "42");

    // .env is lost, the volume is not.
    std::fs::remove_file(checkout.path(".env")).unwrap();
    checkout
        .xtask(&["up"])
        .success()
        .says("found data that is older than this .env");
    each_application_reaches_its_own_database_alone(&checkout);
    assert_eq!(checkout.sql("umami_db", "select n from kept"), "42");

    // A volume that gets another name is taken into use, and the one before it is kept.
    let override_file = checkout.read("docker-compose.override.yml");
    let [before, after] =
        ["data", "other"].map(|name| format!("{}_redis_{name}", checkout.project));
    checkout.write(
        "docker-compose.override.yml",
        &format!("{override_file}volumes: {{redis_data: {{name: {after}}}}}\n"),
    );
    checkout
        .xtask(&["up"])
        .success()
        .says("all 9 services are healthy");
    let format = r#"{{range .Mounts}}{{if eq .Destination "/data"}}{{.Name}}{{end}}{{end}}"#;
    let mut inspect = checkout.command("docker");
    let inspect = inspect.args(["inspect", "--format", format, &checkout.container("redis")]);
    assert_eq!(Run::of(inspect).success().stdout.trim(), after);
    checkout.xtask(&["up"]).success().says("already up to date");

    // Clean asks, and nobody answers.
    checkout.xtask(&["clean"]).code(1).says("--yes");
    assert_eq!(checkout.sql("umami_db", "select n from kept"), "42");
    let clean = checkout
        .xtask(&["clean", "--yes"])
        .success()
        .says(&format!("{}_postgres_data", checkout.project));
    let clean = clean.says(&format!("not the volume {before}"));
    assert!(clean.stderr.contains(&after), "{}", clean.stderr);
    checkout.write("docker-compose.override.yml", &override_file);
    checkout
        .xtask(&["clean", "--yes", "--no-backup"])
        .success()
        .says(&before);
    let filter = format!("label=com.docker.compose.project={}", checkout.project);
    for list in [&["ps", "--all"][..], &["volume", "ls"], &["network", "ls"]] {
        let left = Run::of(
            checkout
                .command("docker")
                .args(list)
                .args(["--quiet", "--filter", &filter]),
        )
        .success();
        assert_eq!(left.stdout, "", "docker {list:?}");
    }
    assert!(checkout.path(".env").is_file(), ".env is gone");
    checkout
        .xtask(&["clean"])
        .success()
        .says("nothing to delete");
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

fn each_application_reaches_its_own_database_alone(checkout: &Checkout) {
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

fn nothing_but_the_two_ports_is_published(checkout: &Checkout) {
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

    // Every password changes under a volume that knows the old ones.
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

#[test]
#[ignore = "starts containers"]
fn what_fails_is_named_with_its_log_and_what_dies_comes_back() {
    let checkout = Checkout::with_stack();
    let good = checkout.read("docker-compose.override.yml");

    // A migration that fails: at once, by name, with its log, without a secret, and nothing is lost.
    let broken = good.replacen(
        "umami-migrate:\n    image: analytics-standin/umami:3\n",
        "umami-migrate:\n    image: analytics-standin/umami:3-broken\n",
        1,
    );
    assert_ne!(broken, good);
    checkout.write("docker-compose.override.yml", &broken);
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
    assert!(
        !run.stderr
            .contains(&checkout.variable("UMAMI_DATABASE_PASSWORD")),
        "a secret was printed"
    );

    // Prisma goes no further in a database where a migration failed.
    checkout.xtask(&["clean", "--yes", "--no-backup"]).success();

    // An address that cannot be bound to: a restart loop, not a wait for ever.
    let looping = format!("{good}\n").replace(
        "  umami:\n",
        "  umami:\n    environment:\n      HOSTNAME: analytics.local\n",
    );
    checkout.write("docker-compose.override.yml", &looping);
    checkout
        .xtask(&["up"])
        .code(1)
        .says("umami")
        .says("analytics.local");

    checkout.write("docker-compose.override.yml", &good);
    checkout.xtask(&["up"]).success();
    checkout
        .xtask(&["up", "--timeout", "0"])
        .success()
        .says("already up to date");

    // The main process of each service dies; the engine brings it back, healthy.
    let services = [
        "postgres",
        "redis",
        "umami",
        "glitchtip-web",
        "glitchtip-worker",
    ];
    for service in services {
        let id = checkout.container(service);
        let pid = inspect(&checkout, &id, "{{.State.Pid}}");
        Run::of(Command::new("kill").args(["-KILL", &pid])).success();
        wait_for_restart(&checkout, &id);
    }
    for service in services {
        wait_for(&checkout, service);
    }
    checkout.xtask(&["status"]).success();
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

fn wait_for_restart(checkout: &Checkout, id: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while inspect(checkout, id, "{{.RestartCount}}") == "0" {
        assert!(Instant::now() < deadline, "{id} was not restarted");
        next_event(id);
    }
}
