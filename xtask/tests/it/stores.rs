//! Stores that are broken: what is well is saved, what is broken is named and replaced, and nothing goes
//! without a copy. A few of all the ways to break one run by default; all of them with `XTASK_ALL_STORES=1`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, Run};

/// One way to break a store. All services are stopped before the script runs as root in PostgreSQL's image,
/// with the volume at /volume.
struct Case {
    name: &'static str,
    volume: &'static str,
    /// Empty: the volume is deleted.
    script: &'static str,
    /// Whether the engine tries to start it again and again when the commands come.
    looping: bool,
    /// What a backup then lacks; empty when the state is a legal one.
    missing: &'static str,
    /// Whether its files are kept as they are before they are replaced or deleted.
    is_kept: bool,
}

const ZEROED: &str =
    "for file in /volume/pg_wal/0*; do dd if=/dev/zero of=$file bs=1M count=16 conv=notrunc; done";
const GARBAGE: &str = "for file in /volume/appendonlydir/*.base.rdb; do echo garbage >$file; done";
const EMPTIED: &str = "find /volume -mindepth 1 -maxdepth 1 -exec rm -rf {} +";

/// Those that CI runs.
const SOME: [Case; 3] = [
    case(
        "postgres restarts for ever",
        "postgres_data",
        ZEROED,
        "glitchtip, umami",
    )
    .looping()
    .kept(),
    case("redis does not start", "redis_data", GARBAGE, "redis").kept(),
    case("uploads are gone", "glitchtip_uploads", "", "uploads"),
];

const OTHERS: [Case; 10] = [
    case("postgres does not start", "postgres_data", ZEROED, "glitchtip, umami").kept(),
    case("postgres is empty", "postgres_data", EMPTIED, "glitchtip, umami"),
    case("postgres is of version 14", "postgres_data", "echo 14 >/volume/PG_VERSION", "glitchtip, umami").kept(),
    case("postgres is incomplete", "postgres_data", "rm /volume/PG_VERSION", "glitchtip, umami").kept(),
    case("postgres is gone", "postgres_data", "", "glitchtip, umami"),
    case("redis restarts for ever", "redis_data", GARBAGE, "redis").looping().kept(),
    case("redis is empty", "redis_data", EMPTIED, ""),
    case(
        "redis is of a newer version",
        "redis_data",
        "for file in /volume/appendonlydir/*.base.rdb; do printf REDIS9999 | dd of=$file conv=notrunc; done",
        "redis",
    )
    .kept(),
    case("redis is gone", "redis_data", "", "redis"),
    case("uploads are empty", "glitchtip_uploads", EMPTIED, ""),
];

const fn case(
    name: &'static str,
    volume: &'static str,
    script: &'static str,
    missing: &'static str,
) -> Case {
    Case {
        name,
        volume,
        script,
        looping: false,
        missing,
        is_kept: false,
    }
}

impl Case {
    const fn looping(mut self) -> Case {
        self.looping = true;
        self
    }

    const fn kept(mut self) -> Case {
        self.is_kept = true;
        self
    }

    fn store(&self) -> &str {
        self.volume.split('_').next().unwrap()
    }
}

#[test]
#[ignore = "starts containers"]
fn a_broken_store_keeps_nobody_from_the_others_and_is_replaced() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    write(&checkout);
    let good = checkout
        .xtask(&["backup"])
        .success()
        .stdout
        .trim()
        .to_owned();
    let others = std::env::var("XTASK_ALL_STORES").is_ok_and(|value| value == "1");
    let others = OTHERS.into_iter().filter(|_| others);
    for case in SOME.into_iter().chain(others) {
        println!("{}", case.name);
        check_case(&checkout, &case, &good);
    }
}

fn check_case(checkout: &Checkout, case: &Case, good: &str) {
    let restore = ["restore", good, "--yes", "--no-verify"];
    let everything = read(checkout);

    break_store(checkout, case);
    check_looks(checkout, case);
    let run = checkout.xtask(&["backup"]);
    let partial = check_partial(checkout, case, run);

    // What is well is in a partial backup; what is missing in it stays as it is.
    check_up(checkout, case);
    if case.store() == "postgres" && case.looping {
        check_unfinished(checkout, good);
    }
    checkout.xtask(&restore).success();
    assert_eq!(read(checkout), everything, "{}", case.name);
    if !case.missing.is_empty() {
        let run = checkout.xtask(&["restore", &partial, "--yes", "--no-backup", "--no-verify"]);
        run.success().says("does not bring back");
        assert_eq!(
            read(checkout),
            everything,
            "{}: from the partial one",
            case.name
        );
    }

    // The files of a broken store are kept before it is replaced or deleted.
    break_store(checkout, case);
    let run = checkout.xtask(&["clean", "--yes"]).success();
    assert_eq!(
        run.stderr.contains("kept the files of"),
        case.is_kept,
        "{}",
        run.stderr
    );
    let kept = newest(checkout);
    let list = Run::of(Command::new("tar").args(["--list", "--file"]).arg(&kept)).success();
    let files = format!("{}.tar", case.volume);
    assert_eq!(
        list.stdout.contains(&files),
        case.is_kept,
        "{}",
        list.stdout
    );
    if case.is_kept {
        check_files(&kept, &files);
    }
    checkout.xtask(&restore).success();
    assert_eq!(read(checkout), everything, "{}: after clean", case.name);
}

