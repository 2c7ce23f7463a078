//! Lines that the code holds, mostly as absences: layers, pure files, one place for each power.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::checkout::repository;

/// The layers: a module imports only from rows above its own, and freely within its folder.
const LAYERS: [&[&str]; 13] = [
    &["problem"],
    &["terminal"],
    &["system", "cli"],
    &["checkout"],
    &["env"],
    &["docker", "apps", "hosts"],
    &["session"],
    &["stack", "swarm"],
    &["diagnosis", "checks", "verification"],
    &["backup"],
    &["operations"],
    &["commands"],
    &["main"],
];

/// Text or data in, text or data out.
const PURE: &[&str] = &[
    "apps/accounts.rs",
    "apps/connection.rs",
    "apps/curl.rs",
    "backup/manifest.rs",
    "checks/finding.rs",
    "checks/resources.rs",
    "diagnosis/pattern.rs",
    "diagnosis/rules.rs",
    "docker/download.rs",
    "docker/endpoint.rs",
    "docker/engine.rs",
    "docker/environment.rs",
    "docker/inspect.rs",
    "docker/reference.rs",
    "docker/stats.rs",
    "docker/unreachable.rs",
    "docker/versions.rs",
    "env/dialect.rs",
    "env/grammar.rs",
    "env/references.rs",
    "env/rules.rs",
    "env/rules/table.rs",
    "env/template.rs",
    "hosts/block.rs",
    "hosts/cloud_init.rs",
    "hosts/edit.rs",
    "hosts/hostname.rs",
    "hosts/platform.rs",
    "hosts/scan.rs",
    "problem.rs",
    "stack/desired.rs",
    "stack/era.rs",
    "stack/order.rs",
    "stack/readiness.rs",
    "stack/variables.rs",
    "swarm/inspect.rs",
    "swarm/look.rs",
    "swarm/nodes.rs",
    "swarm/placement.rs",
    "swarm/patroni.rs",
    "swarm/rollout.rs",
    "swarm/roster.rs",
    "swarm/secrets.rs",
    "swarm/settings.rs",
    "swarm/stackfile.rs",
    "swarm/status.rs",
    "system/http.rs",
    "terminal/progress/layout.rs",
    "terminal/text.rs",
    "verification/report.rs",
];

