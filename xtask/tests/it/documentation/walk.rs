//! Walks through the documents on a real engine, as a newcomer would.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::markdown::Line;
use super::{Cannot, In, Runs, RunsAs};
use super::{DOCUMENTS, PROGRAMS, all_blocks, fate};
use crate::checkout::{Checkout, Run};

/// Sections of deploy/analytics/README.md whose commands are for another checkout than the first.
const ON_ANOTHER: &[&str] = &[
    "Plain Compose",
    "A restore drill",
    "Moving to another machine",
];
/// Sections whose settings other tests make.
const ELSEWHERE: &[&str] = &[
    "A PostgreSQL that is already there",
    "A new major version of PostgreSQL",
];

#[test]
#[ignore = "starts containers"]
fn the_documentation_works_as_written() {
    let mut walker = Walker::new(Checkout::with_stack());
    for (_, block) in all_blocks() {
        let section = block.section.as_str();
        if ON_ANOTHER.contains(&section) || ELSEWHERE.contains(&section) {
            continue;
        }
        walker.block(block.typed(PROGRAMS));
    }

    // What is deleted at the end of the drill is the drill's.
    let backup = walker.newest_backup();
    let mut drill = Walker::new(Checkout::with_stack());
    drill.backup = Some(backup);
    drill.block(section("A restore drill"));

    let mut moving = section("Moving to another machine");
    let there = moving.split_off(1);
    walker.block(moving);
    let mut other = Walker::new(Checkout::with_stack());
    other.home = walker.home.clone();
    other.block(there);
    assert_eq!(other.checkout.read(".env"), walker.checkout.read(".env"));
    for walker in [walker, drill, other] {
        walker.assert_all_is_right();
    }
}

#[test]
#[ignore = "starts containers"]
fn plain_compose_works_as_written() {
    let mut walker = Walker::new(Checkout::with_stack());
    walker.block(section("Plain Compose"));
    walker.assert_all_is_right();
    walker
        .checkout
        .xtask(&["up"])
        .success()
        .says("all 9 services are healthy");
    walker.checkout.xtask(&["verify"]).success();
}

fn section(name: &str) -> Vec<Line> {
    let blocks = all_blocks()
        .into_iter()
        .filter(|(_, block)| block.section == name);
    let lines: Vec<Line> = blocks
        .flat_map(|(_, block)| block.typed(PROGRAMS))
        .collect();
    assert!(
        !lines.is_empty(),
        "{DOCUMENTS:?} have no commands in a section {name:?}"
    );
    lines
}

/// Someone with a shell in a checkout.
struct Walker {
    checkout: Checkout,
    home: PathBuf,
    backup: Option<PathBuf>,
    /// All that each command has printed.
    printed: BTreeMap<String, String>,
    /// What failed, and what was shown and not printed.
    wrong: Vec<String>,
}

impl Walker {
    fn new(checkout: Checkout) -> Walker {
        let folder = |name: &str| {
            let path = checkout.root().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let home = folder("home");
        let script = |name: &str, text: String| {
            let path = folder("bin").join(name);
            fs::write(&path, format!("#!/bin/sh\nset -eu\n{text}\n")).unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        };
        let xtask = env!("CARGO_BIN_EXE_xtask");
        script(
            "cargo",
            format!("[ \"$1\" = xtask ]; shift; exec '{xtask}' \"$@\""),
        );
        // Replaces every change_this… by a secret, as a person would.
        script(
            "edit",
            r#"
            secret() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
            while grep -q 'change_this' "$1"; do
              key=$(sed -n 's/^\([A-Z_]*\)=.*change_this.*/\1/p' "$1" | head -n 1)
              case $key in
                *_ID) value=$(cat /proc/sys/kernel/random/uuid) ;;
                '') sed -i '/^#/s/change_this/replaced/' "$1"; continue ;;
                *) value=$(secret) ;;
              esac
              sed -i "s/^$key=.*/$key=$value/" "$1"
            done"#
                .to_owned(),
        );
        fs::write(folder("etc").join("hosts"), "127.0.0.1 localhost\n").unwrap();
        folder("site");
        Walker {
            checkout,
            home,
            backup: None,
            printed: BTreeMap::new(),
            wrong: Vec::new(),
        }
    }

    fn newest_backup(&self) -> PathBuf {
        if let Some(backup) = &self.backup {
            return backup.clone();
        }
        let files = fs::read_dir(self.checkout.path("backups")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let is_backup = |path: &PathBuf| path.extension().is_some_and(|it| it == "tar");
        paths
            .filter(is_backup)
            .max()
            .expect("a backup was made before")
    }

    #[track_caller]
    fn assert_all_is_right(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }

    /// Types the lines of a block: in the folder that the block's own `cd` leads to, or the stack's for
    /// `docker compose`.
    fn block(&mut self, lines: Vec<Line>) {
        let mut folder = self.checkout.root().to_path_buf();
        for line in lines {
            if let Some(path) = line.command.strip_prefix("cd ") {
                folder = folder.join(path);
                continue;
            }
            let typed = match fate(&line.command).unwrap() {
                Runs => line.command.clone(),
                RunsAs(instead) => self.with_places(instead),
                In(reason) | Cannot(reason) => {
                    println!("not run: {}: {reason}", line.command);
                    continue;
                }
            };
            let is_compose = typed.starts_with("docker compose");
            let place = if is_compose {
                self.checkout.path("")
            } else {
                folder.clone()
            };
            let printed = self.type_line(&typed, &place);
            let all = self.printed.entry(line.command.clone()).or_default();
            all.push_str(&printed);
            self.wrong.extend(missing(&line, all));
        }
    }

    fn with_places(&self, line: &str) -> String {
        let mut line = line.replace("{hosts}", "etc/hosts");
        if line.contains("{backup}") {
            line = line.replace("{backup}", &format!("'{}'", self.newest_backup().display()));
        }
        line
    }

    fn type_line(&mut self, line: &str, folder: &Path) -> String {
        let mut shell = self.checkout.command("bash");
        let path = std::env::var("PATH").unwrap();
        shell.env(
            "PATH",
            format!("{}:{path}", self.checkout.root().join("bin").display()),
        );
        shell
            .env("HOME", &self.home)
            .env("EDITOR", "edit")
            .current_dir(folder);
        // Beside the checkout are other people's files.
        let line = line.replace("../site", "site");
        let run = Run::of(shell.args(["-c", &line]));
        if run.code != Some(0) {
            self.wrong
                .push(format!("$ {line}\n{}{}", run.stdout, run.stderr));
        }
        let printed = format!("{}{}", run.stderr, run.stdout);
        let printed = printed.replace(self.checkout.root().to_str().unwrap(), "");
        printed.replace(" etc/hosts", " /etc/hosts")
    }
}

