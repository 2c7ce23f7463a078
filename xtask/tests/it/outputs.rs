//! The whole output of each command, as snapshots in `snapshots/`, on a docker that pretends.
//!
//! `SNAPSHOTS=overwrite cargo test --test it outputs::` takes what is printed for the new snapshots: a
//! rewording is one diff to review.

use std::process::Command;

use snapbox::{Assert, Data};

use crate::checkout::{Checkout, Run};
use crate::pretend::Pretended;

const VERBS: [&str; 17] = [
    "setup",
    "up",
    "down",
    "restart",
    "logs",
    "status",
    "connect",
    "verify",
    "backup",
    "restore",
    "rotate",
    "upgrade",
    "clean",
    "hosts",
    "doctor",
    "production",
    "ci",
];

/// Those of production.
const PRODUCTION: [&str; 21] = [
    "setup",
    "doctor",
    "deploy",
    "status",
    "logs",
    "verify",
    "rollback",
    "rotate",
    "backup",
    "restore",
    "drill",
    "import",
    "export",
    "failover",
    "nodes",
    "nodes add",
    "nodes drain",
    "nodes activate",
    "nodes replace",
    "nodes rebalance",
    "remove",
];

#[test]
fn help_of_everything() {
    let checkout = Checkout::new();
    let mut text = checkout.xtask(&["--help"]).success().stdout;
    for verb in VERBS {
        let help = checkout.xtask(&[verb, "--help"]).success().stdout;
        text.push_str(&format!("\n=== {verb}\n{help}"));
    }
    for verb in PRODUCTION {
        let words: Vec<&str> = verb.split(' ').collect();
        let help = checkout.xtask(&[&["production"], &words[..], &["--help"]].concat());
        let help = help.success().stdout;
        text.push_str(&format!("\n=== production {verb}\n{help}"));
    }
    matches(text, "help");
}

#[test]
fn a_stack_that_is_up() {
    let stack = Pretended::new();
    let verbs: [&[&str]; 9] = [
        &["up"],
        &["status"],
        &["restart", "redis"],
        &["logs", "--no-follow"],
        &["upgrade", "--no-pull"],
        &["rotate", "SITE_NAME"],
        &["backup", "--list"],
        &["clean"],
        &["down"],
    ];
    matches(outputs(&stack, &verbs), "stack-that-is-up");
}

#[test]
fn a_stack_that_is_down() {
    let stack = Pretended::new();
    stack.is_down();
    let verbs: [&[&str]; 6] = [
        &["status"],
        &["logs", "--no-follow"],
        &["down"],
        &["clean"],
        &["connect"],
        &["up"],
    ];
    matches(outputs(&stack, &verbs), "stack-that-is-down");
}

#[test]
fn wrong_usage() {
    let stack = Pretended::new();
    let verbs: [&[&str]; 5] = [
        &["statsu"],
        &["restart", "redsi"],
        &["up", "--timeout", "soon"],
        &["restore"],
        &["restore", "nowhere.tar"],
    ];
    matches(outputs(&stack, &verbs), "wrong-usage");
}

#[test]
fn no_docker_at_all() {
    let checkout = Checkout::new();
    let empty = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for verb in ["up", "status", "doctor"] {
        let mut command = checkout.xtask_command(&[verb]);
        command.env("PATH", empty.path()).env("USER", "somebody");
        text.push_str(&output(&mut command, &checkout));
    }
    matches(text, "no-docker");
}

fn outputs(stack: &Pretended, verbs: &[&[&str]]) -> String {
    verbs
        .iter()
        .map(|verb| output(&mut stack.command(verb), &stack.checkout))
        .collect()
}

/// All that a command prints, with what differs from run to run left out.
fn output(command: &mut Command, checkout: &Checkout) -> String {
    let arguments: Vec<_> = command
        .get_args()
        .map(|word| word.to_str().unwrap())
        .collect();
    let title = format!("$ cargo xtask {}", arguments.join(" "));
    let Run {
        code,
        stdout,
        stderr,
    } = Run::of(command);
    let text = format!(
        "{title}\n--- exit code {}\n--- stdout\n{stdout}--- stderr\n{stderr}\n",
        code.unwrap()
    );
    let root = checkout.root().to_str().unwrap();
    // Whether the hostnames resolve is a matter of the machine.
    let is_fixed =
        |line: &&str| !line.contains("analytics.local") && !line.contains("xtask hosts`");
    let text: String = text
        .lines()
        .filter(is_fixed)
        .map(|line| format!("{line}\n"))
        .collect();
    without_times(&text)
        .replace(root, "[ROOT]")
        .replace(&checkout.project, "[PROJECT]")
}

/// `12.3 s` and `0.12 s` become `[TIME] s`, with the blanks before them that align a column.
fn without_times(text: &str) -> String {
    let mut words = Vec::new();
    for line in text.split('\n') {
        let mut parts: Vec<String> = line.split(" s").map(str::to_owned).collect();
        let last = parts.len() - 1;
        for part in &mut parts[..last] {
            let number = part
                .trim_end_matches(|c: char| c.is_ascii_digit() || c == '.')
                .len();
            if part[number..].contains('.') {
                let before = part[..number].trim_end_matches(' ').to_owned();
                let open = if part[..number].ends_with('(') {
                    ""
                } else {
                    " "
                };
                *part = format!("{before}{open}[TIME]");
            }
        }
        words.push(parts.join(" s"));
    }
    words.join("\n")
}

#[track_caller]
fn matches(text: String, name: &str) {
    let path = crate::checkout::repository().join(format!("xtask/tests/it/snapshots/{name}.txt"));
    let expected = Data::read_from(&path, None);
    Assert::new().action_env("SNAPSHOTS").eq(text, expected);
}
