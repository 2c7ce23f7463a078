//! Every command that changes the stack, with every operation that may have been left unfinished.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::checkout::Run;
use crate::faults::until;
use crate::pretend::{Pretended, SAID};

/// What was left unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfinished {
    Restore,
    Rotation,
    /// Killed between the record and the new `.env`.
    RotationThatWroteNothing,
    Upgrade,
    /// Killed while the newer images were pulled: their names mean them already.
    UpgradeThatPulls,
    /// Killed while a restore that is part of it was under way.
    UpgradeOnItsWayBack,
}

/// Which version of ours left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Us,
    Version090,
}

/// What a command makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    /// It is brought to its end before anything else.
    Resumed,
    /// It is resumed, does not work, and stays to be resumed.
    Stuck,
    /// It says that there was nothing to resume.
    Discarded,
    /// It is left alone, and the command says how to resume it.
    Mentioned,
    /// A restore inside of it is brought to its end; the rest is left alone.
    Settled,
    /// It is forgotten without anything of it being done.
    Forgotten,
}

use By::{Us, Version090};
use Expected::{Discarded, Forgotten, Mentioned, Resumed, Settled, Stuck};
use Unfinished::{
    Restore, Rotation, RotationThatWroteNothing, Upgrade, UpgradeOnItsWayBack, UpgradeThatPulls,
};

#[test]
fn a_command_that_starts_the_stack_resumes_everything() {
    for verb in [
        &["up"][..],
        &["restart", "redis"],
        &["rotate"],
        &["upgrade", "--no-pull"],
    ] {
        for by in [Us, Version090] {
            check(verb, Restore, by, Resumed);
            check(verb, Rotation, by, Stuck);
            check(verb, RotationThatWroteNothing, by, Discarded);
            check(verb, Upgrade, by, Resumed);
        }
        check(verb, UpgradeOnItsWayBack, Us, Resumed);
        check(verb, UpgradeThatPulls, Us, Resumed);
    }
}

#[test]
fn a_command_that_reads_or_replaces_data_makes_it_whole_and_no_more() {
    for verb in [
        &["backup"][..],
        &["restore", "FILE"],
        &["restore", "FILE", "--yes"],
    ] {
        for by in [Us, Version090] {
            check(verb, Restore, by, Resumed);
            check(verb, Rotation, by, Mentioned);
            check(verb, RotationThatWroteNothing, by, Mentioned);
            check(verb, Upgrade, by, Mentioned);
        }
        check(verb, UpgradeOnItsWayBack, Us, Settled);
        check(verb, UpgradeThatPulls, Us, Resumed);
    }
}

#[test]
fn a_command_that_deletes_everything_forgets_it() {
    for unfinished in [Restore, Rotation, RotationThatWroteNothing, Upgrade] {
        for by in [Us, Version090] {
            check(
                &["clean", "--yes", "--no-backup"],
                unfinished,
                by,
                Forgotten,
            );
        }
    }
    check(
        &["clean", "--yes", "--no-backup"],
        UpgradeOnItsWayBack,
        Us,
        Forgotten,
    );
}

#[test]
fn a_command_that_looks_mentions_it() {
    for verb in [
        &["status"][..],
        &["doctor"],
        &["logs", "--no-follow"],
        &["down"],
    ] {
        for unfinished in [Restore, Rotation, Upgrade] {
            for by in [Us, Version090] {
                check(verb, unfinished, by, Mentioned);
            }
        }
    }
}

#[test]
fn a_backup_that_fails_leaves_nothing_running_that_was_down() {
    let pretended = Pretended::new();
    pretended.is_down();

    // What the pretended PostgreSQL dumps is no dump.
    pretended.xtask(&["backup"]).code(1);

    let notes = pretended.notes();
    assert!(
        notes
            .iter()
            .any(|note| note.contains(" up --detach postgres")),
        "{notes:?}"
    );
    assert_eq!(
        notes.last().map(String::as_str),
        Some("compose stop postgres redis")
    );
}

/// Runs `verb` on a stack on which something was left unfinished.
/// The engine takes up to ten seconds to stop a container, also for a Compose that has been killed meanwhile.
#[test]
fn what_an_earlier_command_had_told_the_engine_to_stop_is_started_again() {
    let pretended = Pretended::new();
    pretended.worker_stops();
    pretended.xtask(&["rotate"]);
    let ups = pretended.notes().into_iter();
    let ups: Vec<String> = ups.filter(|it| it.contains("up --detach")).collect();
    let up = "compose --progress plain up --detach";
    assert_eq!(ups, [up, &format!("{up} glitchtip-worker")]);
}

