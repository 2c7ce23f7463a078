//! What GlitchTip's versions need of the artifacts, on a real engine, from the stand-in images.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::checkout::{Checkout, GlitchTip, Run, repository};
use crate::faults::{inspect, main_process, signal_process, until, until_within};
use crate::http::agent;

#[test]
#[ignore = "starts containers"]
fn the_worker_is_started_with_the_script_that_the_image_has() {
    let cases: [(&[&str], &str); 4] = [
        (&["run-worker.sh", "run-migrate.sh"], "run-worker.sh"),
        (
            &["run-celery-with-beat.sh", "run-migrate.sh"],
            "run-celery-with-beat.sh",
        ),
        (
            &["run-worker.sh", "run-celery-with-beat.sh"],
            "run-worker.sh",
        ),
        (&[], "manage.py runworker --scheduler true"),
    ];
    for (scripts, started) in cases {
        let code = tempfile::tempdir().unwrap();
        fs::create_dir(code.path().join("bin")).unwrap();
        for script in scripts {
            let path = code.path().join("bin").join(script);
            fs::write(&path, "#!/bin/sh\nbasename $0\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let manage = "import os, sys\nprint(*sys.argv, os.environ['IS_WORKER'])\n";
        fs::write(code.path().join("manage.py"), manage).unwrap();
        let run = in_image(code.path(), "worker").success();
        assert_eq!(
            run.stdout.trim(),
            started,
            "with {scripts:?}: {}",
            run.stderr
        );
    }
}

/// As much of a Redis as the worker waits for, and then a command.
const BESIDE_REDIS: &str = r#"
python -c '
import socketserver
class Redis(socketserver.BaseRequestHandler):
    def handle(self):
        while self.request.recv(4096):
            self.request.sendall(b"+PONG\r\n")
socketserver.ThreadingTCPServer(("127.0.0.1", 6379), Redis).serve_forever()
' &
exec "$@"
"#;

/// A verb of the script, in a container without any network whose /code is that folder.
fn in_image(code: &Path, verb: &str) -> Run {
    fs::set_permissions(code, fs::Permissions::from_mode(0o755)).unwrap();
    let script = repository().join("deploy/analytics/glitchtip-service.py");
    let mount = |from: &Path, to: &str| format!("{}:{to}:ro", from.display());
    let mut docker = std::process::Command::new("docker");
    docker.args(["run", "--rm", "--network", "none"]);
    docker.args([
        "--volume",
        &mount(code, "/code"),
        "--volume",
        &mount(&script, "/script.py"),
    ]);
    docker.args(["--env", "VALKEY_URL=redis://127.0.0.1:6379"]);
    docker.args([
        "analytics-standin/glitchtip:6",
        "sh",
        "-c",
        BESIDE_REDIS,
        "sh",
        "python",
        "-IS",
        "/script.py",
        verb,
    ]);
    Run::of(&mut docker)
}

#[test]
#[ignore = "starts containers"]
fn a_version_without_scripts_is_migrated_and_works_and_a_long_retention_is_backed_up() {
    let checkout = Checkout::with_stack();
    let override_file = checkout.read("docker-compose.override.yml");
    let mut without_scripts = override_file;
    for service in ["glitchtip-migrate", "glitchtip-worker"] {
        let begin = format!("  {service}:\n");
        without_scripts =
            without_scripts.replace(&begin, &format!("{begin}    tmpfs: [/tmp, /code/bin]\n"));
    }
    checkout.write("docker-compose.override.yml", &without_scripts);
    checkout.xtask(&["up"]).success();
    checkout.xtask(&["verify"]).success();

    // Each day has 20 tables, each week 25, and a dump locks them all, with their indexes.
    let code = "from django.db import connection; from glitchtip import partitions; \
                partitions.create_missing(connection.cursor(), days_back=180)";
    let shell = [
        "exec",
        "--no-TTY",
        "glitchtip-web",
        "python",
        "manage.py",
        "shell",
        "-v",
        "0",
        "-c",
        code,
    ];
    checkout.compose(&shell).success();
    let tables = checkout.sql(
        "glitchtip_db",
        "select count(*) from pg_class where relkind in ('r', 'p')",
    );
    assert!(tables.parse::<u32>().unwrap() > 4000, "{tables} tables");
    checkout.xtask(&["backup", "--no-verify"]).success();

    // More than the pool has: they wait, instead of taking PostgreSQL's connections from the others.
    assert!(most_connections(&checkout) <= 10);
}

/// How many connections one process of GlitchTip has at most while forty ask it at once.
fn most_connections(checkout: &Checkout) -> u32 {
    let done = AtomicBool::new(false);
    let url = format!("http://127.0.0.1:{}/api/settings/", checkout.glitchtip_port);
    let query = "select count(*) from pg_stat_activity where usename = 'glitchtip' group by client_addr order by 1 desc";
    thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let _ = agent(15).get(&url).call();
                }
            });
        }
        let count = || {
            checkout
                .sql("postgres", query)
                .lines()
                .next()
                .unwrap_or("0")
                .parse()
                .unwrap()
        };
        let most = (0..10).map(|_| count()).max().unwrap();
        done.store(true, Ordering::Relaxed);
        assert!(most > 2, "nobody asked");
        most
    })
}

#[test]
#[ignore = "starts containers"]
fn what_hangs_says_so_and_is_started_anew() {
    let checkout = Checkout::with_glitchtip(GlitchTip::V5);
    checkout.xtask(&["up"]).success();
    let services = ["umami", "glitchtip-web"];
    let processes = services.map(|service| {
        // The first process is the engine's init; the service is its child.
        let init = main_process(&checkout, service);
        signal_process(
            &checkout,
            &format!("$(cat /proc/{init}/task/{init}/children)"),
            "STOP",
        );
        init
    });
    let words = ["Operation timed out", "answers nothing"];
    for (service, words) in services.into_iter().zip(words) {
        until(&format!("{service} says why it is ill"), || {
            let log = "{{with .State.Health}}{{range .Log}}{{.Output}}{{end}}{{end}}";
            inspect(&checkout, service, log).contains(words)
        });
    }
    for (service, before) in services.into_iter().zip(processes) {
        // Three looks of half a minute each, and the time that each waits for an answer.
        until_within(
            Duration::from_secs(180),
            &format!("{service} is back"),
            || {
                main_process(&checkout, service) != before
                    && inspect(&checkout, service, "{{.State.Health.Status}}") == "healthy"
            },
        );
    }
    checkout.xtask(&["status"]).success();
}
