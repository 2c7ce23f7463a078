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
    match engine {
        Ok(()) => cargo(&["test", "--workspace", "--locked", "--", "--include-ignored"])?,
        Err(reason) => {
            cargo(&["test", "--workspace", "--locked"])?;
            say!("NOT RUN ({reason}):");
            let list = ["--", "--ignored", "--list", "--format", "terse"];
            let list = [&["test", "--quiet", "--workspace", "--locked"], &list[..]].concat();
            for test in cargo::read(checkout.root(), &list)?.lines() {
                say!("  {}", test.trim_end_matches(": test"));
            }
        }
    }
    Ok(Outcome::Done)
}