#[test]
fn a_compose_that_stops_services_outlives_a_kill_of_its_xtask_and_ctrl_c() {
    for interrupt in [
        |xtask: i32| signal("KILL", &xtask.to_string()),
        |xtask: i32| signal("INT", &format!("-{xtask}")),
    ] {
        let pretended = Pretended::new();
        pretended.stop_is_slow();
        leave(&pretended, Restore, Us);
        let mut up = pretended.command(&["up"]);
        let up = up.stdout(Stdio::null()).stderr(Stdio::null());
        let mut up = up.process_group(0).spawn().unwrap();
        until("it stops the applications", || {
            let notes = pretended.notes();
            notes.iter().any(|note| note.starts_with("compose stop"))
        });

        interrupt(up.id().try_into().unwrap());
        pretended.goes_on();

        until("Compose has done it", || pretended.did_stop());
        up.wait().unwrap();
    }
}

/// To a process, or with a `-` before its id to its group.
fn signal(name: &str, process: &str) {
    let mut kill = Command::new("kill");
    assert!(
        kill.args(["-s", name, "--", process])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn compose_reads_the_configuration_once_for_each_env_file() {
    for (verb, env_files) in [
        (&["up"][..], 1),
        (&["restart"], 1),
        (&["backup"], 1),
        (&["restore", "FILE", "--yes", "--no-backup"], 1),
        (&["upgrade", "--no-pull"], 1),
        (&["rotate"], 2),
    ] {
        let pretended = Pretended::new();
        leave(&pretended, Restore, Us);
        run(&pretended, verb);
        let notes = pretended.notes();
        for question in ["compose config", "compose config --hash *"] {
            let asked = notes.iter().filter(|note| *note == question).count();
            assert_eq!(
                asked,
                env_files,
                "{question}: {verb:?}\n{}",
                notes.join("\n")
            );
        }
    }
}

#[track_caller]
fn check(verb: &[&str], unfinished: Unfinished, by: By, expected: Expected) {
    let pretended = Pretended::new();
    leave(&pretended, unfinished, by);
    let run = run(&pretended, verb);

    let case = format!("{verb:?} with {unfinished:?} by {by:?}\n{}", run.stderr);
    let says = |words: &str| run.stderr.contains(words);
    let name = match unfinished {
        Restore => "restore",
        Rotation | RotationThatWroteNothing => "rotation of secrets",
        Upgrade | UpgradeOnItsWayBack | UpgradeThatPulls => "upgrade",
    };
    let resuming = says(&format!("resuming an interrupted {name}"));
    let mentions = says(&format!(
        "an interrupted {name} is unfinished; `cargo xtask up` resumes it"
    ));
    let settles = pretended.notes().iter().any(|note| settles(note));
    assert_eq!(resuming, matches!(expected, Resumed | Stuck), "{case}");
    assert_eq!(mentions, matches!(expected, Mentioned | Settled), "{case}");
    assert_eq!(
        says("discarding an interrupted"),
        expected == Discarded,
        "{case}"
    );
    if matches!(unfinished, Restore | UpgradeOnItsWayBack) {
        assert_eq!(settles, matches!(expected, Resumed | Settled), "{case}");
    }
    if resuming {
        assert!(
            comes_first(&pretended, unfinished),
            "{case}{}",
            pretended.notes().join("\n")
        );
    }
    // A rotation leaves a record of its own here, since nothing proves that it worked.
    if verb[0] != "rotate" || name != "rotation of secrets" || expected == Stuck {
        let stays = matches!(expected, Stuck | Mentioned | Settled);
        assert_eq!(is_left(&pretended, unfinished), stays, "{case}");
    }
}

/// Runs a command; FILE in it stands for a backup.
fn run(pretended: &Pretended, verb: &[&str]) -> Run {
    let file = backup_file(pretended.checkout.root());
    let file = file.to_str().unwrap();
    let words = verb.iter().map(|&it| if it == "FILE" { file } else { it });
    pretended.xtask(&words.collect::<Vec<_>>())
}

/// Whether what was left unfinished still is.
fn is_left(pretended: &Pretended, unfinished: Unfinished) -> bool {
    let operation = match unfinished {
        Restore => "restore",
        Rotation | RotationThatWroteNothing => "rotate",
        Upgrade | UpgradeOnItsWayBack | UpgradeThatPulls => "upgrade",
    };
    let text = fs::read_to_string(record(pretended)).unwrap_or_default();
    text.contains(&format!("\"operation\": \"{operation}\""))
        || earlier(pretended).iter().any(|path| path.exists())
}

/// Whether a note is of the helper container that ends a restore: it alone holds uploads and Redis' data.
fn settles(note: &str) -> bool {
    note.starts_with("run ")
        && note.contains("_glitchtip_uploads:")
        && note.contains("_redis_data:")
}

/// Whether what was unfinished was resumed before anything else was changed.
fn comes_first(pretended: &Pretended, unfinished: Unfinished) -> bool {
    let notes = pretended.notes();
    let position = |is: &dyn Fn(&str) -> bool| notes.iter().position(|note| is(note));
    let first = match unfinished {
        Restore | UpgradeOnItsWayBack => position(&|note| settles(note)),
        Upgrade => position(&|note| note == "tag sha256:new umami:3"),
        UpgradeThatPulls => position(&|note| note == "tag sha256:old umami:3"),
        Rotation | RotationThatWroteNothing => position(&|note| note.contains(" up --detach")),
    };
    let own = position(&|note| {
        note.contains("--force-recreate")
            || note.contains("pg_dump")
            || note.starts_with("compose pull")
    });
    first.is_some_and(|first| own.is_none_or(|own| first < own))
}

fn record(pretended: &Pretended) -> PathBuf {
    pretended.checkout.path("backups/.unfinished.json")
}

/// The files of version 0.9.0: of a restore, a rotation, an upgrade.
fn earlier(pretended: &Pretended) -> [PathBuf; 3] {
    ["backups/.restoring", ".env.previous", "backups/.upgrading"]
        .map(|name| pretended.checkout.path(name))
}

/// Leaves something unfinished, as a killed command would.
fn leave(pretended: &Pretended, unfinished: Unfinished, by: By) {
    let checkout = &pretended.checkout;
    fs::create_dir(checkout.path("backups")).unwrap();
    let env = checkout.read(".env");
    let before = match unfinished {
        Rotation => env.replace("POSTGRES_PASSWORD=", "POSTGRES_PASSWORD=old"),
        _ => env,
    };
    let images = |id: &str| format!(r#"{{"umami:3": "sha256:{id}"}}"#);
    let (old, new) = (images("old"), images("new"));
    let upgrade =
        format!(r#""old": {old}, "new": {new}, "backup": "/nowhere.tar", "schema": "{SAID}\n""#);
    let [restoring, previous, upgrading] = earlier(pretended);
    let (path, text) = match (unfinished, by) {
        (Restore, Version090) => (restoring, "a.tar\n".to_owned()),
        (Rotation | RotationThatWroteNothing, Version090) => (previous, before),
        (_, Version090) => (upgrading, format!("{{{upgrade}}}")),
        (Restore, Us) => {
            let text = r#"{"operation": "restore", "backup": "a.tar"}"#.to_owned();
            (record(pretended), text)
        }
        (Rotation | RotationThatWroteNothing, Us) => {
            let before = serde_json::to_string(&before).unwrap();
            (
                record(pretended),
                format!(r#"{{"operation": "rotate", "before": {before}}}"#),
            )
        }
        (Upgrade | UpgradeOnItsWayBack | UpgradeThatPulls, Us) => {
            let phase = match unfinished {
                UpgradeThatPulls => "pulling",
                UpgradeOnItsWayBack => "rolling-back",
                _ => "starting",
            };
            let text = format!(r#"{{"operation": "upgrade", {upgrade}, "phase": "{phase}"}}"#);
            (record(pretended), text)
        }
    };
    fs::write(path, text).unwrap();
}

/// A backup that version 0.9.0 made, in a folder.
pub fn backup_file(folder: &Path) -> PathBuf {
    let packed = include_bytes!("fixtures/analytics-2026-11-25T09-35-06Z.tar.gz");
    let path = folder.join("analytics-2026-11-25T09-35-06Z.tar");
    let file = fs::File::create(&path).unwrap();
    let mut gzip = Command::new("gzip")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(file)
        .spawn()
        .unwrap();
    gzip.stdin.take().unwrap().write_all(packed).unwrap();
    assert!(gzip.wait().unwrap().success());
    path
}
