//! `ci`: every check that a change must pass. The README's test command.

use anyhow::{Context, bail};
use xshell::{Shell, cmd};

use crate::checkout::Checkout;
use crate::cli::{self, Engine};
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::terminal::say;

pub fn run(project: &Checkout, verbose: bool, options: &cli::Ci) -> anyhow::Result<Outcome> {
    let shell = Shell::new().context("finding the current folder")?;
    shell.change_dir(project.root());
    let engine = match options.engine {
        Engine::Skip => Err("--engine skip".to_owned()),
        _ => Docker::new(project, verbose)?
            .check_engine()
            .map_err(|error| format!("{error:#}")),
    };
    if let (Engine::Require, Err(reason)) = (options.engine, &engine) {
        bail!("the tests that start containers need an engine: {reason}");
    }

    // Run by Cargo for one package, we would pass its variables on; the children are to see none.
    let cargo = |arguments: &[&str]| -> anyhow::Result<()> {
        say!("$ cargo {}", arguments.join(" "));
        let cmd = cmd!(shell, "cargo {arguments...}")
            .env_remove("CARGO_MANIFEST_DIR")
            .quiet();
        cmd.run()
            .with_context(|| format!("`cargo {}` found something", arguments.join(" ")))
    };
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "--deny",
        "warnings",
    ])?;
    match engine {
        Ok(()) => cargo(&["test", "--workspace", "--locked", "--", "--include-ignored"])?,
        Err(reason) => {
            cargo(&["test", "--workspace", "--locked"])?;
            say!("NOT RUN ({reason}):");
            let list = cmd!(
                shell,
                "cargo test --quiet --workspace --locked -- --ignored --list --format terse"
            )
            .quiet();
            for test in list
                .ignore_stderr()
                .read()
                .context("listing the tests that were not run")?
                .lines()
            {
                say!("  {}", test.trim_end_matches(": test"));
            }
        }
    }
    Ok(Outcome::Done)
}
