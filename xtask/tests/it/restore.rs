//! Backup and restore where something comes in between: Ctrl-C, a kill, another layout of the data.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::checkout::{Checkout, Run};
use crate::shared;
#[cfg(target_os = "linux")]
use crate::terminal::Terminal;

#[test]
#[ignore = "starts containers"]
fn ctrl_c_in_a_backup_leaves_no_file_and_says_so() {
    let checkout = shared::stack();
    let backups = || checkout.xtask(&["backup", "--list"]).success().stdout;
    let before = backups();

    let run = interrupt_at(&checkout, &["backup"], "umami.dump");

    let run = run.code(1).says("error: interrupted; no backup was made");
    run.says("  hint: `cargo xtask backup` starts again");
    assert_eq!(backups(), before);
    checkout.xtask(&["status"]).success();
}

#[test]
#[ignore = "starts containers"]
fn ctrl_c_in_a_restore_leaves_the_data_and_starts_the_applications_again() {
    let checkout = shared::stack();
    checkout.sql(
        "umami_db",
        "drop table if exists here; create table here ()",
    );
    let file = checkout.xtask(&["backup", "--no-verify"]).success().stdout;
    checkout.sql("umami_db", "create table since ()");
    let restore = [
        "restore",
        file.trim(),
        "--yes",
        "--no-backup",
        "--no-verify",
    ];

    let run = interrupt_at(&checkout, &restore, "restoring");

    let run = run.code(1);
    let run = run.says("error: nothing was replaced; the data is unchanged: interrupted");
    run.says("starting the applications again");
    checkout.xtask(&["status"]).success();
    let tables = "select to_regclass('since') is not null";
    assert_eq!(checkout.sql("umami_db", tables), "t");
    checkout.sql("umami_db", "drop table here; drop table since");
}

/// It ended nothing there, and was forgotten: who then typed `y`, or had given `--yes`, lost the present data.
#[cfg(target_os = "linux")]
#[test]
#[ignore = "starts containers"]
fn ctrl_c_at_the_question_of_a_restore_ends_it() {
    let checkout = shared::stack();
    let file = checkout.xtask(&["backup", "--no-verify"]).success().stdout;
    // The path of the checkout has a blank.
    let name = PathBuf::from(file.trim());
    let name = name.file_name().unwrap().to_str().unwrap();
    let file = format!("deploy/analytics/backups/{name}");
    let mut terminal = Terminal::run(&checkout, &["restore", &file], (80, 24));
    terminal.wait_for("the question", |lines| {
        lines.iter().any(|line| line.contains("Replace all data"))
    });
    terminal.press(CTRL_C);
    // An answer, for whoever still waits for one.
    terminal.press(b'n');
    terminal.press(b'\n');
    let (code, lines) = terminal.finish();
    assert!(
        !lines.concat().contains("nothing was changed"),
        "{lines:#?}"
    );
    assert_ne!(code, Some(0));
    checkout.xtask(&["status"]).success();
}

#[cfg(target_os = "linux")]
const CTRL_C: u8 = 3;

#[test]
fn a_mistyped_folder_for_a_backup_is_refused() {
    let checkout = crate::pretend::Pretended::new();
    let folder = checkout.checkout.root().join("typo/backups");
    let run = checkout.xtask(&["backup", "--output", folder.to_str().unwrap()]);
    run.code(1).says("typo/backups");
    assert!(!folder.parent().unwrap().exists());
}

/// PostgreSQL cuts names off at 63 bytes, and what is left of the name of a restored database would be that
/// of the one in use.
#[test]
fn a_name_by_which_a_restore_would_delete_a_database_in_use_is_refused() {
    let pretended = crate::pretend::Pretended::new();
    let file = crate::journal::backup_file(pretended.checkout.root());
    let env = pretended.checkout.read(".env");
    let long = "a".repeat(63);
    for (name, words) in [
        (long.as_str(), "is longer than 48 bytes"),
        ("glitchtip_db_restore", "ends in _restore"),
    ] {
        let text = env.replace("UMAMI_DATABASE=umami_db", &format!("UMAMI_DATABASE={name}"));
        pretended.checkout.write(".env", &text);
        let restore = ["restore", file.to_str().unwrap(), "--yes", "--no-backup"];
        let run = pretended.xtask(&restore).code(1);
        run.says("error: deploy/analytics/.env, line ").says(words);
        assert_eq!(pretended.notes(), [""; 0]);
    }
}

