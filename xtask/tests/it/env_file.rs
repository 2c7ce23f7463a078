//! Our reading of env files against that of `docker compose config`, on random files.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

#[expect(
    dead_code,
    reason = "the reader itself, of which this test needs one function"
)]
#[path = "../../src/env/dialect.rs"]
mod dialect;
#[path = "../../src/env/references.rs"]
mod references;

/// Assignments that are compared at the least.
const ASSIGNMENTS: usize = 24_000;
/// Statements in one file: one question to Compose.
const STATEMENTS: usize = 200;
/// Files that we refuse, for each of which Compose is asked alone.
const REFUSED: usize = 60;

/// What is read differently must be found again: `ENV_FILE_SEED=7` tries other files.
#[test]
#[ignore = "asks Compose: takes half a minute"]
fn every_env_file_is_read_as_compose_reads_it() {
    let seed = std::env::var("ENV_FILE_SEED").ok();
    let seed = seed.map_or(1, |seed| seed.parse().unwrap());
    let mut random = StdRng::seed_from_u64(seed);
    let compose = Compose::new();
    let (mut compared, mut refused) = (0, 0);
    while compared < ASSIGNMENTS {
        let mut text = String::new();
        if random.random_bool(0.25) {
            text.push('\u{feff}');
        }
        for _ in 0..STATEMENTS {
            let statement = statement(&mut random);
            let longer = format!("{text}{statement}");
            if read(&longer).is_ok() {
                text = longer;
            } else if refused < REFUSED && compose.read(&longer, &[]).is_err() {
                refused += 1;
            } else if refused < REFUSED {
                let reason = read(&longer).unwrap_err();
                panic!("seed {seed}: we refuse ({reason}) what Compose takes: {statement:?}");
            }
        }
        if random.random_bool(0.5) {
            let cut = text.trim_end_matches('\n');
            if read(cut).is_ok() {
                text.truncate(cut.len());
            }
        }
        compared += compare(&compose, &text, seed);
    }
    assert!(refused == REFUSED, "only {refused} files were refused");
}

/// Panics unless Compose and we read the same; returns how many assignments that were.
fn compare(compose: &Compose, text: &str, seed: u64) -> usize {
    let ours = read(text).unwrap();
    let names: Vec<&str> = ours.values.keys().map(String::as_str).collect();
    let theirs = compose.read(text, &names);
    let theirs =
        theirs.unwrap_or_else(|error| panic!("seed {seed}: we take what Compose refuses: {error}"));
    for (name, value) in &ours.values {
        let theirs = theirs.get(name).and_then(Option::as_ref);
        let written: Vec<&str> = ours
            .assignments
            .iter()
            .filter(|it| it.key == *name)
            .map(|it| it.written(text))
            .collect();
        assert_eq!(theirs, Some(value), "seed {seed}: {name:?} of {written:?}");
    }
    ours.assignments.len()
}

fn read(text: &str) -> Result<dialect::Reading, dialect::ParseError> {
    dialect::read(text, &|name| {
        (name == "HOME").then(|| "/nowhere".to_owned())
    })
}

/// Asks `docker compose config`, which needs no engine.
struct Compose(TempDir);

impl Compose {
    fn new() -> Compose {
        Compose(tempfile::tempdir().unwrap())
    }

    /// What Compose takes variables for when `text` is its env file; else what it says.
    fn read(&self, text: &str, names: &[&str]) -> Result<BTreeMap<String, Option<String>>, String> {
        #[derive(serde::Deserialize)]
        struct Config {
            services: BTreeMap<String, Service>,
        }
        #[derive(serde::Deserialize)]
        struct Service {
            #[serde(default)]
            environment: BTreeMap<String, Option<String>>,
        }
        let service = serde_json::json!({"image": "none", "environment": names});
        let file = serde_json::json!({"name": "x", "services": {"x": service}});
        let folder = self.0.path();
        fs::write(folder.join("compose.yaml"), file.to_string()).unwrap();
        fs::write(folder.join(".env"), text).unwrap();

        let output = Command::new("docker")
            .args(["compose", "config", "--format", "json"])
            .current_dir(folder)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", "/nowhere")
            .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
            .output()
            .unwrap();
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            let error = stderr
                .lines()
                .filter(|line| !line.contains("level=warning"));
            return Err(error.collect::<Vec<_>>().join("\n"));
        }
        let mut config: Config = serde_json::from_slice(&output.stdout).unwrap();
        let environment = config.services.remove("x").unwrap().environment;
        // What is printed is meant to be read by Compose again.
        let plain = |value: String| value.replace("$$", "$");
        Ok(environment
            .into_iter()
            .map(|(name, value)| (name, value.map(plain)))
            .collect())
    }
}

