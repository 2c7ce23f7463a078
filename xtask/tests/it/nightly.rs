//! The backup of every night, as deploy/analytics/README.md tells to set it up: in the bare environment that
//! cron and systemd give to what they start.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::checkout::{Checkout, Run};
use crate::documentation::markdown::{Block, blocks, read};
use crate::shared;

const SCHEDULE: &str = "15 3 * * *";

#[test]
#[ignore = "starts containers"]
fn the_line_for_cron_makes_backups_and_keeps_the_newest() {
    let stack = shared::stack();
    let machine = Machine::new(&stack);
    for _ in 0..3 {
        let run = machine.cron(&line()).success();
        assert_eq!(run.stdout + &run.stderr, "", "cron would mail a success");
    }
    machine.has_kept_two_backups();
    let log = fs::read_to_string(machine.home.path().join("analytics-backup.log")).unwrap();
    assert!(log.contains("verified by a test restore"), "{log}");
}

#[test]
#[ignore = "starts containers"]
fn the_service_for_systemd_makes_backups_and_keeps_the_newest() {
    let stack = shared::stack();
    let machine = Machine::new(&stack);
    for _ in 0..3 {
        machine.service().success();
    }
    machine.has_kept_two_backups();
}

#[test]
fn a_backup_that_fails_at_night_is_not_silent() {
    let checkout = Checkout::new();
    let machine = Machine::new(&checkout);
    fs::write(
        checkout.root().join("deploy/analytics/.env"),
        "POSTGRES_PASSWORD='unclosed\n",
    )
    .unwrap();
    let run = machine.cron(&line()).code(1);
    assert!(
        run.stdout.contains("error: "),
        "cron has nothing to mail: {}",
        run.stdout
    );
    machine.service().code(1).says("error: ");
}

#[test]
fn a_checkout_that_is_gone_at_night_is_not_silent() {
    let checkout = Checkout::new();
    let machine = Machine::new(&checkout);
    fs::remove_file(machine.home.path().join("analytics")).unwrap();
    let run = machine.cron(&line()).code(1);
    assert!(
        run.stdout.contains("analytics"),
        "cron has nothing to mail: {}",
        run.stdout
    );
}

#[test]
fn the_line_for_cron_has_no_sign_that_cron_takes_for_a_newline() {
    assert!(!line().contains('%'), "{}", line());
}

/// `ci` says that it was not run where there is no systemd-analyze; `.ci/run` installs it.
#[test]
#[ignore = "needs systemd-analyze"]
fn systemd_has_nothing_to_say_about_the_units() {
    let checkout = Checkout::new();
    let machine = Machine::new(&checkout);
    let [service, timer] = units();
    let paths = [
        ("analytics-backup.service", service),
        ("analytics-backup.timer", timer),
    ]
    .map(|(name, text)| (machine.home.path().join(name), text));
    for (path, text) in &paths {
        fs::write(path, text).unwrap();
    }
    let mut verify = machine.bare("systemd-analyze");
    verify.env("XDG_RUNTIME_DIR", machine.home.path());
    verify
        .args(["--user", "--man=no", "verify"])
        .args(paths.map(|(path, _)| path));
    let run = Run::of(&mut verify).success();
    let ours = |line: &&str| line.contains("analytics-backup");
    assert_eq!(run.stderr.lines().find(ours), None, "{}", run.stderr);
}

/// A user's home with the checkout in it and a `cargo` where rustup puts it.
struct Machine {
    home: tempfile::TempDir,
    backups: PathBuf,
}

impl Machine {
    fn new(checkout: &Checkout) -> Machine {
        let home = tempfile::tempdir().unwrap();
        let bin = home.path().join(".cargo/bin");
        fs::create_dir_all(&bin).unwrap();
        symlink(checkout.root(), home.path().join("analytics")).unwrap();
        let backups = checkout.path("backups");
        if backups.exists() {
            fs::remove_dir_all(&backups).unwrap();
        }

        // What the tests need to reach their own stack comes with it, since the environment is bare.
        let mut script = "#!/bin/sh\nset -eu\n".to_owned();
        for (name, value) in [
            ("COMPOSE_PROJECT_NAME", Some(checkout.project.clone())),
            (
                "CARGO_MANIFEST_DIR",
                Some(checkout.root().join("xtask").display().to_string()),
            ),
            ("DOCKER_HOST", std::env::var("DOCKER_HOST").ok()),
        ] {
            if let Some(value) = value {
                script.push_str(&format!("export {name}='{value}'\n"));
            }
        }
        let xtask = env!("CARGO_BIN_EXE_xtask");
        script.push_str(&format!(
            "[ \"$1\" = xtask ]\nshift\nexec '{xtask}' \"$@\"\n"
        ));
        let cargo = bin.join("cargo");
        fs::write(&cargo, script).unwrap();
        fs::set_permissions(cargo, fs::Permissions::from_mode(0o755)).unwrap();
        Machine { home, backups }
    }

    /// A program with nothing in its environment but who the user is.
    fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("HOME", self.home.path())
            .env("USER", "me");
        command.current_dir(self.home.path()).stdin(Stdio::null());
        command
    }

    /// As cron does it: `/bin/sh -c` in the user's home, with the PATH that cron has built in.
    fn cron(&self, line: &str) -> Run {
        let mut command = self.bare("/bin/sh");
        command.env("PATH", "/usr/bin:/bin").env("SHELL", "/bin/sh");
        Run::of(command.args(["-c", line]))
    }

    /// As the user's systemd does it.
    fn service(&self) -> Run {
        let [service, _] = units();
        let home = self.home.path().to_str().unwrap();
        let text = service.replace("%h", home).replace("--keep 14", "--keep 2");
        let value = |key: &str| {
            let found = text
                .lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            found.unwrap_or_else(|| panic!("no {key} in\n{text}"))
        };
        let (variable, path) = value("Environment").split_once('=').unwrap();
        let mut words = value("ExecStart").split(' ');
        let mut command = self.bare(words.next().unwrap());
        command.args(words).env(variable, path);
        Run::of(command.current_dir(Path::new(value("WorkingDirectory"))))
    }

    #[track_caller]
    fn has_kept_two_backups(&self) {
        let files = fs::read_dir(&self.backups).unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        let names: Vec<String> = names.filter(|name| name.ends_with(".tar")).collect();
        assert_eq!(names.len(), 2, "{names:?}");
    }
}

fn nightly_blocks() -> impl Iterator<Item = Block> {
    let blocks = blocks(&read("deploy/analytics/README.md"));
    blocks
        .into_iter()
        .filter(|block| block.section == "Every night")
}

/// The command of the line for cron, which keeps two backups where the document keeps 14.
fn line() -> String {
    let mut lines = nightly_blocks().flat_map(|block| block.lines);
    let line = lines
        .find(|line| line.starts_with(SCHEDULE))
        .expect("a line for cron");
    line.trim_start_matches(SCHEDULE)
        .trim_start()
        .replace("--keep 14", "--keep 2")
}

/// The service and the timer.
fn units() -> [String; 2] {
    let units = nightly_blocks().filter(|block| block.lines[0] == "[Unit]");
    let texts: Vec<String> = units.map(|block| block.lines.join("\n") + "\n").collect();
    texts.try_into().expect("a service and a timer")
}
