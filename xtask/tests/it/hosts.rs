//! `hosts` on real files: nothing is lost, whoever else writes, whenever it is killed, whatever the disk does.

mod as_root;
mod elevated;
mod load;
mod outputs;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::checkout::{Checkout, Run};

const BLOCK: &str = "# >>> cargo xtask hosts >>>\n127.0.0.1 analytics.local errors.local\n\
                     ::1 analytics.local errors.local\n# <<< cargo xtask hosts <<<\n";
const USERS: &str = "127.0.0.1\tlocalhost\n# mine\n10.0.0.1 nas # tab\n";

/// What cloud-init writes on top of a hosts file.
const CLOUD_INIT: &str = "# Your system has configured 'manage_etc_hosts' as True.\n\
                          # As a result, if you wish for changes to this file to persist\n\
                          # then you will need to either\n\
                          # a.) make changes to the master file in /etc/cloud/templates/hosts.debian.tmpl\n";

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
        .says("keeping a copy of");
    assert_eq!(machine.read(), USERS.to_owned() + BLOCK);
    let check = machine.hosts(&["--check"]).success().stdout;
    assert!(
        check.contains("analytics.local resolves to this machine")
            && check.contains("127.0.0.1 (line 5)"),
        "{check}"
    );

    let before = fs::metadata(&machine.file).unwrap();
    machine
        .hosts(&[])
        .success()
        .says("already up to date")
        .says("(line 5, 6)");
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
    machine
        .hosts(&["--remove"])
        .success()
        .says("already up to date");
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
            "line 2 begins a block",
        ),
        ("# <<< cargo xtask hosts <<<\n", "line 1 ends a block"),
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
fn a_file_that_cloud_init_writes_anew_is_changed_with_a_warning_before() {
    let machine = Machine::new(&(CLOUD_INIT.to_owned() + USERS));
    let run = machine.hosts(&["--yes"]).success();
    let place = |text: &str| {
        run.stderr
            .find(text)
            .unwrap_or_else(|| panic!("{}", run.stderr))
    };
    assert!(
        place("rewrites") < place("keeping a copy"),
        "{}",
        run.stderr
    );
    place("`cargo xtask hosts --print | sudo tee -a /etc/cloud/templates/hosts.debian.tmpl`");
    assert_eq!(machine.read(), CLOUD_INIT.to_owned() + USERS + BLOCK);
    // Who has not typed it is told again.
    let again = machine.hosts(&["--yes"]).success();
    again
        .says("already up to date")
        .says("will be lost at the next boot");
}

#[test]
fn a_public_name_is_left_to_dns() {
    let machine = Machine::new(USERS);
    machine.checkout.write(
        ".env",
        "UMAMI_HOSTNAME=stats.example.com\nGLITCHTIP_DOMAIN=https://errors.local\n",
    );
    let check = machine.hosts(&["--check"]).code(1).stdout;
    let line = |name: &str| check.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(
        !line("stats.example.com").contains("cargo xtask hosts"),
        "{check}"
    );
    assert!(
        line("errors.local").contains("run `cargo xtask hosts`"),
        "{check}"
    );
}

#[test]
fn a_public_address_of_umami_stands_for_its_hostname() {
    let machine = Machine::new(USERS);
    machine.checkout.write(
        ".env",
        "UMAMI_HOSTNAME=analytics.local\nUMAMI_URL=https://stats.example.com:8443/\n\
         GLITCHTIP_DOMAIN=https://errors.example.com\n",
    );
    let check = machine.hosts(&["--check"]).code(1).stdout;
    assert!(check.contains("stats.example.com does not"), "{check}");
    assert!(!check.contains("analytics.local"), "{check}");
    assert!(!check.contains("cargo xtask hosts"), "{check}");
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

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
