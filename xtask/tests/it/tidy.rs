//! Lines that the code holds, mostly as absences.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::repository;

/// Text or data in, text or data out.
const PURE: [&str; 13] = [
    "apps/connection.rs",
    "backup/manifest.rs",
    "checks/judge.rs",
    "checks/repairs.rs",
    "diagnosis/rules.rs",
    "docker/inspect.rs",
    "docker/versions.rs",
    "env/dialect.rs",
    "hosts/edit.rs",
    "hosts/platform.rs",
    "stack/desired.rs",
    "terminal/text.rs",
    "verification/report.rs",
];

#[test]
fn pure_files_touch_no_file_clock_environment_randomness_or_process() {
    for file in PURE {
        let code = source(file);
        for word in [
            "std::fs",
            "std::env",
            "std::process",
            "std::time",
            "std::net",
            "std::thread",
            "rand::",
            "xshell",
            "crate::system",
        ] {
            assert!(!code.contains(word), "{file} uses {word}");
        }
    }
}

/// The code of one file below `src`.
fn source(file: &str) -> String {
    let found = sources("")
        .into_iter()
        .find(|(path, _)| path.ends_with(file));
    found.unwrap_or_else(|| panic!("there is no {file}")).1
}

#[test]
fn docker_alone_runs_docker() {
    for (path, code) in sources("") {
        if !path.to_string_lossy().contains("src/docker/") {
            let mut commands = code
                .lines()
                .filter(|line| line.contains("cmd!") || line.contains("Command::new"));
            assert!(
                !commands.any(|line| line.contains("docker")),
                "{} runs docker itself",
                path.display()
            );
        }
    }
}

#[test]
fn host_alone_writes_files() {
    for (path, code) in sources("") {
        let path_text = path.to_string_lossy();
        let is_host = path_text.contains("/system/") || path_text.ends_with("hosts/file.rs");
        for word in [
            "fs::write",
            "File::create",
            "fs::remove",
            "fs::rename",
            "set_permissions",
            "OpenOptions",
        ] {
            assert!(
                is_host || !code.contains(word),
                "{} uses {word}",
                path.display()
            );
        }
    }
}

#[test]
fn main_alone_chooses_the_exit_code() {
    for (path, code) in sources("") {
        assert!(
            !code.contains("process::exit"),
            "{} ends the process",
            path.display()
        );
        assert!(
            path.ends_with("main.rs") || !code.contains("ExitCode"),
            "{} chooses an exit code",
            path.display()
        );
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for (path, _) in sources("") {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("//! "),
            "{} does not open with what it is for",
            path.display()
        );
    }
}

/// Each source file below a folder of `src`, with its code up to the tests, comments left out.
fn sources(below: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    collect(&repository().join("xtask/src").join(below), &mut found);
    assert!(!found.is_empty());
    found
}

fn collect(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            let text = fs::read_to_string(&path).unwrap();
            let code = text
                .split("#[cfg(test)]\nmod tests")
                .next()
                .unwrap_or_default()
                .lines();
            let code: Vec<&str> = code
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            found.push((path, code.join("\n")));
        }
    }
}
