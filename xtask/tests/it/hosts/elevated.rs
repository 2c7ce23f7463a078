//! A hosts file that its user may not change: the step that runs as root.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{BLOCK, Machine, USERS, is_root, on_terminal};
use crate::checkout::Run;

/// A hosts file that its user may not change, and a `sudo` that takes notes, does `before`, and then lets it happen.
pub struct Guarded {
    pub machine: Machine,
    program: PathBuf,
    notes: PathBuf,
}

impl Guarded {
    pub fn new(text: &str, sudo: &str) -> Guarded {
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
    pub fn command(&self, arguments: &[&str]) -> Command {
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

const ALLOWS: &str = "chmod 755 .; \"$@\"; code=$?; chmod 555 .; exit $code";

#[test]
fn the_privileged_step_is_one_sudo_with_absolute_paths() {
    let guarded = Guarded::new(USERS, ALLOWS);
    Run::of(&mut guarded.command(&["--yes"]))
        .success()
        .says("keeping a copy of")
        .says("it maps analytics.local and errors.local to this machine");
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
        .split_once("hint: run `sudo ")
        .and_then(|(_, rest)| rest.trim_end().strip_suffix('`'))
        .unwrap()
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
        .says("hint: run `sudo ");
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

#[test]
#[ignore = "needs root"]
fn a_folder_for_copies_that_root_made_is_named_with_the_command_that_gives_it_back() {
    assert!(is_root(), "this test needs root: it makes a folder as root");
    let guarded = Guarded::new(USERS, ALLOWS);
    let state = guarded.machine.checkout.root().join("state");
    fs::create_dir(state.join("analytics-xtask")).unwrap();
    let run = Run::of(&mut guarded.command(&["--yes"])).code(1);
    assert_eq!(guarded.machine.read(), USERS);
    let command = run.stderr.split('`').nth(1).unwrap();
    assert!(
        command.starts_with("sudo chown -R \"$(id -u):$(id -g)\" "),
        "{command}"
    );
    let as_user = command
        .replace("sudo ", "")
        .replace("$(id -u):$(id -g)", "65534:65534");
    Run::of(Command::new("sh").args(["-c", &as_user])).success();
    Run::of(&mut guarded.command(&["--yes"])).success();
    assert_eq!(guarded.machine.read(), USERS.to_owned() + BLOCK);
}
