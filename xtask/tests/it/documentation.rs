//! What a user would type from the documentation works as it is written there.
//!
//! `PLAN` says of each command line in the code blocks of both READMEs what a test does with it; a new one
//! fails until it is in the plan, and one that is gone from the documents fails until it leaves the plan.

pub mod markdown;
#[cfg(unix)]
mod walk;

use std::collections::BTreeSet;

use self::markdown::{Block, blocks, spans, table_commands};
use crate::checkout::{Checkout, Run};

/// The documents, in the order in which a newcomer reads them.
const DOCUMENTS: [&str; 2] = ["README.md", "deploy/analytics/README.md"];

/// What a test does with a command line.
#[derive(Clone, Copy)]
enum Fate {
    /// It is run as it stands.
    Runs,
    /// It is run with this in its place: a test has no terminal to answer questions at, and places of its own.
    RunsAs(&'static str),
    /// Another test runs it, or what it says.
    In(&'static str),
    /// It cannot run in a test, for this reason.
    Cannot(&'static str),
}
use Fate::{Cannot, In, Runs, RunsAs};

const PLAN: &[(&str, Fate)] = &[
    ("cargo xtask up", Runs),
    ("cargo xtask ci", Cannot("it is what runs this test")),
    ("cargo xtask verify", Runs),
    ("cargo xtask connect", Runs),
    (
        "cargo xtask connect --format env > ../site/.env.local",
        Runs,
    ),
    ("cargo xtask status", Runs),
    (
        "cargo xtask hosts",
        RunsAs("cargo xtask hosts --file {hosts} --yes"),
    ),
    (
        "cargo xtask hosts --remove",
        RunsAs("cargo xtask hosts --remove --file {hosts} --yes"),
    ),
    (
        "cargo xtask hosts --check",
        Cannot(
            "it asks the resolver, which reads the hosts file of the machine; the tests of `hosts` do",
        ),
    ),
    (
        "docker compose run --rm --env SET_ADMIN_PASSWORD=1 umami-accounts",
        Runs,
    ),
    (
        "docker compose run --rm --env SET_ADMIN_PASSWORD=1 glitchtip-migrate",
        Runs,
    ),
    ("cd deploy/analytics", Runs),
    ("cp .env.example .env", Runs),
    ("chmod 600 .env", Runs),
    ("$EDITOR .env", Runs),
    ("docker compose up --detach", Runs),
    ("cargo xtask backup", Runs),
    ("cargo xtask backup --list", Runs),
    (
        "docker volume create broken",
        Cannot("it is for the files of a broken store, which this one is not; `stores` breaks one"),
    ),
    (
        "tar -xOf FILE postgres_data.tar | docker run --rm -i -v broken:/data --entrypoint tar postgres:15-alpine -xf - -C /data",
        Cannot("it is for the files of a broken store, which this one is not; `stores` breaks one"),
    ),
    (
        "cargo xtask restore FILE",
        RunsAs("cargo xtask restore {backup} --yes"),
    ),
    (
        "git clone REPOSITORY drill && cd drill",
        Cannot("it needs the repository's address; a second checkout stands in for the clone"),
    ),
    (
        "cargo xtask restore ~/analytics-2026-11-22T19-01-23Z.tar",
        RunsAs("cargo xtask restore {backup} --yes"),
    ),
    (
        "cargo xtask clean --no-backup",
        RunsAs("cargo xtask clean --no-backup --yes"),
    ),
    ("cargo xtask backup --with-env --output ~", Runs),
    (
        "cargo xtask restore ~/analytics-….tar",
        RunsAs("cargo xtask restore ~/*.tar --yes"),
    ),
    (
        "systemctl --user daemon-reload",
        Cannot("it needs a session of systemd; `nightly` runs the service's command"),
    ),
    (
        "systemctl --user enable --now analytics-backup.timer",
        Cannot("it needs a session of systemd; `nightly` runs the service's command"),
    ),
    (
        "loginctl enable-linger",
        Cannot("it needs systemd; `nightly` runs the service's command"),
    ),
    ("cargo xtask rotate", Runs),
    (
        "cargo xtask upgrade --dry-run",
        RunsAs("cargo xtask upgrade --dry-run --no-pull"),
    ),
    (
        "cargo xtask upgrade",
        RunsAs("cargo xtask upgrade --no-pull"),
    ),
    ("$EDITOR deploy/analytics/.env", In("shared_database")),
    ("cargo xtask down", In("postgres_majors")),
    (
        "docker volume rm analytics_postgres_data",
        In("postgres_majors"),
    ),
];

/// Blocks that hold no command, by their first line, and who reads them.
const CONTENTS: &[(&str, &str)] = &[
    ("15 3 * * *", "nightly"),
    ("[Unit]", "nightly"),
    (
        "UMAMI_URL=",
        "nobody: a public name needs a machine that others reach",
    ),
    ("POSTGRES_IMAGE=", "postgres_majors"),
    ("POSTGRES_HOST=", "shared_database, which sets the same"),
    ("CREATE ROLE", "shared_database, which creates the same"),
    ("volumes:", "postgres_majors"),
    (
        "  127.0.0.1:5000/",
        "the tests of pulls, which draw the same",
    ),
    ("{", "the tests of `--json`"),
    (
        "networks:",
        "nobody: it is for the Compose file of another project",
    ),
];

/// What may begin a line that is typed.
const PROGRAMS: &[&str] = &[
    "cargo",
    "docker",
    "git",
    "tar",
    "cd",
    "cp",
    "chmod",
    "$EDITOR",
    "systemctl",
    "loginctl",
    "crontab",
    "sudo",
];

#[test]
fn every_command_of_the_documentation_is_in_the_plan_and_every_block_is_known() {
    let mut seen = BTreeSet::new();
    for (document, block) in all_blocks() {
        if block.is_content(PROGRAMS) {
            let first = &block.lines[0];
            let is_known = CONTENTS.iter().any(|(start, _)| first.starts_with(start));
            assert!(
                is_known,
                "{document}: nothing reads the block that begins with {first:?}"
            );
            continue;
        }
        for line in block.typed(PROGRAMS) {
            assert!(
                fate(&line.command).is_some(),
                "{document}, {:?}: what is to be done with {:?}?",
                block.section,
                line.command
            );
            seen.insert(line.command);
        }
    }
    for (command, _) in PLAN {
        assert!(
            seen.contains(*command),
            "no document has {command:?} any more"
        );
    }
}

#[test]
fn every_command_of_ours_in_the_documentation_parses() {
    let checkout = Checkout::new();
    let blocks = all_blocks();
    let typed = blocks.iter().flat_map(|(_, block)| block.typed(PROGRAMS));
    let mut commands: BTreeSet<String> = typed.flat_map(|line| ours(&line.command)).collect();
    for document in DOCUMENTS {
        let text = markdown::read(document);
        commands.extend(spans(&text).iter().flat_map(|span| ours(span)));
        commands.remove("…");
        commands.extend(table_commands(&text));
    }
    assert!(commands.len() > 30, "so few commands: {commands:?}");
    for command in commands {
        let mut arguments: Vec<String> = command.split_whitespace().map(real).collect();
        arguments.push("--help".to_owned());
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let Run { code, stderr, .. } = checkout.xtask(&arguments);
        assert_eq!(code, Some(0), "cargo xtask {command}\n{stderr}");
    }
}

#[test]
fn the_table_of_commands_has_a_row_for_each() {
    let help = Checkout::new().xtask(&["--help"]).success().stdout;
    let commands = help
        .split("Commands:")
        .nth(1)
        .unwrap()
        .split("Options:")
        .next()
        .unwrap();
    let of_help = commands
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let of_table = table_commands(&markdown::read("README.md"));
    for command in of_help.filter(|command| *command != "help") {
        let has_row = of_table
            .iter()
            .any(|row| row.split(' ').next() == Some(command));
        assert!(has_row, "README.md has no row for {command}");
    }
}

fn fate(command: &str) -> Option<Fate> {
    let found = PLAN.iter().find(|(known, _)| *known == command);
    found.map(|(_, fate)| *fate)
}

fn all_blocks() -> Vec<(&'static str, Block)> {
    let of = |document| {
        blocks(&markdown::read(document))
            .into_iter()
            .map(move |block| (document, block))
    };
    DOCUMENTS.into_iter().flat_map(of).collect()
}

/// The arguments of each `cargo xtask …` in a line of shell.
fn ours(line: &str) -> Vec<String> {
    let commands = line
        .split("&&")
        .map(|command| command.split('>').next().unwrap_or_default());
    let arguments = commands.filter_map(|command| command.trim().strip_prefix("cargo xtask "));
    arguments
        .map(|arguments| arguments.trim().to_owned())
        .collect()
}

/// A word that stands for what the user puts there, as something that parses.
fn real(word: &str) -> String {
    match word {
        "SECONDS" | "N" => "3",
        "D" => "10m",
        "SERVICE" | "SERVICE…" => "redis",
        "KEY" | "KEY…" => "UMAMI_APP_SECRET",
        other => other,
    }
    .to_owned()
}
