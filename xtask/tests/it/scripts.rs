//! The scripts: each whole, each saying what it needs, none with what shellcheck would find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::checkout::{Checkout, Run, repository};

#[test]
fn every_script_says_what_it_needs() {
    for path in helper_scripts() {
        let text = fs::read_to_string(&path).unwrap();
        let is_comment = |line: &&str| line.starts_with('#') || line.starts_with("--");
        let head: Vec<&str> = text.lines().take_while(is_comment).collect();
        let head = head.join("\n");
        assert!(
            head.contains("Repeatable: ")
                && (head.contains("Output: ") || head.contains("Volumes: ")),
            "{} does not say what it needs",
            path.display()
        );
    }
}

/// `ci` says that it was not run where there is no shellcheck; `.ci/run` installs it.
#[test]
#[ignore = "needs shellcheck"]
fn shellcheck_finds_nothing_in_any_script() {
    let is_shell = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.starts_with(b"#!/bin/sh") || bytes.starts_with(b"#!/usr/bin/env bash")
    };
    let mut scripts = helper_scripts();
    scripts.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    assert!(scripts.iter().all(is_shell), "a script has no first line");
    let mut others = Vec::new();
    collect(&repository().join(".ci"), &mut others);
    scripts.extend(others.into_iter().filter(is_shell));
    assert!(scripts.len() > 15, "{scripts:?}");
    // 1090 and 1091: what belongs to the system cannot be followed.
    let run = Run::of(
        Command::new("shellcheck")
            .arg("--exclude=SC1090,SC1091")
            .args(&scripts),
    );
    assert_eq!(run.code, Some(0), "{}{}", run.stdout, run.stderr);
}

#[test]
#[ignore = "starts containers"]
fn the_accounts_scripts_set_the_passwords_when_they_are_asked_to() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let passwords = ["UMAMI_ADMIN_PASSWORD", "GLITCHTIP_ADMIN_PASSWORD"].map(|key| {
        let (old, new) = (checkout.variable(key), format!("another-{key}"));
        checkout.replace(".env", &format!("{key}={old}"), &format!("{key}={new}"));
        new
    });
    checkout.xtask(&["verify"]).code(1);
    for service in ["umami-accounts", "glitchtip-migrate"] {
        for _ in 0..2 {
            let run = checkout.compose(&[
                "run",
                "--rm",
                "--no-deps",
                "--no-TTY",
                "--env",
                "SET_ADMIN_PASSWORD=1",
                service,
            ]);
            let run = run.success();
            assert!(run.stdout.contains("set the password"), "{}", run.stdout);
            for password in &passwords {
                assert!(!run.stdout.contains(password) && !run.stderr.contains(password));
            }
        }
    }
    checkout.xtask(&["verify"]).success();
}

fn helper_scripts() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&repository().join("xtask/src/backup/scripts"), &mut found);
    collect(&repository().join("xtask/src/swarm/scripts"), &mut found);
    assert!(!found.is_empty());
    let mut production = Vec::new();
    collect(
        &repository().join("deploy/production/postgres"),
        &mut production,
    );
    production.retain(|path| path.extension().is_some_and(|extension| extension == "sh"));
    assert!(!production.is_empty());
    found.append(&mut production);
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else {
            found.push(path);
        }
    }
}