#[test]
fn a_database_whose_name_is_too_long_for_one_is_not_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let dropdb = folder.path().join("dropdb");
    std::fs::write(&dropdb, "#!/bin/sh\necho \"$@\"\n").unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&dropdb, executable).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let script = crate::checkout::repository().join("xtask/src/backup/scripts/drop.sh");
    let drop = |name: &str| {
        let mut shell = Command::new("sh");
        shell.arg(&script).arg(name).env("PATH", &path);
        let run = Run::of(
            shell
                .env("PRIVILEGES", "all")
                .env("POSTGRES_DB", "postgres"),
        );
        run.success().stdout
    };
    let fits = "é".repeat(31) + "a";
    assert!(drop(&fits).contains(&fits));
    assert_eq!(drop(&("é".repeat(31) + "ab")), "");
}

#[test]
#[ignore = "starts containers"]
fn a_database_is_made_on_a_volume_that_another_c_library_has_written_to() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    checkout.sql(
        "postgres",
        "update pg_database set datcollversion = '0' where datname = 'template1'",
    );
    let text = format!("{}\nUMAMI_DATABASE=another_db\n", checkout.read(".env"));
    checkout.write(".env", &text);
    checkout.xtask(&["up"]).success();
    assert_eq!(checkout.sql("another_db", "select 1"), "1");
}

/// As in the images of PostgreSQL 18: below the volume, in a folder with the version.
#[test]
#[ignore = "starts containers"]
fn the_place_of_the_data_is_asked_of_the_image() {
    let checkout = Checkout::with_stack();
    let image = Image::with_data_at(&checkout, "/var/lib/postgresql/15/docker");
    let text = checkout.read("docker-compose.override.yml");
    let standin = "image: analytics-standin/postgres:15\n";
    let mount = "    environment:\n      PGDATA: /var/lib/postgresql/15/docker\n    \
                 tmpfs: !override [/tmp]\n    \
                 volumes: !override\n      - postgres_data:/var/lib/postgresql\n      \
                 - postgres_socket:/var/run/postgresql\n";
    let text = text.replace(standin, &format!("image: {}\n", image.0));
    let service = "  postgres:\n";
    assert!(text.contains(service));
    let text = text.replacen(service, &format!("{service}{mount}"), 1);
    checkout.write("docker-compose.override.yml", &text);

    checkout.xtask(&["up"]).success();
    checkout.sql("umami_db", "create table here as select 1 as n");
    let doctor = checkout.xtask(&["doctor"]).stdout;
    assert!(doctor.contains("data: PostgreSQL 15"), "{doctor}");
    let file = checkout.xtask(&["backup"]).success().stdout;
    let restore = ["restore", file.trim(), "--yes", "--no-verify"];
    checkout.xtask(&restore).success();
    assert_eq!(checkout.sql("umami_db", "select n from here"), "1");

    zero_the_wal(&checkout, &image.0, "/var/lib/postgresql");
    checkout.xtask(&restore).success();
    assert_eq!(checkout.sql("umami_db", "select n from here"), "1");
}

/// A PostgreSQL that does not start is replaced by files: killed anywhere, either all or nothing is.
#[test]
#[ignore = "starts containers"]
fn a_restore_over_a_broken_postgres_is_killed_at_any_moment() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let redis = ["exec", "--no-TTY", "redis", "redis-cli"];
    let set = |value| {
        let run = checkout.compose(&[&redis[..], &["set", "kept", value]].concat());
        run.success();
    };
    checkout.sql("umami_db", "create table here as select 1 as n");
    set("saved");
    let file = checkout.xtask(&["backup", "--no-verify"]).success().stdout;
    let restore = [
        "restore",
        file.trim(),
        "--yes",
        "--no-backup",
        "--no-verify",
    ];
    set("later");
    for _ in 0..rounds() {
        zero_the_wal(
            &checkout,
            "analytics-standin/postgres:15",
            "/var/lib/postgresql/data",
        );
        kill_at_random(&checkout, &restore, 12000);
        if checkout.xtask(&["up", "--timeout", "60"]).code == Some(0) {
            // Replaced, with all that belongs to it.
            assert_eq!(checkout.sql("umami_db", "select n from here"), "1");
            let run = checkout.compose(&[&redis[..], &["get", "kept"]].concat());
            assert_eq!(run.success().stdout.trim(), "saved");
        }
        checkout.xtask(&restore).success();
        assert_eq!(checkout.sql("umami_db", "select n from here"), "1");
        let run = checkout.compose(&[&redis[..], &["get", "kept"]].concat());
        assert_eq!(run.success().stdout.trim(), "saved");
        set("later");
    }
}

