//! Many writers at once, kills at any moment, files of any length.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::{BLOCK, Machine, USERS};
use crate::checkout::Run;

#[test]
fn two_and_eight_writers_lose_nothing_and_readers_see_whole_files() {
    for processes in [2, 8] {
        let machine = Machine::new("127.0.0.1 localhost\n");
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    let text = machine.read();
                    assert!(
                        text.starts_with("127.0.0.1 localhost\n") && text.ends_with('\n'),
                        "{text:?}"
                    );
                    assert_eq!(
                        text.matches(">>>\n").count(),
                        text.matches("<<<\n").count(),
                        "{text:?}"
                    );
                    reads += 1;
                }
                reads
            });
            let ends_the_reader = SetOnDrop(&done);
            for round in 0..200 {
                let actions: [&[&str]; 2] = [&["--yes"], &["--yes", "--remove"]];
                let children: Vec<Child> = (0..processes)
                    .map(|n| machine.start(actions[n % 2]))
                    .collect();
                append_under_lock(&machine.file, &format!("10.0.0.1 user-{round}\n"));
                for mut child in children {
                    assert!(child.wait().unwrap().success());
                }
                let users: String = (0..=round)
                    .map(|round| format!("10.0.0.1 user-{round}\n"))
                    .collect();
                let text = machine.read();
                assert!([0, 1].contains(&text.matches(BLOCK).count()), "{text}");
                assert_eq!(
                    text.replace(BLOCK, ""),
                    "127.0.0.1 localhost\n".to_owned() + &users
                );
            }
            drop(ends_the_reader);
            assert!(reader.join().unwrap() > 200);
        });
        assert!(machine.copies().len() <= 5, "{:?}", machine.copies());
        assert_eq!(machine.names_in_folder(), ["hosts"]);
    }
}

/// Also when an assertion fails.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Another program that takes the same lock.
fn append_under_lock(path: &Path, line: &str) {
    loop {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        file.lock().unwrap();
        if file.metadata().unwrap().ino() == fs::metadata(path).unwrap().ino() {
            return file.write_all(line.as_bytes()).unwrap();
        }
    }
}

#[test]
fn waits_for_the_lock() {
    let machine = Machine::new(USERS);
    let lock = File::open(&machine.file).unwrap();
    lock.lock().unwrap();
    let mut child = machine
        .command(&["--yes"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It says what it will do, and then waits.
    let mut said = String::new();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    while !said.contains("<<< cargo xtask hosts <<<") {
        assert_ne!(
            std::io::BufRead::read_line(&mut stderr, &mut said).unwrap(),
            0,
            "{said}"
        );
    }
    fs::write(&machine.file, "127.0.0.1 changed\n").unwrap();
    assert!(child.try_wait().unwrap().is_none(), "it did not wait");
    drop(lock);
    assert!(child.wait().unwrap().success());
    assert_eq!(machine.read(), "127.0.0.1 changed\n".to_owned() + BLOCK);
}

#[test]
fn killed_at_any_moment_leaves_the_old_file_or_the_new_one() {
    let old = (0..20_000)
        .map(|n| format!("0.0.0.0 ads-{n}.example\n"))
        .collect::<String>();
    let machine = Machine::new(&old);
    let new = old.clone() + BLOCK;
    // When it is killed: at first anywhere, then where about half of the runs get through.
    let mut latest = 50_000;
    let (mut killed, mut changed) = (0, 0);
    for _ in 0..500 {
        let before = machine.read();
        let action: &[&str] = if before == old {
            &["--yes"]
        } else {
            &["--yes", "--remove"]
        };
        let mut child = machine.start(action);
        thread::sleep(Duration::from_micros(rand::random_range(0..latest)));
        child.kill().unwrap();
        let was_killed = !child.wait().unwrap().success();
        latest = if was_killed {
            (latest * 21 / 20).min(200_000)
        } else {
            latest * 19 / 20
        };
        killed += usize::from(was_killed);
        let after = machine.read();
        assert!(
            after == old || after == new,
            "{} bytes of {} or {}",
            after.len(),
            old.len(),
            new.len()
        );
        changed += usize::from(after != before);
    }
    assert!(
        killed > 50 && changed > 50,
        "nothing was tried: {killed} killed, {changed} changed"
    );
    // What they left behind is in nobody's way, and goes.
    machine.hosts(&["--yes"]).success();
    machine.hosts(&["--yes", "--remove"]).success();
    assert_eq!(machine.names_in_folder(), ["hosts"]);
}

#[test]
fn a_blocklist_of_200_000_lines_takes_100_ms_and_three_times_its_size() {
    let list = (0..200_000)
        .map(|n| format!("0.0.0.0 {:x}.ads-{n}.example\n", n * 7919))
        .collect::<String>();
    let machine = Machine::new(&list);
    let actions: [&[&str]; 3] = [&["--yes"], &["--yes"], &["--yes", "--remove"]];
    let start = (0..10)
        .map(|_| processor_time(&machine.checkout.xtask_command(&["hosts", "--print"])))
        .min()
        .unwrap();
    let mut best = [Duration::MAX; 3];
    for _ in 0..10 {
        for (best, action) in best.iter_mut().zip(actions) {
            *best = processor_time(&machine.command(action)).min(*best);
        }
    }
    let beyond = best.map(|best| best.saturating_sub(start));
    assert!(
        beyond.iter().all(|time| *time < Duration::from_millis(100)),
        "{beyond:?} beyond process start"
    );

    let limit = format!("ulimit -d {}; exec \"$@\"", 3 * list.len() / 1024);
    for action in actions {
        in_bash(&limit, &machine.command(action)).success();
    }
    assert_eq!(machine.read(), list);
}

/// What a successful run took of the processors: other tests, which run at the same time, do not count.
fn processor_time(command: &Command) -> Duration {
    let run = in_bash("TIMEFORMAT='%U %S'; time \"$@\"", command).success();
    let last = run.stderr.lines().last().unwrap();
    last.split(' ')
        .map(|seconds| Duration::from_secs_f64(seconds.parse().unwrap()))
        .sum()
}

/// A script with a command as its arguments.
fn in_bash(script: &str, command: &Command) -> Run {
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"])
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    bash.envs(
        command
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    Run::of(&mut bash)
}
