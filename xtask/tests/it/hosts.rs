//! `hosts` on real files: nothing is lost, whoever else writes, whenever it is killed, whatever the disk does.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::checkout::{Checkout, Run};

const BLOCK: &str = "# >>> cargo xtask hosts >>>\n127.0.0.1 analytics.local errors.local\n\
                     ::1 analytics.local errors.local\n# <<< cargo xtask hosts <<<\n";
const USERS: &str = "127.0.0.1\tlocalhost\n# mine\n10.0.0.1 nas # tab\n";

/// A checkout, and a hosts file in a folder of its own.
struct Machine {
    checkout: Checkout,
    folder: PathBuf,
    file: PathBuf,
}

impl Machine {
    fn new(text: &str) -> Machine {
        let checkout = Checkout::new();
        let folder = checkout.root().join("etc");
        fs::create_dir(&folder).unwrap();
        let file = folder.join("hosts");
        fs::write(&file, text).unwrap();
        Machine {
            checkout,
            folder,
            file,
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command =
            self.checkout
                .xtask_command(&["hosts", "--file", self.file.to_str().unwrap()]);
        command
            .args(arguments)
            .env("XDG_STATE_HOME", self.checkout.root().join("state"));
        command
    }

    fn hosts(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn read(&self) -> String {
        fs::read_to_string(&self.file).unwrap()
    }

    fn names_in_folder(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The copies that were kept, oldest first.
    fn copies(&self) -> Vec<PathBuf> {
        let state = self.checkout.root().join("state/analytics-xtask/hosts");
        let folder = state.join(
            fs::canonicalize(&self.file)
                .unwrap()
                .strip_prefix("/")
                .unwrap(),
        );
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut copies: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        copies.sort();
        copies
    }

    #[track_caller]
    fn is_untouched(&self, text: &str) {
        assert_eq!(self.read(), text);
        assert_eq!(self.names_in_folder(), ["hosts"]);
        assert_eq!(
            self.copies(),
            Vec::<PathBuf>::new(),
            "a copy of a file that was not changed"
        );
    }
}

#[test]
fn adds_checks_repeats_and_removes() {
    let machine = Machine::new(USERS);
    machine.hosts(&["--check"]).code(1);
    machine
        .hosts(&["--yes"])
        .success()
        .says("+ 127.0.0.1 analytics.local errors.local")
        .says("copy of");
    assert_eq!(machine.read(), USERS.to_owned() + BLOCK);
    let check = machine.hosts(&["--check"]).success().stdout;
    assert!(
        check.contains("analytics.local leads here") && check.contains("127.0.0.1 (line 5)"),
        "{check}"
    );

    let before = fs::metadata(&machine.file).unwrap();
    machine
        .hosts(&[])
        .success()
        .says("nothing to do")
        .says("line 5, 6");
    let after = fs::metadata(&machine.file).unwrap();
    assert_eq!(
        (before.ino(), before.mtime_nsec()),
        (after.ino(), after.mtime_nsec()),
        "it was written again"
    );

    machine
        .hosts(&["--remove", "--yes"])
        .success()
        .says("- ::1 analytics.local errors.local");
    assert_eq!(machine.read(), USERS);
    machine.hosts(&["--remove"]).success().says("nothing to do");
    assert_eq!(machine.names_in_folder(), ["hosts"]);
}

#[test]
fn prints_the_block_for_those_who_edit_by_hand() {
    let checkout = Checkout::new();
    assert_eq!(
        checkout.xtask(&["hosts", "--print"]).success().stdout,
        BLOCK
    );
}

#[test]
fn takes_the_names_from_the_env_file_and_replaces_a_stale_block() {
    let machine = Machine::new(USERS);
    machine.hosts(&["--yes"]).success();
    machine.checkout.write(
        ".env",
        "UMAMI_HOSTNAME=stats.local\nGLITCHTIP_DOMAIN=https://bugs.local:9/x\n",
    );
    machine.hosts(&["--check"]).code(1);
    machine.hosts(&["--yes"]).success();
    let block = BLOCK
        .replace("analytics.local", "stats.local")
        .replace("errors.local", "bugs.local");
    assert_eq!(machine.read(), USERS.to_owned() + &block);
    // Taking it out needs no names.
    machine
        .checkout
        .write(".env", "UMAMI_HOSTNAME=no hostname\nGLITCHTIP_DOMAIN=\n");
    machine.hosts(&["--yes"]).code(1).says(".env, line 1");
    machine.hosts(&["--remove", "--yes"]).success();
    assert_eq!(machine.read(), USERS);
}

#[test]
fn refuses_with_the_line_before_it_writes() {
    for (text, message) in [
        (
            "a\n10.0.0.1 errors.local\n",
            "line 2 maps errors.local to 10.0.0.1",
        ),
        (
            "a\n# >>> cargo xtask hosts >>>\nb\n",
            "line 2 begins our block",
        ),
        ("# <<< cargo xtask hosts <<<\n", "line 1 ends our block"),
    ] {
        let machine = Machine::new(text);
        machine.hosts(&["--yes"]).code(1).says(message);
        machine.is_untouched(text);
    }
    let machine = Machine::new(USERS);
    machine.checkout.write(
        ".env",
        "A=b\nUMAMI_HOSTNAME=\"a\\n10.0.0.1 evil\"\nGLITCHTIP_DOMAIN=http://b\n",
    );
    machine
        .hosts(&["--yes"])
        .code(1)
        .says(".env, line 2: UMAMI_HOSTNAME");
    machine.is_untouched(USERS);
}

#[test]
fn asks_before_it_writes() {
    let machine = Machine::new(USERS);
    machine.hosts(&[]).code(1).says("--yes");
    machine.is_untouched(USERS);
    on_terminal(&mut machine.command(&[]), "n\n", 1);
    machine.is_untouched(USERS);
    on_terminal(&mut machine.command(&[]), "y\n", 0);
    assert_eq!(machine.read(), USERS.to_owned() + BLOCK);
}

#[test]
fn refuses_what_is_no_file() {
    let machine = Machine::new(USERS);
    fs::remove_file(&machine.file).unwrap();
    machine.hosts(&["--yes"]).code(1).says("No such file");
    assert!(
        Command::new("mkfifo")
            .arg(&machine.file)
            .status()
            .unwrap()
            .success()
    );
    machine.hosts(&["--yes"]).code(1).says("not a regular file");
    fs::remove_file(&machine.file).unwrap();
    fs::create_dir(&machine.file).unwrap();
    machine.hosts(&["--yes"]).code(1).says("not a regular file");
}

#[test]
fn keeps_mode_line_endings_and_a_missing_final_newline() {
    for (text, mode) in [
        ("a\r\nb\r\n", 0o604),
        ("a\nb", 0o664),
        ("", 0o600),
        ("\u{feff}a\r\nb", 0o755),
    ] {
        let machine = Machine::new(text);
        fs::set_permissions(&machine.file, fs::Permissions::from_mode(mode)).unwrap();
        machine.hosts(&["--yes"]).success();
        let line_endings = text.matches('\n').count() - text.matches("\r\n").count();
        let bare = machine.read().replace("\r\n", "").matches('\n').count();
        assert_eq!(
            bare > 0,
            line_endings > 0 || !text.contains('\n'),
            "other line endings than the file's"
        );
        machine.hosts(&["--remove", "--yes"]).success();
        assert_eq!(machine.read(), text);
        assert_eq!(fs::metadata(&machine.file).unwrap().mode() & 0o7777, mode);
    }
}

#[test]
fn a_symlink_stays_one_and_its_target_is_changed() {
    let machine = Machine::new(USERS);
    let target = machine.checkout.root().join("target");
    fs::rename(&machine.file, &target).unwrap();
    symlink("../target", &machine.file).unwrap();
    machine.hosts(&["--yes"]).success();
    assert_eq!(
        fs::read_link(&machine.file).unwrap(),
        Path::new("../target")
    );
    assert_eq!(
        fs::read_to_string(&target).unwrap(),
        USERS.to_owned() + BLOCK
    );
}

#[test]
fn a_read_only_file_is_left_alone() {
    let machine = Machine::new(USERS);
    fs::set_permissions(&machine.file, fs::Permissions::from_mode(0o444)).unwrap();
    machine.hosts(&["--yes"]).code(1).says("it is read-only");
    machine.is_untouched(USERS);
}

#[test]
fn keeps_the_first_copy_and_the_newest_five_in_all() {
    let machine = Machine::new(USERS);
    fs::set_permissions(&machine.file, fs::Permissions::from_mode(0o640)).unwrap();
    for round in 0..5 {
        let run = machine.hosts(&["--yes"]).success();
        let place = machine.copies().pop().unwrap();
        assert!(
            round > 0 || run.stderr.contains(place.to_str().unwrap()),
            "its place is not said:\n{}",
            run.stderr
        );
        machine.hosts(&["--yes", "--remove"]).success();
        let changed = USERS.to_owned() + &format!("# {round}\n");
        fs::write(&machine.file, changed).unwrap();
    }
    let copies = machine.copies();
    assert_eq!(copies.len(), 5);
    assert_eq!(
        fs::read_to_string(&copies[0]).unwrap(),
        USERS,
        "the original went"
    );
    assert_eq!(
        fs::read_to_string(&copies[3]).unwrap(),
        USERS.to_owned() + "# 3\n"
    );
    assert_eq!(fs::metadata(&copies[0]).unwrap().mode() & 0o7777, 0o640);
}

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
fn a_blocklist_of_200_000_lines_takes_50_ms_and_three_times_its_size() {
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
        beyond.iter().all(|time| *time < Duration::from_millis(50)),
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

/// Runs a command on a terminal, where someone types `input`; asserts its exit code.
#[track_caller]
fn on_terminal(command: &mut Command, input: &str, code: i32) -> Run {
    let words: Vec<String> = [command.get_program()]
        .into_iter()
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--command",
        &words.join(" "),
        "/dev/null",
    ]);
    script
        .env("SHELL", "/bin/sh")
        .current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    Run::from(child.wait_with_output().unwrap()).code(code)
}

/// A hosts file that its user may not change, and a `sudo` that takes notes, does `before`, and then lets it happen.
struct Guarded {
    machine: Machine,
    program: PathBuf,
    notes: PathBuf,
}

impl Guarded {
    fn new(text: &str, sudo: &str) -> Guarded {
        let machine = Machine::new(text);
        let root = machine.checkout.root().to_path_buf();
        // Where the user of the tests may not go is no place for another user's program.
        let program = root.join("xtask");
        install(Path::new(env!("CARGO_BIN_EXE_xtask")), &program);
        let bin = root.join("bin");
        fs::create_dir(&bin).unwrap();
        let notes = root.join("notes");
        let script = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$@\" >> '{}'\n[ \"$1\" != -n ] || shift\ncd '{}'\n{sudo}\n",
            notes.display(),
            machine.folder.display()
        );
        fs::write(root.join("sudo"), script).unwrap();
        install(&root.join("sudo"), &bin.join("sudo"));
        fs::create_dir(root.join("state")).unwrap();
        if is_root() {
            let status = Command::new("chown")
                .args(["--recursive", "65534:65534"])
                .arg(&root)
                .status()
                .unwrap();
            assert!(status.success());
        }
        fs::set_permissions(&machine.folder, fs::Permissions::from_mode(0o555)).unwrap();
        Guarded {
            machine,
            program,
            notes,
        }
    }

    /// As an ordinary user, whoever runs the tests.
    fn command(&self, arguments: &[&str]) -> Command {
        let inner = self.machine.command(arguments);
        let mut command = Command::new(&self.program);
        command
            .args(inner.get_args())
            .current_dir(self.machine.checkout.root())
            .stdin(Stdio::null());
        for (name, value) in inner.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let path = format!(
            "{}:{}",
            self.machine.checkout.root().join("bin").display(),
            std::env::var("PATH").unwrap()
        );
        command.env("PATH", path);
        if is_root() {
            command.uid(65534).gid(65534);
        }
        command
    }

    fn notes(&self) -> Vec<String> {
        fs::read_to_string(&self.notes)
            .unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = fs::set_permissions(&self.machine.folder, fs::Permissions::from_mode(0o755));
    }
}

/// Copies a program by another process: no test that forks at this instant can hold it open, which would
/// keep it from being run.
fn install(from: &Path, to: &Path) {
    assert!(
        Command::new("install")
            .args(["--mode", "755"])
            .args([from, to])
            .status()
            .unwrap()
            .success()
    );
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

const ALLOWS: &str = "chmod 755 .; \"$@\"; code=$?; chmod 555 .; exit $code";

#[test]
fn the_privileged_step_is_one_sudo_with_absolute_paths() {
    let guarded = Guarded::new(USERS, ALLOWS);
    Run::of(&mut guarded.command(&["--yes"]))
        .success()
        .says("copy of")
        .says("now maps");
    assert_eq!(guarded.machine.read(), USERS.to_owned() + BLOCK);
    let program = fs::canonicalize(&guarded.program).unwrap();
    let file = fs::canonicalize(&guarded.machine.file).unwrap();
    let step = [
        "-n",
        program.to_str().unwrap(),
        "hosts-as-root",
        "--file",
        file.to_str().unwrap(),
    ];
    assert_eq!(
        guarded.notes(),
        [&step[..], &["analytics.local", "errors.local"]].concat()
    );
    // Nothing to do is nothing asked.
    Run::of(&mut guarded.command(&["--yes"])).success();
    Run::of(&mut guarded.command(&["--check"])).success();
    assert_eq!(guarded.notes().len(), 7);

    Run::of(&mut guarded.command(&["--yes", "--remove"])).success();
    assert_eq!(guarded.machine.read(), USERS);
    assert_eq!(guarded.notes()[7..], step);
    assert_eq!(guarded.machine.copies().len(), 2);
}

#[test]
fn a_refused_sudo_is_exit_code_3_and_the_command_to_run_by_hand() {
    let guarded = Guarded::new(USERS, "echo 'sudo: a password is required' >&2; exit 1");
    let run = Run::of(&mut guarded.command(&["--yes"]))
        .code(3)
        .says("sudo: a password is required");
    assert_eq!(guarded.machine.read(), USERS);
    let by_hand = run
        .stderr
        .split("run: sudo ")
        .nth(1)
        .unwrap()
        .trim_end()
        .to_owned();
    fs::set_permissions(&guarded.machine.folder, fs::Permissions::from_mode(0o755)).unwrap();
    Run::of(Command::new("sh").args(["-c", &by_hand])).success();
    assert_eq!(
        guarded.machine.read(),
        USERS.to_owned() + BLOCK,
        "the command does not do it"
    );

    let empty = guarded.machine.checkout.root().join("empty");
    let guarded = Guarded::new(USERS, ALLOWS);
    Run::of(guarded.command(&["--yes"]).env("PATH", &empty))
        .code(3)
        .says("run: sudo ");
}

#[test]
fn the_privileged_step_repeats_the_checks() {
    let meanwhile = "echo 10.0.0.1 errors.local >> hosts; ".to_owned();
    let guarded = Guarded::new(USERS, &(meanwhile + ALLOWS));
    Run::of(&mut guarded.command(&["--yes"]))
        .code(1)
        .says("line 4 maps errors.local to 10.0.0.1");
    assert_eq!(
        guarded.machine.read(),
        USERS.to_owned() + "10.0.0.1 errors.local\n"
    );

    let machine = Machine::new(USERS);
    let file = machine.file.to_str().unwrap();
    machine
        .checkout
        .xtask(&["hosts-as-root", "--file", file, "a\n10.0.0.1 evil"])
        .code(1);
    machine.is_untouched(USERS);
}

#[test]
fn on_a_terminal_sudo_may_ask() {
    let guarded = Guarded::new(USERS, ALLOWS);
    let mut command = guarded.command(&[]);
    let mut outer = Command::new("setpriv");
    if is_root() {
        outer.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    outer
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(guarded.machine.checkout.root());
    outer.envs(
        command
            .env("TERM", "dumb")
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    on_terminal(&mut outer, "y\n", 0);
    assert_eq!(guarded.notes()[1], "hosts-as-root", "{:?}", guarded.notes());
    assert_eq!(guarded.machine.read(), USERS.to_owned() + BLOCK);
}

/// A script as root with mounts of its own. `$X` is the xtask, `$D` the folder of the hosts file.
fn with_own_mounts(machine: &Machine, script: &str) -> Run {
    assert!(is_root(), "this test needs root: it mounts");
    let mut command = machine.checkout.command("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-eu",
        "-c",
        script,
    ]);
    command
        .env("X", env!("CARGO_BIN_EXE_xtask"))
        .env("D", &machine.folder);
    command
        .env("XDG_STATE_HOME", machine.checkout.root().join("state"))
        .current_dir(machine.checkout.root());
    Run::of(&mut command)
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_leaves_the_file_untouched() {
    let machine = Machine::new(USERS);
    let script = r#"
        mount -t tmpfs -o size=64k tmpfs "$D"
        # The first bytes of the block find a place in the last page, the others do not.
        { head -c 8149 /dev/zero | tr '\0' x; echo; } > before
        cp before "$D/hosts"; cp before "$D/mounted"
        cat /dev/zero > "$D/filler" 2>/dev/null || true
        # A mount point is written in place, which is undone.
        touch mounted; mount --bind "$D/mounted" mounted
        for file in "$D/hosts" mounted; do
            code=0; "$X" hosts --file "$file" --yes || code=$?
            test $code = 1
            cmp "$file" before
        done
        test "$(ls -A "$D" | tr '\n' ' ')" = "filler hosts mounted "
    "#;
    let run = with_own_mounts(&machine, script)
        .success()
        .says("its disk is full");
    assert_eq!(
        run.stderr.matches("its disk is full").count(),
        2,
        "{}",
        run.stderr
    );
}

#[test]
#[ignore = "needs root"]
fn a_read_only_file_system_is_named() {
    let machine = Machine::new(USERS);
    let script = r#"
        mount --bind "$D" "$D"; mount -o remount,bind,ro "$D"
        code=0; "$X" hosts --file "$D/hosts" --yes || code=$?
        test $code = 1
    "#;
    with_own_mounts(&machine, script)
        .success()
        .says("it is on a read-only file system");
    machine.is_untouched(USERS);
}

#[test]
#[ignore = "needs root"]
fn an_immutable_file_is_named() {
    let machine = Machine::new(USERS);
    let chattr =
        |flag: &str| Run::of(Command::new("chattr").arg(flag).arg(&machine.file)).success();
    chattr("+i");
    let run = machine.hosts(&["--yes"]);
    chattr("-i");
    run.code(1).says("it is immutable").says("chattr");
    assert_eq!(machine.read(), USERS);
    assert_eq!(machine.names_in_folder(), ["hosts"]);
}

#[test]
#[ignore = "needs root"]
fn a_bind_mounted_file_is_written_in_place() {
    let machine = Machine::new(USERS);
    let script = r#"
        cp "$D/hosts" real; mount --bind real "$D/hosts"
        "$X" hosts --file "$D/hosts" --yes
        "$X" hosts --file "$D/hosts" --check
        echo "10.0.0.2 below" >> real
        "$X" hosts --file "$D/hosts" --remove --yes

        # As in `docker run --read-only`: the folder is read-only, the file is not.
        mkdir ro; touch ro/hosts; mount --bind ro ro; mount -o remount,bind,ro ro; mount --bind real ro/hosts
        "$X" hosts --file ro/hosts --yes
    "#;
    with_own_mounts(&machine, script).success();
    let real = fs::read_to_string(machine.checkout.root().join("real")).unwrap();
    assert_eq!(real, USERS.to_owned() + "10.0.0.2 below\n" + BLOCK);
    machine.names_in_folder();
    assert_eq!(machine.copies().len(), 2);
}

#[test]
#[ignore = "needs root"]
fn owner_and_group_survive() {
    assert!(is_root(), "this test needs root: it gives a file away");
    let machine = Machine::new(USERS);
    std::os::unix::fs::chown(&machine.file, Some(1234), Some(2345)).unwrap();
    machine.hosts(&["--yes"]).success();
    let metadata = fs::metadata(&machine.file).unwrap();
    assert_eq!((metadata.uid(), metadata.gid()), (1234, 2345));
}

#[test]
#[ignore = "needs root"]
fn as_root_it_works_on_this_machines_own_hosts_file() {
    let machine = Machine::new(USERS);
    let script = r#"
        # A folder that is ours, where rename works; then a mount point, as in a container.
        for kind in folder file; do
            if [ $kind = folder ]; then cp -a /etc own-etc; mount --bind own-etc /etc
            else cp /etc/hosts own-hosts; mount --bind own-hosts /etc/hosts; fi
            cp -a /etc/hosts before
            ! "$X" hosts --check
            "$X" hosts --yes
            getent ahosts analytics.local | grep -q 127.0.0.1
            getent ahosts errors.local | grep -q ::1
            "$X" hosts --check
            "$X" hosts
            "$X" hosts --remove --yes
            ! "$X" hosts --check
            cmp /etc/hosts before
            test "$(stat -c '%a %u %g' /etc/hosts)" = "$(stat -c '%a %u %g' before)"
        done
    "#;
    let before = fs::read("/etc/hosts").unwrap();
    let run = with_own_mounts(&machine, script).success();
    assert_eq!(
        run.stdout
            .matches("the system's resolver: 127.0.0.1, ::1")
            .count(),
        4,
        "{}",
        run.stdout
    );
    assert_eq!(
        fs::read("/etc/hosts").unwrap(),
        before,
        "it got out of its mount namespace"
    );
}