#[test]
fn a_module_imports_only_from_the_layers_above_its_own() {
    let row_of: BTreeMap<&str, usize> = LAYERS
        .iter()
        .enumerate()
        .flat_map(|(row, modules)| modules.iter().map(move |module| (*module, row)))
        .collect();
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let own = module_of(&path);
        let own_row = *row_of
            .get(own.as_str())
            .unwrap_or_else(|| panic!("{own} has no layer"));
        for other in imports(&code).into_iter().filter(|other| *other != own) {
            let row = row_of.get(other.as_str()).copied();
            if row.is_some_and(|row| row >= own_row) {
                wrong.push(format!("{path} imports {other}"));
            }
            if row.is_some() {
                table.entry(own.clone()).or_default().insert(other);
            }
        }
    }
    for module in LAYERS.iter().copied().flatten() {
        let imported = table.get(*module).into_iter().flatten();
        println!(
            "{module:13} {}",
            imported.cloned().collect::<Vec<_>>().join(" ")
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_command_imports_no_other_command() {
    for (path, code) in sources()
        .into_iter()
        .filter(|(path, _)| path.starts_with("commands/"))
    {
        for import in code.split("crate::commands::").skip(1) {
            let name = import
                .split(|c: char| !c.is_alphanumeric() && c != '_')
                .next();
            let is_shared = matches!(name, Some("Outcome" | ""));
            assert!(is_shared, "{path} imports the command {name:?}");
        }
        for word in ["Command::new", "fs::write", "files::replace", "process::"] {
            assert!(!code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn pure_files_touch_no_file_clock_environment_randomness_or_process() {
    let sources: BTreeMap<String, String> = sources().into_iter().collect();
    for file in PURE.iter().copied() {
        let code = sources
            .get(file)
            .unwrap_or_else(|| panic!("there is no {file}"));
        for word in [
            "std::fs",
            "std::env",
            "std::io::std",
            "std::process",
            "std::time::Instant",
            "std::time::SystemTime",
            "std::net::Tcp",
            "std::thread",
            "rand::",
            "xshell",
            "crate::system",
            "say!",
        ] {
            assert!(!code.contains(word), "{file} uses {word}");
        }
    }
}

#[test]
fn one_place_starts_processes() {
    for (path, code) in sources() {
        let starts = [
            ".spawn()",
            "Command::output(",
            "Command::status(",
            ".run()?",
            ".read()?",
        ];
        let may = ["system/process.rs", "system/cargo.rs"].contains(&path.as_str());
        // `Step::run` and other functions of ours are called run, too.
        let code = code.replace("step.run()?", "");
        for word in starts {
            assert!(
                may || !code.contains(word),
                "{path} starts a process: {word}"
            );
        }
        let knows = ["system/", "hosts/"]
            .iter()
            .any(|folder| path.starts_with(folder));
        assert!(
            knows || !code.contains("Command::new"),
            "{path} makes a command of its own"
        );
    }
}

#[test]
fn docker_alone_runs_docker() {
    for (path, code) in sources()
        .into_iter()
        .filter(|(path, _)| !path.starts_with("docker/"))
    {
        let mut commands = code.lines().filter(|line| {
            line.contains("cmd!") || line.contains("Command::new") || line.contains("xshell")
        });
        assert!(
            !commands.any(|line| line.contains("docker")),
            "{path} runs docker itself"
        );
    }
}

#[test]
fn system_alone_writes_files() {
    for (path, code) in sources() {
        let may = path.starts_with("system/") || path.starts_with("hosts/");
        for word in [
            "fs::write",
            "File::create",
            "fs::remove",
            "fs::rename",
            "set_permissions",
            "OpenOptions",
        ] {
            assert!(may || !code.contains(word), "{path} uses {word}");
        }
    }
}

#[test]
fn main_alone_chooses_the_exit_code() {
    for (path, code) in sources() {
        assert!(!code.contains("process::exit"), "{path} ends the process");
        assert!(
            path == "main.rs" || !code.contains("ExitCode"),
            "{path} chooses an exit code"
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, _) in sources() {
        let text = fs::read_to_string(repository().join("xtask/src").join(&path)).unwrap();
        assert!(
            text.starts_with("//! "),
            "{path} does not open with what it is for"
        );
    }
}

#[test]
fn every_test_that_needs_something_is_there() {
    let root = repository().join("xtask");
    let ci = fs::read_to_string(root.join("src/commands/ci.rs")).unwrap();
    let names: Vec<&str> = ci
        .split("test: \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(names.len(), 8, "{names:?}");
    let mut tests = Vec::new();
    collect(&root.join("tests"), &root.join("tests"), &mut tests);
    for name in names {
        let (module, test) = name.rsplit_once("::").unwrap();
        let folder = format!("/{}", module.replace("::", "/"));
        let is_there = tests.iter().any(|(path, text)| {
            path.contains(&folder)
                && text.contains(&format!("\nfn {test}"))
                && text.contains("= \"needs ")
        });
        assert!(is_there, "there is no {name}");
    }
}

/// The top-level module of a file.
fn module_of(path: &str) -> String {
    path.split('/')
        .next()
        .unwrap_or_default()
        .trim_end_matches(".rs")
        .to_owned()
}

/// The top-level modules that some code names after `crate::`.
fn imports(code: &str) -> BTreeSet<String> {
    let is_end = |c: char| !c.is_alphanumeric() && c != '_';
    let mut found = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            // `use crate::{cli, stack};`
            Some((group, _)) => found.extend(group.split(is_end).map(str::to_owned)),
            None => found.extend(rest.split(is_end).next().map(str::to_owned)),
        }
    }
    found
}

/// Each source file by its path below `src`, with its code up to the tests, comments left out.
fn sources() -> Vec<(String, String)> {
    let root = repository().join("xtask/src");
    let mut found = Vec::new();
    collect(&root, &root, &mut found);
    assert!(!found.is_empty());
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_code = path.extension().is_some_and(|extension| extension == "rs");
        if path.is_dir() {
            collect(root, &path, found);
        } else if is_code && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default()
                .lines();
            let code: Vec<&str> = code
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .replace('\\', "/");
            found.push((name, code.join("\n")));
        }
    }
}
