//! Every remedy can be typed as it stands: what stands in backquotes, in the code's messages and in
//! `failures.yml`, is a command that exists, or no command at all.

use std::fs;
use std::path::Path;

use clap::CommandFactory;

use crate::checkout::repository;

#[path = "../../src/cli.rs"]
#[expect(dead_code, reason = "only the definition of the command line is used")]
mod cli;

/// Programs that a message may tell the user to run.
const PROGRAMS: &[&str] = &[
    "apt-get",
    "brew",
    "cd",
    "chcon",
    "chmod",
    "chown",
    "colima",
    "date",
    "echo",
    "dnf",
    "docker",
    "getenforce",
    "git",
    "id",
    "ip",
    "kill",
    "ln",
    "ls",
    "mkdir",
    "mv",
    "newgrp",
    "open",
    "orb",
    "pacman",
    "psql",
    "rm",
    "rmdir",
    "sh",
    "ssh",
    "sudo",
    "systemctl",
    "tee",
    "unset",
    "xattr",
    "cargo",
    "cp",
    "chattr",
];

/// Words that stand for something the user has to fill in.
const PLACEHOLDERS: &[&str] = &[" its ", "FILE", "NAME", "…", "<", "its image"];

#[test]
fn a_command_in_backquotes_can_be_typed() {
    let mut wrong = Vec::new();
    let mut commands = 0;
    for (place, span) in spans() {
        let is_command = span.contains(' ') && span.starts_with(|c: char| c.is_ascii_lowercase());
        if !is_command {
            continue;
        }
        commands += 1;
        let mut parts = span.split(" | ").flat_map(|part| part.split(" && "));
        if let Some(why) = parts.find_map(what_is_wrong) {
            wrong.push(format!("{place}: `{span}`: {why}"));
        }
    }
    assert!(commands > 100, "only {commands} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn what_is_wrong(span: &str) -> Option<String> {
    if let Some(placeholder) = PLACEHOLDERS.iter().find(|it| span.contains(**it)) {
        return Some(format!("{placeholder:?} cannot be typed"));
    }
    let program = span.split_whitespace().next().unwrap_or_default();
    if !PROGRAMS.contains(&program) {
        return Some(format!("{program} is no known program"));
    }
    let ours = span.strip_prefix("cargo xtask ")?;
    let words = std::iter::once("xtask").chain(ours.split_whitespace());
    let parsed = cli::Cli::command().try_get_matches_from(words);
    let error = parsed.err().filter(|error| error.use_stderr())?;
    Some(
        error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned(),
    )
}

#[test]
fn a_remedy_that_cannot_be_typed_is_found() {
    let check = |span: &str| what_is_wrong(span).is_some();
    for wrong in [
        "docker pull its image",
        "cargo xtask restore",
        "cargo xtask restore FILE",
        "cargo xtask up --fast",
        "cargo xtask mend",
        "dokcer ps",
    ] {
        assert!(check(wrong), "{wrong}");
    }
    for good in [
        "docker ps --all",
        "cargo xtask restore deploy/analytics/backups/a.tar",
        "cargo xtask up --timeout 600",
        "cargo xtask --help",
    ] {
        assert!(!check(good), "{good}");
    }
}

#[test]
fn a_name_in_the_backquotes_of_a_rule_is_in_every_line_that_it_knows() {
    let names = |text: &str| -> Vec<String> {
        let inside = text
            .split('{')
            .skip(1)
            .filter_map(|it| it.split('}').next());
        inside
            .map(|it| it.split(':').next().unwrap().to_owned())
            .collect()
    };
    for rule in rules() {
        let seen: Vec<String> = rule["seen"]
            .as_sequence()
            .unwrap()
            .iter()
            .flat_map(|it| it.as_mapping().unwrap().values())
            .map(|it| it.as_str().unwrap().to_owned())
            .collect();
        for part in ["cause", "remedy"] {
            for span in code_spans(rule[part].as_str().unwrap()) {
                for name in names(&span) {
                    let is_known = seen.iter().all(|line| names(line).contains(&name));
                    assert!(is_known, "{name} in `{span}` may not be known");
                }
            }
        }
    }
}

fn rules() -> Vec<serde_yaml::Value> {
    let path = repository().join("xtask/src/diagnosis/failures.yml");
    serde_yaml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// Everything in backquotes that the code and the rules say, with its place. A number stands for what is
/// filled in.
fn spans() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let root = repository().join("xtask/src");
    collect(&root, &mut |path, text| {
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        for literal in literals(code) {
            for span in code_spans(&literal) {
                let place = path.strip_prefix(&root).unwrap().display().to_string();
                found.push((place, filled(&span)));
            }
        }
    });
    for rule in rules() {
        for part in ["cause", "remedy"] {
            let spans = code_spans(rule[part].as_str().unwrap());
            found.extend(
                spans
                    .iter()
                    .map(|it| ("failures.yml".to_owned(), filled(it))),
            );
        }
    }
    found
}

fn code_spans(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn filled(span: &str) -> String {
    let mut filled = String::new();
    let mut rest = span;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        filled.push('7');
        rest = after.split_once('}').map_or("", |(_, rest)| rest);
    }
    filled + rest
}

/// The string literals of some code, a line that is continued as one.
fn literals(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in joined(code).lines() {
        let line = line.trim_start();
        if line.starts_with("//") || line.starts_with("#[") {
            continue;
        }
        let unescaped = line.replace("\\\"", "\u{1}");
        let texts = unescaped.split('"').skip(1).step_by(2);
        found.extend(texts.map(|text| text.replace('\u{1}', "\"")));
    }
    found
}

/// Without the line breaks of literals that go on on the next line.
fn joined(code: &str) -> String {
    let mut joined = String::new();
    let mut lines = code.lines();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        while line.ends_with('\\') {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        joined.push_str(&line);
        joined.push('\n');
    }
    joined
}

fn collect(folder: &Path, each: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, each);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            each(&path, &fs::read_to_string(&path).unwrap());
        }
    }
}