/// A statement, or what could be taken for one.
#[expect(clippy::too_many_lines, reason = "a table of what a line may be")]
fn statement(random: &mut StdRng) -> String {
    let indent = pick(
        random,
        &[
            "", "", "", "", " ", "\t", "\u{a0}", "\u{3000}", "\r", "\n", "\x0c",
        ],
    );
    let export = pick(
        random,
        &[
            "",
            "",
            "",
            "",
            "",
            "export ",
            "export\t",
            "export  ",
            "export",
            "export\n",
            "export\u{a0}",
            "export\x0b",
        ],
    );
    let separator = pick(
        random,
        &[
            "=",
            "=",
            "=",
            "=",
            " = ",
            ": ",
            ":",
            "=\t",
            "= ",
            " =",
            "=\u{a0}",
            "=\u{3000}",
            "\t=",
            "==",
            "=\r",
            "\n",
            " ",
        ],
    );
    let end = pick(
        random,
        &[
            "\n", "\n", "\n", "\n", "\r\n", " \n", "\n\n", "\t\r\n", " # c\n", "\t# c\n", " ", "\r",
        ],
    );
    match random.random_range(0..12) {
        0 => format!("{indent}#{}{end}", value(random)),
        1 => format!("{indent}{}{end}", value(random)),
        _ => {
            let (name, value) = (name(random), value(random));
            let tail = if random.random_bool(0.1) {
                self::value(random)
            } else {
                String::new()
            };
            format!("{indent}{export}{name}{separator}{value}{tail}{end}")
        }
    }
}

fn name(random: &mut StdRng) -> String {
    let plain = format!("K{}", random.random_range(0..300));
    match random.random_range(0..12) {
        0 => format!("{plain}{}", pick(random, ODD)),
        1 => format!("{}{plain}", pick(random, ODD)),
        _ => plain,
    }
}

/// What may stand in a name, and what may not.
const ODD: &[&str] = &[
    ".", "-", "[0]", "_", "é", "Я", "名", "²", "½", "\t", "\u{a0}", " ", "\u{3000}", "$", "#", "'",
    "\"", "\\", "/", "+", "×", "\u{301}", "ſ", "\u{212a}", "9", "",
];

fn value(random: &mut StdRng) -> String {
    let quote = pick(random, &["", "", "", "'", "\"", "\""]);
    let length = random.random_range(0..8);
    let body: String = (0..length).map(|_| part(random)).collect();
    match random.random_range(0..20) {
        0 => format!("{quote}{body}"),
        1 => format!("{body}{quote}"),
        _ => format!("{quote}{body}{quote}"),
    }
}

fn part(random: &mut StdRng) -> String {
    let name = format!("K{}", random.random_range(0..300));
    let operator = pick(random, &[":-", "-", ":+", "+", ":?", "?", ":", "/", ""]);
    match random.random_range(0..16) {
        0 => format!("${name}"),
        1 => format!("${{{name}}}"),
        2 => format!("${{{name}{operator}{}}}", pick(random, PARTS)),
        3 => format!("${{{name}{operator}{}}}", part(random)),
        4 => format!("${{UNSET{operator}{}{}}}", part(random), part(random)),
        5 => format!("\\{}", pick(random, PARTS)),
        6 => format!("\\0{}", random.random_range(0..800)),
        7 => format!("\\0{:03}", random.random_range(0..400)),
        _ => pick(random, PARTS).to_owned(),
    }
}

const PARTS: &[&str] = &[
    "a",
    "B7",
    "x y",
    "change_this",
    " ",
    "  ",
    "\t",
    "#",
    " #",
    "# ",
    "$",
    "$$",
    "$HOME",
    "${HOME}",
    "${",
    "{",
    "}",
    "{}",
    "'",
    "\"",
    "\\",
    "\\\\",
    "\\n",
    "\\t",
    "\\c",
    "\\a",
    "\\x41",
    "\\$",
    "\\\"",
    "\\'",
    "\\u00e9",
    "=",
    ":",
    "-",
    "+",
    "?",
    "\u{a0}",
    "\u{85}",
    "\u{3000}",
    "\u{2028}",
    "é",
    "ſ",
    "\u{212a}",
    "$ſ",
    "\r",
    "\x0b",
    "\x0c",
    "%",
    "`",
    "\n",
    "\n",
    "\nK1=2\n",
    "🙂",
    "\u{feff}",
    "$1",
    "$K1",
    "${K2-",
    "${K3:-}",
    "//",
];

fn pick<'a>(random: &mut StdRng, choices: &[&'a str]) -> &'a str {
    choices.choose(random).unwrap()
}