/// The files of a store come out as README.md says.
fn check_files(backup: &Path, part: &str) {
    let image = "analytics-standin/postgres:15";
    let script = "tar -xOf \"$1\" \"$2\" | docker run --rm -i --entrypoint tar \"$3\" -tf -";
    let mut shell = Command::new("sh");
    shell
        .args(["-c", script, "sh"])
        .arg(backup)
        .args([part, image]);
    let files = Run::of(&mut shell).success().stdout;
    let is_there = |name: &str| files.lines().any(|line| line.starts_with(name));
    assert!(
        is_there("./pg_wal/0") || is_there("./appendonlydir/"),
        "{files}"
    );
}

/// `status` and `doctor` look, and change nothing.
fn check_looks(checkout: &Checkout, case: &Case) {
    for verb in ["status", "doctor"] {
        let run = checkout.xtask(&[verb]);
        assert!(matches!(run.code, Some(0 | 1)), "{verb}: {:?}", run.code);
        let text = format!("{}{}", run.stdout, run.stderr);
        if case.looping {
            assert_eq!(run.code, Some(1), "{verb} finds nothing wrong:\n{text}");
            assert!(
                text.contains(case.store()),
                "{verb} does not name it:\n{text}"
            );
        }
    }
}

#[track_caller]
fn check_partial(checkout: &Checkout, case: &Case, run: Run) -> String {
    let path = run.stdout.trim().to_owned();
    assert!(
        PathBuf::from(&path).exists(),
        "no backup was made:\n{}",
        run.stderr
    );
    if case.missing.is_empty() {
        run.success();
        return path;
    }
    let run = run.code(1).says("the backup is partial");
    let run = run.says("  hint: `cargo xtask restore ");
    assert!(run.stderr.contains("not saved: "), "{}", run.stderr);
    let list = checkout.xtask(&["backup", "--list"]).success().stdout;
    let line = list.lines().nth(1).unwrap();
    assert!(
        line.contains(&format!("partial: no {}", case.missing)),
        "{list}"
    );
    path
}

/// What cannot start is named with a cause and a command; what is gone or empty begins anew.
fn check_up(checkout: &Checkout, case: &Case) {
    let run = checkout.xtask(&["up", "--timeout", "120"]);
    if !case.is_kept {
        run.success();
        return;
    }
    let run = run.code(1).says(case.store());
    let run = run.says("  cause: ").says("  hint: ");
    assert!(
        run.stderr.contains("`cargo xtask "),
        "no command:\n{}",
        run.stderr
    );
}

/// A restore that was killed before PostgreSQL broke: only another restore ends it.
fn check_unfinished(checkout: &Checkout, good: &str) {
    let name = PathBuf::from(good);
    let name = name.file_name().unwrap().to_str().unwrap();
    let record = format!(r#"{{"operation": "restore", "backup": "{name}"}}"#);
    checkout.write("backups/.unfinished.json", &record);
    let up = checkout.xtask(&["up"]).code(1);
    let up = up.says("an interrupted restore cannot be finished");
    up.says("  hint: `cargo xtask restore deploy/analytics/backups/");
}

fn break_store(checkout: &Checkout, case: &Case) {
    checkout.compose(&["stop", "--timeout", "10"]).success();
    let volume = format!("{}_{}", checkout.project, case.volume);
    if case.script.is_empty() {
        checkout.compose(&["down"]).success();
        Run::of(Command::new("docker").args(["volume", "rm", &volume])).success();
        return;
    }
    let mount = format!("{volume}:/volume");
    let run = [
        "run",
        "--rm",
        "--network",
        "none",
        "--user",
        "root",
        "--entrypoint",
        "sh",
    ];
    let image = "analytics-standin/postgres:15";
    let mut docker = Command::new("docker");
    docker
        .args(run)
        .args(["--volume", &mount, image, "-c", case.script]);
    Run::of(&mut docker).success();
    if case.looping {
        checkout.compose(&["start", case.store()]).success();
        wait_for_restarts(&checkout.container(case.store()));
    }
}

/// Until the engine has started it again three times.
fn wait_for_restarts(container: &str) {
    for _ in 0..3 {
        let wait = [
            "events",
            "--since",
            "1s",
            "--filter",
            "event=die",
            "--filter",
        ];
        let filter = format!("container={container}");
        let mut events = Command::new("timeout");
        let script = "docker \"$@\" | head -n 1";
        events
            .args(["60", "sh", "-c", script, "sh"])
            .args(wait)
            .arg(filter);
        Run::of(&mut events).success();
    }
}

fn write(checkout: &Checkout) {
    let sql = "create table kept as select n from generate_series(1, 100) as n";
    checkout.sql("umami_db", sql);
    checkout.sql("glitchtip_db", sql);
    let script = "echo A >uploads/a";
    let exec = ["exec", "--no-TTY", "glitchtip-web", "sh", "-c", script];
    checkout.compose(&exec).success();
    let exec = ["exec", "--no-TTY", "redis", "redis-cli", "set", "kept", "A"];
    checkout.compose(&exec).success();
}

/// Something of each store.
fn read(checkout: &Checkout) -> String {
    let sum = "select sum(n) from kept";
    let exec = |arguments: &[&str]| {
        let run = checkout.compose(&[&["exec", "--no-TTY"], arguments].concat());
        run.success().stdout
    };
    [
        checkout.sql("umami_db", sum),
        checkout.sql("glitchtip_db", sum),
        exec(&["glitchtip-web", "cat", "uploads/a"]),
        exec(&["redis", "redis-cli", "get", "kept"]),
    ]
    .join("\n")
}

fn newest(checkout: &Checkout) -> PathBuf {
    let list = checkout.xtask(&["backup", "--list"]).success().stdout;
    let line = list.lines().nth(1).unwrap();
    checkout
        .root()
        .join(line.split_whitespace().last().unwrap())
}
