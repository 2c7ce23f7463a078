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
    let tests = ["test", "--workspace", "--locked"];
    let (met, unmet): (Vec<_>, Vec<_>) = NEEDS.iter().partition(|need| need.is_met(checkout));
    match engine {
        Ok(()) => {
            let skip = unmet.iter().flat_map(|need| ["--skip", need.test]);
            let arguments: Vec<&str> = ["--", "--include-ignored"]
                .into_iter()
                .chain(skip)
                .collect();
            cargo(&[&tests, &arguments[..]].concat())?;
            for need in unmet {
                say!("NOT RUN ({}): {}", need.what(), need.test);
            }
        }
        Err(reason) => {
            cargo(&tests)?;
            let met: Vec<_> = met.into_iter().filter(|need| need.of != Of::Rig).collect();
            for need in &met {
                let one = ["--test", "it", "--", "--include-ignored", need.test];
                cargo(&[&tests, &one[..]].concat())?;
            }
            say!("NOT RUN ({reason}):");
            say_ignored(checkout, &met)?;
        }
    }
    Ok(Outcome::Done)
}

/// What some tests need beside an engine.
struct Need {
    /// The name of the test, or the part that several have in common.
    test: &'static str,
    of: Of,
}

#[derive(PartialEq)]
enum Of {
    Program(&'static str),
    Root,
    /// Nodes with an engine each on this machine, made by `.ci/rig`; and the images of this machine's engine.
    Rig,
}

const NEEDS: [Need; 8] = [
    Need {
        test: "scripts::shellcheck_finds_nothing",
        of: Of::Program("shellcheck"),
    },
    Need {
        test: "nightly::systemd_has_nothing_to_say",
        of: Of::Program("systemd-analyze"),
    },
    Need {
        test: "hosts::as_root::",
        of: Of::Root,
    },
    Need {
        test: "hosts::elevated::a_folder_for_copies",
        of: Of::Root,
    },
    Need {
        test: "setup::a_file_of_another_user",
        of: Of::Root,
    },
    Need {
        test: "setup::every_command_says_who_owns",
        of: Of::Root,
    },
    Need {
        test: "setup::a_folder_of_somebody_else",
        of: Of::Root,
    },
    Need {
        test: "rigged::",
        of: Of::Rig,
    },
];

impl Need {
    fn is_met(&self, checkout: &Checkout) -> bool {
        match self.of {
            Of::Program(name) => cargo::has_program(name),
            Of::Root => cargo::is_root(),
            Of::Rig => cargo::runs_script(checkout.root(), ".ci/rig", "check"),
        }
    }

    fn what(&self) -> String {
        match self.of {
            Of::Program(name) => format!("{name} is not installed"),
            Of::Root => "needs root".to_owned(),
            Of::Rig => "no rig can stand here; `.ci/rig check` says why".to_owned(),
        }
    }
}

/// Names the tests that were ignored, but for those that were run by themselves.
fn say_ignored(checkout: &Checkout, met: &[&Need]) -> anyhow::Result<()> {
    let list = ["--", "--ignored", "--list", "--format", "terse"];
    let list = [&["test", "--quiet", "--workspace", "--locked"], &list[..]].concat();
    let tests = cargo::read(checkout.root(), &list)?;
    let names = tests.lines().map(|line| line.trim_end_matches(": test"));
    let was_run = |name: &&str| met.iter().any(|need| name.contains(need.test));
    names
        .filter(|name| !was_run(name))
        .for_each(|name| say!("  {name}"));
    Ok(())
}
