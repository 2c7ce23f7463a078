//! The command line: suggestions, exit codes, engines that are not there.

use std::fs;

use crate::checkout::{Checkout, Run};

#[test]
fn wrong_usage_gets_a_suggestion_and_exit_code_2() {
    let cases: [(&[&str], &str); 4] = [
        (&["statsu"], "'status'"),
        (&["logs", "umamy"], "'umami'"),
        (&["restart", "redsi"], "'redis'"),
        (&["up", "--timeuot", "3"], "'--timeout'"),
    ];
    for (arguments, suggestion) in cases {
        Checkout::new().xtask(arguments).code(2).says(suggestion);
    }
}

#[test]
fn help_names_every_command_on_stdout() {
    let help = Checkout::new().xtask(&["--help"]).success().stdout;
    for command in [
        "setup", "up", "down", "restart", "logs", "status", "clean", "hosts", "ci",
    ] {
        assert!(
            help.lines()
                .any(|line| line.trim_start().starts_with(command)),
            "no {command} in\n{help}"
        );
    }
}

#[test]
fn works_from_any_folder_of_the_checkout() {
    let checkout = Checkout::new();
    let mut command = checkout.xtask_command(&["setup"]);
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .current_dir(checkout.path(""));
    Run::of(&mut command).success();
    assert!(checkout.path(".env").is_file());
}

#[test]
fn outside_a_checkout_it_says_where_to_go() {
    let checkout = Checkout::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = checkout.xtask_command(&["status"]);
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .current_dir(elsewhere.path());
    Run::of(&mut command).code(1).says("inside the checkout");
}

#[test]
fn a_closed_stdout_is_no_error() {
    let checkout = Checkout::new();
    let script = format!(
        "'{}' --help | true; '{0}' setup | true",
        env!("CARGO_BIN_EXE_xtask")
    );
    let mut command = checkout.command("bash");
    Run::of(command.args(["-c", &format!("set -o pipefail; {script}")])).success();
}

#[test]
fn a_missing_docker_is_named_with_the_remedy() {
    let checkout = Checkout::new();
    let empty = tempfile::tempdir().unwrap();
    let run = Run::of(checkout.xtask_command(&["up"]).env("PATH", empty.path())).code(1);
    run.says("docker is not installed").says("install");
}

/// Variables of the shell that no docker command of ours may see.
const NOT_FOR_CHILDREN: [&str; 18] = [
    "POSTGRES_PASSWORD",
    "UMAMI_IMAGE",
    "COMPOSE_ANSI",
    "COMPOSE_COMPATIBILITY",
    "COMPOSE_CONVERT_WINDOWS_PATHS",
    "COMPOSE_DISABLE_ENV_FILE",
    "COMPOSE_ENV_FILES",
    "COMPOSE_EXPERIMENTAL",
    "COMPOSE_FILE",
    "COMPOSE_IGNORE_ORPHANS",
    "COMPOSE_MENU",
    "COMPOSE_PATH_SEPARATOR",
    "COMPOSE_PROFILES",
    "COMPOSE_PROGRESS",
    "COMPOSE_REMOVE_ORPHANS",
    "COMPOSE_STATUS_STDOUT",
    "COMPOSE_WHATEVER_COMES_NEXT",
    "DOCKER_DEFAULT_PLATFORM",
];

#[test]
fn verbose_shows_commands_and_the_child_sees_only_our_environment() {
    let checkout = Checkout::new();
    let folder = checkout.root().join("fake");
    let seen = folder.join("seen");
    fs::create_dir_all(&folder).unwrap();
    let script = format!(
        "#!/bin/sh\nenv >> '{}'\necho \"pwd=$PWD\" >> '{0}'\nexit 1\n",
        seen.display()
    );
    fs::write(folder.join("docker"), script).unwrap();
    #[cfg(unix)]
    std::process::Command::new("chmod")
        .arg("+x")
        .arg(folder.join("docker"))
        .status()
        .unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = checkout.xtask_command(&["--verbose", "up"]);
    for name in NOT_FOR_CHILDREN {
        command.env(name, "from-the-shell");
    }
    let run = Run::of(command.env("PATH", path))
        .code(1)
        .says("$ docker compose config");
    let seen = fs::read_to_string(seen).unwrap();
    assert!(!seen.contains("from-the-shell"), "{seen}");
    assert!(
        seen.contains(&format!("COMPOSE_PROJECT_NAME={}", checkout.project)),
        "{seen}"
    );
    assert!(
        !run.stderr.contains(&checkout.variable("POSTGRES_PASSWORD")),
        "a secret was printed"
    );
}

#[test]
fn clean_refuses_without_a_terminal() {
    // What it would delete must be known first, so the engine is asked; the answer here is a refusal.
    let checkout = Checkout::new();
    let (path, notes) = checkout.note_taking_docker();
    Run::of(checkout.xtask_command(&["clean"]).env("PATH", path)).code(1);
    let notes = fs::read_to_string(notes).unwrap();
    assert!(!notes.contains("down"), "it went on to delete:\n{notes}");
}
