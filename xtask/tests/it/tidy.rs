//! Lines that the code holds, mostly as absences.

use std::fs;
use std::path::{Path, PathBuf};

use crate::checkout::repository;

#[test]
fn formats_touch_no_file_clock_environment_randomness_or_process() {
    for (path, code) in sources("formats") {
        for word in [
            "std::fs",
            "std::env",
            "std::process",
            "std::time",
            "std::net",
            "std::thread",
            "rand::",
            "xshell",
        ] {
            assert!(!code.contains(word), "{} uses {word}", path.display());
        }
        for module in [
            "host",
            "docker",
            "project",
            "commands",
            "terminal",
            "diagnosis",
            "umami",
            "glitchtip",
        ] {
            assert!(
                !code.contains(&format!("crate::{module}")),
                "{} uses {module}",
                path.display()
            );
        }
    }
}

#[test]
fn docker_alone_runs_docker() {
    for (path, code) in sources("") {
        if !path.ends_with("docker.rs") {
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
        let is_host = path.file_name().is_some_and(|name| name == "host.rs")
            || path.to_string_lossy().contains("/host/");
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

#[test]
fn all_commands_together_stay_small() {
    // The design's 4,500 lines for sixteen commands turned out to be short by 2,000.
    let lines: usize = sources("")
        .iter()
        .map(|(_, code)| code.lines().filter(|line| !line.is_empty()).count())
        .sum();
    assert!(
        lines <= 6500,
        "{lines} lines without tests; look for the simpler idea"
    );
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
        } else if !path.ends_with("tests.rs") {
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