/// Says what the document shows of a command and was not printed, but for times, sizes, names and numbers.
fn missing(line: &Line, printed: &str) -> Option<String> {
    let printed: Vec<String> = printed.lines().map(plain).collect();
    let is_printed = |wanted: &String| match wanted.strip_suffix('…') {
        Some(start) => printed.iter().any(|line| line.starts_with(start)),
        None => printed.contains(wanted),
    };
    let shown = line
        .shown
        .iter()
        .filter(|shown| is_compared(shown))
        .map(|shown| plain(shown));
    let missing: Vec<String> = shown.filter(|wanted| !is_printed(wanted)).collect();
    if missing.is_empty() {
        return None;
    }
    Some(format!(
        "the document shows of `{}`:\n{}\nprinted was:\n{}\n",
        line.command,
        missing.join("\n"),
        printed.join("\n")
    ))
}

/// What differs from machine to machine or needs a terminal is not compared.
fn is_compared(shown: &str) -> bool {
    let is_of_the_machine = [
        "cargo xtask hosts`",
        "resolve",
        "Make this change?",
        "sudo",
        "keeping a copy",
    ];
    let text = shown.trim();
    !text.is_empty() && text != "…" && !is_of_the_machine.iter().any(|part| text.contains(part))
}

/// A line with one blank for many, `N` for what has a digit, `TIME` and `SIZE` for numbers with a unit.
fn plain(line: &str) -> String {
    let line = line
        .replace("analytics.local", "localhost")
        .replace("errors.local", "localhost");
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let last = words.last().cloned().unwrap_or_default();
        let unit = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        let kind = match unit {
            "s" | "ms" | "min" | "h" | "d" => "TIME",
            "B" | "KiB" | "MiB" | "GiB" | "KiB/s" | "MiB/s" => "SIZE",
            _ => "",
        };
        if !kind.is_empty() && last.trim_start_matches('(') == "N" {
            words.pop();
            let open = if last.starts_with('(') { "(" } else { "" };
            let merged = format!("{open}{kind}{}", &word[unit.len()..]);
            // `2 min 18 s` is one time.
            if words.last().is_some_and(|it| it == "TIME") && kind == "TIME" {
                words.pop();
            }
            words.push(merged);
            continue;
        }
        words.push(plain_word(word));
    }
    words.join(" ")
}

fn plain_word(word: &str) -> String {
    let is_image = word.contains(':')
        && !word.contains("//")
        && (word.contains("local/") || word.contains("standin/"));
    if is_image {
        return "IMAGE".to_owned();
    }
    if word.ends_with(".tar") {
        return "FILE".to_owned();
    }
    let mut text = String::new();
    let mut rest = word;
    while !rest.is_empty() {
        let is_inside = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
        let length = rest.find(|c| !is_inside(c)).unwrap_or(rest.len());
        let run = &rest[..length];
        let number = run.trim_end_matches('.');
        if number.contains(|c: char| c.is_ascii_digit()) {
            text.push('N');
            text.push_str(&run[number.len()..]);
        } else {
            text.push_str(run);
        }
        rest = &rest[length..];
        if let Some(next) = rest.chars().next() {
            text.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    text
}

#[test]
fn lines_are_compared_without_what_differs_from_run_to_run() {
    for (line, wanted) in [
        ("  redis   healthy   1.2 s", "redis healthy TIME"),
        (
            "started: all 9 services are healthy (16.4 s)",
            "started: all N services are healthy (TIME)",
        ),
        (
            "running (healthy)  2 min 18 s  0  88 MiB of 512 MiB",
            "running (healthy) TIME N SIZE of SIZE",
        ),
        (
            "DSN  http://05a6d0@errors.local:3002/1",
            "DSN http://N@localhost:N/N",
        ),
        (
            "local/umami:3.1.0  http://localhost:3001",
            "IMAGE http://localhost:N",
        ),
        (
            "saved 426 rows (514 KiB), verified",
            "saved N rows (SIZE), verified",
        ),
    ] {
        assert_eq!(plain(line), wanted);
    }
}