/// How often each command is killed.
fn rounds() -> u64 {
    std::env::var("XTASK_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

fn kill_at_random(checkout: &Checkout, arguments: &[&str], milliseconds: u64) {
    let mut command = checkout.xtask_command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let random = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    // There is no state to wait for: any moment will do.
    std::thread::sleep(Duration::from_millis(random / 1000 % milliseconds));
    let _ = child.kill();
    child.wait().unwrap();
}

/// Stops everything, and takes PostgreSQL the log that it starts from.
fn zero_the_wal(checkout: &Checkout, image: &str, mount: &str) {
    checkout.compose(&["stop"]).success();
    let script = "cd \"$PGDATA/pg_wal\" && for file in 0*; do \
                  dd if=/dev/zero of=$file bs=1M count=16 conv=notrunc; done";
    let mount = format!("{}_postgres_data:{mount}", checkout.project);
    let mut docker = Command::new("docker");
    docker.args(["run", "--rm", "--network", "none", "--user", "root"]);
    docker.args([
        "--entrypoint",
        "sh",
        "--volume",
        &mount,
        image,
        "-c",
        script,
    ]);
    Run::of(&mut docker).success();
}

/// Starts xtask in a group of its own, as a terminal does, and presses Ctrl-C as soon as a helper container
/// runs after it was said that `words` is next.
fn interrupt_at(checkout: &Checkout, arguments: &[&str], words: &str) -> Run {
    let mut events = tool_events(checkout);
    let starts = BufReader::new(events.stdout.take().unwrap());
    let mut command = checkout.xtask_command(arguments);
    command.process_group(0);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let script = match words {
        "restoring" => "stage.sh",
        _ => "dump.sh",
    };
    let is_it = |line: &std::io::Result<String>| {
        let id = line.as_ref().unwrap();
        let format = "{{join .Args \" \"}}";
        let run = Run::of(Command::new("docker").args(["inspect", "--format", format, id]));
        run.stdout.contains(script)
    };
    starts.lines().find(is_it).unwrap().unwrap();

    let group = format!("-{}", child.id());
    Run::of(Command::new("kill").args(["-INT", "--", &group])).success();

    let _ = events.kill();
    events.wait().unwrap();
    Run::from(child.wait_with_output().unwrap())
}

/// The ids of the helper containers as they start.
fn tool_events(checkout: &Checkout) -> Child {
    let filter = format!("label=xtask.tool={}", checkout.project);
    let filters = ["--filter", "event=start", "--filter", &filter];
    let mut docker = Command::new("docker");
    docker
        .arg("events")
        .args(filters)
        .args(["--format", "{{.ID}}"]);
    docker.stdout(Stdio::piped()).spawn().unwrap()
}

/// A name of our own for an image, gone with the value.
struct Image(String);

impl Image {
    fn with_data_at(checkout: &Checkout, folder: &str) -> Image {
        let name = format!("{}/postgres:15", checkout.project);
        let context: PathBuf = checkout.root().join("image");
        std::fs::create_dir(&context).unwrap();
        let text = format!("FROM analytics-standin/postgres:15\nENV PGDATA={folder}\n");
        std::fs::write(context.join("Dockerfile"), text).unwrap();
        let mut docker = Command::new("docker");
        Run::of(
            docker
                .args(["build", "--quiet", "--tag", &name])
                .arg(&context),
        )
        .success();
        Image(name)
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let remove = ["image", "rm", "--force", "--no-prune", &self.0];
        let _ = Command::new("docker").args(remove).output();
    }
}
