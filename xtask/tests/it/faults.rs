//! Faults, injected on the real engine: nothing is lost, and what cannot go on says why.
//!
//! CI runs a short form. The whole of it, as root on a Linux machine with dockerd:
//!
//!     XTASK_FAULT_ROUNDS=50 cargo test --package xtask --features whole-machine --test it faults -- --include-ignored

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::checkout::{Checkout, Run};

/// How often each command is killed.
fn rounds() -> usize {
    std::env::var("XTASK_FAULT_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

/// A stack without GlitchTip: half the start.
fn umami_alone() -> Checkout {
    let checkout = Checkout::with_stack();
    let mut text = checkout.read("docker-compose.override.yml");
    for service in ["glitchtip-migrate", "glitchtip-web", "glitchtip-worker"] {
        text = text.replace(
            &format!("  {service}:\n"),
            &format!("  {service}:\n    profiles: [unused]\n"),
        );
    }
    checkout.write("docker-compose.override.yml", &text);
    checkout
}

/// Looks again and again until something is so.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(Duration::from_secs(90), what, is_so);
}

/// The same with another deadline.
#[track_caller]
pub fn until_within(longest: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + longest;
    while !is_so() {
        assert!(Instant::now() < deadline, "not within {longest:?}: {what}");
        thread::park_timeout(Duration::from_millis(100));
    }
}

#[test]
fn setup_killed_at_any_moment_leaves_a_whole_env_file_or_none() {
    let checkout = Checkout::new();
    for _ in 0..rounds() * 5 {
        let _ = fs::remove_file(checkout.path(".env"));
        killed(&checkout, &["setup"], 30);
        checkout.xtask(&["setup"]).success();

        let text = checkout.read(".env");
        assert!(!text.contains("=change_this"), "half an env file");
        assert!(text.contains("\nGLITCHTIP_API_TOKEN="), "half an env file");
        let mode = fs::metadata(checkout.path(".env"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let files = fs::read_dir(checkout.path("")).unwrap();
        let names = files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let left: Vec<_> = names.filter(|name| name.starts_with(".env.new")).collect();
        assert!(left.is_empty(), "secrets lie about: {left:?}");

        killed(&checkout, &["setup"], 30);
        assert_eq!(
            checkout.read(".env"),
            text,
            "a complete env file was changed"
        );
    }
}

#[test]
#[ignore = "starts containers"]
fn up_down_and_restart_killed_at_any_moment_converge() {
    let checkout = umami_alone();
    checkout.xtask(&["up"]).success();
    let env = checkout.read(".env");
    checkout.sql("umami_db", "create table kept (n int)");
    let mut written = 0;
    for round in 0..rounds() {
        for (verb, longest) in [("up", 7_000), ("down", 3_000), ("restart", 9_000)] {
            written += 1;
            checkout.sql("umami_db", &format!("insert into kept values ({written})"));
            if verb == "up" {
                checkout.xtask(&["down"]).success();
            }
            let moment = killed(&checkout, &[verb], longest);
            let what = format!("round {round}, {verb} killed after {moment:?}");
            eprintln!("{what}");
            let up = checkout.xtask(&["up"]);
            assert_eq!(up.code, Some(0), "{what}:\n{}", up.stderr);
            let rows = checkout.sql("umami_db", "select count(*), max(n) from kept");
            assert_eq!(rows, format!("{written}|{written}"), "{what}");
            assert_eq!(checkout.read(".env"), env);
            checkout.xtask(&["status"]).success();
        }
    }
}

/// Starts an xtask and kills it (SIGKILL) somewhere in its first `longest` milliseconds; says when.
fn killed(checkout: &Checkout, arguments: &[&str], longest: u64) -> Duration {
    let moment = Duration::from_millis(rand::random_range(0..longest));
    let mut child = checkout
        .xtask_command(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + moment;
    while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
        thread::park_timeout(
            deadline
                .saturating_duration_since(Instant::now())
                .min(Duration::from_millis(20)),
        );
    }
    child.kill().unwrap();
    child.wait().unwrap();
    moment
}

#[test]
#[ignore = "starts containers"]
fn comes_back_with_all_its_data_when_processes_are_killed() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    for service in ["umami", "glitchtip-web"] {
        kill_main_process(&checkout, service);
        until_back(&checkout, service);
    }
    postgres_keeps_what_it_committed(&checkout);
    accepted_events_are_stored_in_the_end(&checkout);
    checkout.xtask(&["status"]).success();
    checkout.xtask(&["up"]).success().says("already up to date");
}

fn postgres_keeps_what_it_committed(checkout: &Checkout) {
    checkout.sql("umami_db", "create table written (n int)");
    let psql = [
        "exec",
        "-i",
        &checkout.container("postgres"),
        "psql",
        "--username",
        "analytics_admin",
    ];
    let mut writer = checkout.command("docker");
    writer
        .args(psql)
        .args(["--dbname", "umami_db", "-At"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut writer = writer.stderr(Stdio::null()).spawn().unwrap();
    let mut statements = writer.stdin.take().unwrap();
    let feeder = thread::spawn(move || {
        // Until the session is gone.
        (1..)
            .take_while(|n| {
                writeln!(statements, "insert into written values ({n}) returning n;").is_ok()
            })
            .count()
    });
    let mut committed: Vec<String> = Vec::new();
    for line in BufReader::new(writer.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
    {
        if line.bytes().all(|b| b.is_ascii_digit()) {
            committed.push(line);
        }
        if committed.len() == 500 {
            kill_main_process(checkout, "postgres");
        }
    }
    writer.wait().unwrap();
    assert!(
        feeder.join().unwrap() > 0 && committed.len() >= 500,
        "only {} rows were written",
        committed.len()
    );
    until_back(checkout, "postgres");
    let kept = checkout.sql("umami_db", "select n from written");
    let kept: std::collections::BTreeSet<&str> = kept.lines().collect();
    let lost: Vec<&String> = committed
        .iter()
        .filter(|n| !kept.contains(n.as_str()))
        .collect();
    assert!(lost.is_empty(), "committed and lost: {lost:?}");
}

fn accepted_events_are_stored_in_the_end(checkout: &Checkout) {
    let errors = Errors::to(checkout);
    queued_errors_outlive_redis(&errors);
    a_worker_loses_no_more_than_it_holds(&errors);
}

/// Errors that are sent to GlitchTip, and those that it has stored.
struct Errors<'a> {
    checkout: &'a Checkout,
    project: String,
    key: String,
}

impl Errors<'_> {
    fn to(checkout: &Checkout) -> Errors<'_> {
        let key = "select project_id, replace(public_key::text, '-', '') \
                   from projects_projectkey order by 1 limit 1";
        let found = checkout.sql("glitchtip_db", key);
        let (project, key) = found.split_once('|').unwrap();
        Errors {
            checkout,
            project: project.to_owned(),
            key: key.to_owned(),
        }
    }

    /// Its id, if it was accepted.
    fn send(&self, n: usize) -> Option<String> {
        let id = format!("{:032x}", rand::random::<u128>());
        let event = format!(r#"{{"message":"fault {n}","level":"error","platform":"other"}}"#);
        let body = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
        let path = format!("/api/{}/envelope/?sentry_key={}", self.project, self.key);
        (post(self.checkout.glitchtip_port, &path, &body) == Some(200)).then_some(id)
    }

    /// How many of these are not stored.
    fn missing(&self, ids: &[String]) -> usize {
        let query = "select replace(id::text, '-', '') from issue_events_issueevent";
        let stored = self.checkout.sql("glitchtip_db", query);
        ids.iter()
            .filter(|id| !stored.lines().any(|stored| stored == *id))
            .count()
    }

    fn queue_is_empty(&self) -> bool {
        let redis = self.checkout.container("redis");
        let queue = ["exec", &redis, "redis-cli", "llen", "{vt}:q:ingest"];
        let left = Run::of(self.checkout.command("docker").args(queue)).success();
        left.stdout.trim() == "0"
    }
}

/// They wait in Redis while no worker takes them; then Redis dies.
fn queued_errors_outlive_redis(errors: &Errors) {
    let checkout = errors.checkout;
    kill_main_process(checkout, "glitchtip-worker");
    let accepted: Vec<String> = (0..8).filter_map(|n| errors.send(n)).collect();
    assert_eq!(accepted.len(), 8);
    kill_main_process(checkout, "redis");
    until_back(checkout, "redis");
    until_back(checkout, "glitchtip-worker");
    until("the events that were queued are stored", || {
        errors.missing(&accepted) == 0
    });
}

/// It dies in the middle: what it has taken out of the queue by then is lost with it, and nothing else.
fn a_worker_loses_no_more_than_it_holds(errors: &Errors) {
    let checkout = errors.checkout;
    let before: Vec<String> = (0..8).filter_map(|n| errors.send(n)).collect();
    until("the worker is in the middle", || {
        errors.missing(&before) < before.len()
    });
    // It takes a batch at once: any of these may be in its hands.
    let held = errors.missing(&before);
    kill_main_process(checkout, "glitchtip-worker");
    let after: Vec<String> = (8..10).filter_map(|n| errors.send(n)).collect();
    until_back(checkout, "glitchtip-worker");
    until(
        "all events but those in the worker's hands are stored",
        || {
            errors.queue_is_empty()
                && errors.missing(&before) <= held
                && errors.missing(&after) == 0
        },
    );
}

/// The status of an answer; `None` where there was none.
fn post(port: u16, path: &str, body: &str) -> Option<u16> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split(' ').nth(1)?.parse().ok()
}

#[track_caller]
pub fn inspect(checkout: &Checkout, service: &str, format: &str) -> String {
    let id = checkout.container(service);
    Run::of(
        checkout
            .command("docker")
            .args(["inspect", "--format", format, &id]),
    )
    .success()
    .stdout
    .trim()
    .to_owned()
}

/// As a crash does it: `docker kill` would count as stopped on purpose.
#[track_caller]
pub fn kill_main_process(checkout: &Checkout, service: &str) {
    let pid = main_process(checkout, service);
    signal_process(checkout, &pid, "KILL");
    until("the process is gone", || {
        main_process(checkout, service) != pid
    });
}

/// The id that the machine knows a container's first process by.
#[track_caller]
pub fn main_process(checkout: &Checkout, service: &str) -> String {
    inspect(checkout, service, "{{.State.Pid}}")
}

/// Sends a signal to a process of the machine, from wherever the engine is.
#[track_caller]
pub fn signal_process(checkout: &Checkout, pid: &str, signal: &str) {
    let run = [
        "run",
        "--rm",
        "--privileged",
        "--pid",
        "host",
        "--network",
        "none",
    ];
    let image = ["--entrypoint", "sh", "analytics-standin/redis:7", "-c"];
    let kill = format!("kill -s {signal} {pid}");
    let mut docker = checkout.command("docker");
    Run::of(docker.args(run).args(image).arg(kill)).success();
}

/// Waits until the engine has started a service again, and it is healthy.
#[track_caller]
fn until_back(checkout: &Checkout, service: &str) {
    until(&format!("{service} is back"), || {
        let format = "{{gt .RestartCount 0}} {{.State.Status}} {{.State.Health.Status}}";
        inspect(checkout, service, format) == "true running healthy"
    });
}

#[test]
#[ignore = "starts containers"]
fn a_full_volume_is_named() {
    let checkout = umami_alone();
    let small = "{type: tmpfs, device: tmpfs, o: size=30m}";
    let volume = format!("volumes:\n  postgres_data:\n    driver_opts: {small}\n");
    let text = checkout.read("docker-compose.override.yml");
    checkout.write("docker-compose.override.yml", &(text + &volume));
    let run = checkout.xtask(&["up"]).code(1);
    run.says("postgres: ")
        .says("the disk or volume that postgres writes to is full");
}

#[test]
#[ignore = "starts containers"]
fn explains_what_went_wrong_and_loses_nothing() {
    let checkout = umami_alone();
    checkout.xtask(&["up"]).success();
    let kept = "create table kept (n int); insert into kept values (42)";
    checkout.sql("umami_db", kept);

    a_limit_that_is_too_low(&checkout);
    an_image_that_is_nowhere(&checkout);
    a_port_that_is_taken_between_the_look_and_the_start(&checkout);

    checkout.xtask(&["up"]).success();
    assert_eq!(checkout.sql("umami_db", "select n from kept"), "42");
}

fn a_limit_that_is_too_low(checkout: &Checkout) {
    let env = checkout.read(".env");
    checkout.write(
        ".env",
        &env.replace("UMAMI_MEMORY=512M", "UMAMI_MEMORY=12M"),
    );
    let run = checkout.xtask(&["up"]).code(1);
    run.says("needs more memory than its limit of 12 MiB")
        .says("set UMAMI_MEMORY in");
    checkout.write(".env", &env);
}

fn an_image_that_is_nowhere(checkout: &Checkout) {
    let text = checkout.read("docker-compose.override.yml");
    // Nothing listens on that port.
    let elsewhere = text.replace("analytics-standin/umami:3", "127.0.0.1:9/umami:3");
    checkout.write("docker-compose.override.yml", &elsewhere);
    let run = checkout.xtask(&["up"]).code(1);
    run.says("does not reach the registry 127.0.0.1:9")
        .says("`cargo xtask up` tries again");
    checkout.write("docker-compose.override.yml", &text);
}

fn a_port_that_is_taken_between_the_look_and_the_start(checkout: &Checkout) {
    checkout.xtask(&["down"]).success();
    let thief = stolen_at_the_last_moment(checkout);
    let (run, _listener) = thief.join().unwrap();
    let port = checkout.umami_port;
    run.code(1)
        .says(&format!(
            "port {port} of this machine was taken in the meantime by"
        ))
        .says(&format!("(pid {})", std::process::id()));
}

/// Runs `up` with a docker that waits before it starts anything, until the port is ours.
fn stolen_at_the_last_moment(checkout: &Checkout) -> thread::JoinHandle<(Run, TcpListener)> {
    let (folder, ready, go) = (
        checkout.root().join("wrapped"),
        checkout.root().join("ready"),
        checkout.root().join("go"),
    );
    fs::create_dir_all(&folder).unwrap();
    let docker = Run::of(Command::new("sh").args(["-c", "command -v docker"]))
        .success()
        .stdout;
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' up --detach'*) touch '{}'; while [ ! -e '{}' ]; do sleep 0.05; done;; esac\nexec {} \"$@\"\n",
        ready.display(),
        go.display(),
        docker.trim()
    );
    fs::write(folder.join("docker"), script).unwrap();
    fs::set_permissions(folder.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut up = checkout.xtask_command(&["up"]);
    up.env(
        "PATH",
        format!("{}:{}", folder.display(), std::env::var("PATH").unwrap()),
    );
    let port = checkout.umami_port;
    thread::spawn(move || {
        let child = up
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("up is about to start the stack", || ready.exists());
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        fs::write(go, "").unwrap();
        (Run::from(child.wait_with_output().unwrap()), listener)
    })
}

/// Lines that break `.env`, and what is said of them; `hidden` never is.
const BROKEN: [(&[u8], &str); 10] = [
    (b"A B=hidden", "line"),
    (b"A=\"hidden", "never closed"),
    (b"A='x'hidden/", "behind the closing quote"),
    (b"=hidden", "a value without a name"),
    (b"A=\xff\xfe", "not UTF-8"),
    (
        b"UMAMI_DATABASE_PASSWORD=hid/den",
        "break the database's URL",
    ),
    (b"GLITCHTIP_DOMAIN=errors.local", "has no scheme"),
    (b"UMAMI_MEMORY=plenty", "UMAMI_MEMORY is not a memory size"),
    (b"BIND_ADDRESS=nowhere", "BIND_ADDRESS is not an IP address"),
    (b"UMAMI_DATABASE=$hidden/x", "UMAMI_DATABASE"),
];

#[test]
#[ignore = "starts containers"]
fn says_what_is_broken_in_the_env_file_and_starts_nothing() {
    let checkout = umami_alone();
    checkout.xtask(&["setup"]).success();
    let env = checkout.read(".env");
    let password = checkout.variable("POSTGRES_PASSWORD");
    for (line, words) in BROKEN {
        let how = String::from_utf8_lossy(line);
        fs::write(
            checkout.path(".env"),
            [env.as_bytes(), line, b"\n"].concat(),
        )
        .unwrap();
        let up = checkout.xtask(&["up"]);
        assert_eq!(up.code, Some(1), "{how}: {}", up.stderr);
        assert!(
            up.stderr.contains(words),
            "{how}: does not say {words:?}:\n{}",
            up.stderr
        );
        let shows = up.stderr.contains("hidden") || up.stderr.contains(&password);
        assert!(!shows, "{how}: a value is shown");
        let text = fs::read(checkout.path(".env")).unwrap();
        assert!(text.starts_with(env.as_bytes()), "{how}: .env was changed");
    }
    assert_nothing_was_started(&checkout);
}

#[test]
#[ignore = "starts containers"]
fn says_what_is_broken_in_the_override_and_starts_nothing() {
    let checkout = umami_alone();
    checkout.xtask(&["setup"]).success();
    for (wrong, words) in [
        (
            "services:\n  umami: {image: [}\n",
            "docker-compose.override.yml",
        ),
        ("services:\n  umami: {imagee: x}\n", "imagee"),
        ("services:\n  umami: {depends_on: [nobody]}\n", "nobody"),
    ] {
        checkout.write("docker-compose.override.yml", wrong);
        checkout.xtask(&["up"]).code(1).says(words);
    }
    checkout.write("docker-compose.override.yml", "");
    assert_nothing_was_started(&checkout);
}

#[track_caller]
fn assert_nothing_was_started(checkout: &Checkout) {
    let ids = checkout
        .compose(&["ps", "--all", "--quiet"])
        .success()
        .stdout;
    assert_eq!(ids, "", "something was started");
}

#[test]
#[ignore = "starts containers"]
fn works_in_odd_surroundings() {
    let checkout = umami_alone();
    two_at_once_take_turns(&checkout);
    nobody_reads_what_it_prints(&checkout);
    a_checkout_that_cannot_be_written_to(&checkout);
    a_path_with_blanks_and_letters_from_elsewhere(&checkout);
}

fn two_at_once_take_turns(checkout: &Checkout) {
    let start = || {
        let mut up = checkout.xtask_command(&["up"]);
        up.stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let both = [start(), start()];
    let both = both.map(|child| Run::from(child.wait_with_output().unwrap()).success());
    let has_waited = |run: &&Run| run.stderr.contains("waiting for another `cargo xtask`");
    let waited = both.iter().filter(has_waited).count();
    assert_eq!(waited, 1, "{}\n{}", both[0].stderr, both[1].stderr);
}

/// Under a locale that is not UTF-8, too.
fn nobody_reads_what_it_prints(checkout: &Checkout) {
    let verbs = [
        &["status"][..],
        &["up"],
        &["logs", "--no-follow"],
        &["doctor"],
        &["doctor", "--json"],
    ];
    for verb in verbs {
        let mut command = checkout.xtask_command(verb);
        command
            .env("LC_ALL", "POSIX")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        let run = Run::from(child.wait_with_output().unwrap());
        assert!(!run.stderr.contains("panicked"), "{verb:?}: {}", run.stderr);
        let is_fine = run.code == Some(0) || verb[0] == "logs";
        assert!(is_fine, "{verb:?}: {:?} {}", run.code, run.stderr);
    }
}

fn a_checkout_that_cannot_be_written_to(checkout: &Checkout) {
    read_only(checkout, &["up"])
        .success()
        .says("already up to date");
    read_only(checkout, &["status"]).success();
    let env = checkout.read(".env");
    checkout.write(".env", "POSTGRES_USER=analytics_admin\n");
    read_only(checkout, &["setup"]).code(1).says("writing");
    assert_eq!(checkout.read(".env"), "POSTGRES_USER=analytics_admin\n");
    checkout.write(".env", &env);
}

fn a_path_with_blanks_and_letters_from_elsewhere(checkout: &Checkout) {
    let elsewhere = Checkout::named("Büro „neu“ 网站 ");
    for name in ["docker-compose.override.yml", ".env"] {
        elsewhere.write(name, &checkout.read(name));
    }
    let mut up = elsewhere.xtask_command(&["up"]);
    up.env("COMPOSE_PROJECT_NAME", &checkout.project);
    let run = Run::of(&mut up)
        .code(1)
        .says("is the stack of another checkout");
    run.says(&checkout.root().display().to_string());
    checkout.xtask(&["down"]).success();
    Run::of(&mut up).success().says("services are healthy");
    let mut clean = elsewhere.xtask_command(&["clean", "--yes", "--no-backup"]);
    Run::of(clean.env("COMPOSE_PROJECT_NAME", &checkout.project)).success();
}

/// Runs xtask while nothing of the checkout can be changed: for root, that takes a mount.
fn read_only(checkout: &Checkout, arguments: &[&str]) -> Run {
    let is_root = fs::write(checkout.path(".gitignore.probe"), "").is_ok() && {
        fs::remove_file(checkout.path(".gitignore.probe")).unwrap();
        Run::of(Command::new("id").arg("-u")).stdout.trim() == "0"
    };
    let mut command = checkout.xtask_command(arguments);
    if is_root {
        let script = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
        let mut unshare = checkout.command("unshare");
        unshare
            .args(["--mount", "sh", "-c", script])
            .arg(checkout.root());
        unshare
            .arg(command.get_program())
            .args(arguments)
            .current_dir("/");
        return Run::of(&mut unshare);
    }
    let folder = checkout.path("");
    let set = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    set(&folder, 0o555);
    let run = Run::of(&mut command);
    set(&folder, 0o755);
    run
}

/// The engine stops in the ordinary way, and then the power is cut, under a running stack.
///
/// It is one of our own: its data, sockets, network and processes are its alone. For root, hence not in CI.
#[cfg(feature = "whole-machine")]
#[test]
#[ignore = "starts containers"]
fn comes_back_with_its_engine() {
    let folder = tempfile::Builder::new().prefix("engine").tempdir().unwrap();
    let mut engine = PrivateEngine {
        folder,
        child: None,
    };
    let address = engine.address();
    engine.start();
    let load = "docker save analytics-standin/postgres:15 analytics-standin/redis:7 analytics-standin/umami:3 \
                analytics-standin/glitchtip:6 | DOCKER_HOST=$0 docker load";
    Run::of(Command::new("sh").args(["-c", load, &address])).success();
    let checkout = Checkout::with_stack();
    let on_it = |arguments: &[&str]| {
        Run::of(
            checkout
                .xtask_command(arguments)
                .env("DOCKER_HOST", &address),
        )
    };
    let sql = |statement: &str| {
        let psql = [
            "compose",
            "exec",
            "--no-TTY",
            "postgres",
            "psql",
            "-At",
            "--username",
            "analytics_admin",
        ];
        let mut command = checkout.command("docker");
        command.env("DOCKER_HOST", &address).args(psql).args([
            "--dbname",
            "umami_db",
            "--command",
            statement,
        ]);
        Run::of(&mut command).success().stdout
    };
    on_it(&["up"]).success();
    sql("create table kept (n int)");
    for signal in ["TERM", "KILL"] {
        sql("insert into kept values (42)");
        engine.stop(signal);
        on_it(&["status"]).code(1).says("does not answer");
        engine.start();
        until(&format!("everything is back after {signal}"), || {
            on_it(&["status"]).code == Some(0)
        });
    }
    assert_eq!(sql("select count(*) from kept").trim(), "2");
    on_it(&["clean", "--yes", "--no-backup"]).success();
}

#[cfg(feature = "whole-machine")]
struct PrivateEngine {
    folder: tempfile::TempDir,
    child: Option<std::process::Child>,
}

#[cfg(feature = "whole-machine")]
impl PrivateEngine {
    fn address(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    fn start(&mut self) {
        // What a reboot empties.
        let _ = fs::remove_dir_all(self.folder.path().join("run"));
        fs::create_dir(self.folder.path().join("run")).unwrap();
        fs::write(self.folder.path().join("config.json"), "{}").unwrap();
        // A network of its own: two engines in one would undo each other's firewall rules. And processes of
        // its own, which die with the first of them.
        let script = "ip link set lo up && exec dockerd --config-file \"$0/config.json\" --data-root \"$0/data\" \
                      --exec-root \"$0/run/exec\" --pidfile \"$0/run/pid\" --host \"unix://$0/socket\" 2>>\"$0/log\"";
        let mut unshare = Command::new("unshare");
        unshare.args([
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            script,
        ]);
        self.child = Some(
            unshare
                .arg(self.folder.path())
                .stdin(Stdio::null())
                .spawn()
                .unwrap(),
        );
        until("the engine answers", || {
            Run::of(
                Command::new("docker")
                    .env("DOCKER_HOST", self.address())
                    .arg("version"),
            )
            .code
                == Some(0)
        });
    }

    fn stop(&mut self, signal: &str) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let children =
            fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id())).unwrap();
        Run::of(Command::new("kill").args(["-s", signal, children.trim()])).success();
        child.wait().unwrap();
    }
}

#[cfg(feature = "whole-machine")]
impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.stop("TERM");
    }
}
