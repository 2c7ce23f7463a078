//! `ci`: every check that a change must pass. The README's test command.

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::cli::{self, Engine};
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::problem::Problem;
use crate::system::cargo;
use crate::terminal::say;

pub fn run(checkout: &Checkout, options: &cli::Ci) -> anyhow::Result<Outcome> {
    let engine = match options.engine {
        Engine::Skip => Err("--engine skip".to_owned()),
        _ => Docker::new(checkout)?
            .check_engine()
            .map_err(|error| format!("{error:#}")),
    };
    if let (Engine::Require, Err(reason)) = (options.engine, &engine) {
        bail!(Problem::new("the tests that start containers need an engine").evidence(reason));
    }

    let cargo = |arguments: &[&str]| {
        say!("$ cargo {}", arguments.join(" "));
        let run = cargo::run(checkout.root(), arguments);
        run.with_context(|| format!("`cargo {}` failed", arguments.join(" ")))
    };
    cargo(&["fmt", "--all", "--check"])?;
    let lints = ["--locked", "--", "--deny", "warnings"];
    cargo(&[&["clippy", "--workspace", "--all-targets"], &lints[..]].concat())?;
    let test = ["test", "--workspace", "--locked"];
    let lint = ["--include-ignored", "--exact", SHELLCHECK];
    let shellcheck = cargo::has_program("shellcheck");
    match (engine, shellcheck) {
        (Ok(()), true) => cargo(&[&test, &["--", "--include-ignored"][..]].concat())?,
        (Ok(()), false) => {
            let skip = ["--", "--include-ignored", "--skip", SHELLCHECK];
            cargo(&[&test, &skip[..]].concat())?;
        }
        (Err(reason), _) => {
            cargo(&test)?;
            if shellcheck {
                cargo(&[&test, &["--test", "it", "--"], &lint[..]].concat())?;
            }
            say!("NOT RUN ({reason}):");
            say_tests(checkout)?;
        }
    }
    if !shellcheck {
        say!("NOT RUN (shellcheck is not installed):\n  {SHELLCHECK}");
    }
    Ok(Outcome::Done)
}

/// The test that needs shellcheck.
const SHELLCHECK: &str = "scripts::shellcheck_finds_nothing_in_any_script";

/// Names the tests that start containers.
fn say_tests(checkout: &Checkout) -> anyhow::Result<()> {
    let list = ["--", "--ignored", "--list", "--format", "terse"];
    let list = [&["test", "--quiet", "--workspace", "--locked"], &list[..]].concat();
    let tests = cargo::read(checkout.root(), &list)?;
    let names = tests.lines().map(|line| line.trim_end_matches(": test"));
    names
        .filter(|name| *name != SHELLCHECK)
        .for_each(|name| say!("  {name}"));
    Ok(())
}
