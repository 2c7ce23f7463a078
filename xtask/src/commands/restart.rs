//! `restart`: makes containers anew, so that a changed `.env` or compose file takes effect. The data stays.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::up::{self, Stack};
use crate::commands::{Outcome, doctor, setup};
use crate::docker::Docker;
use crate::stack::desired::Config;
use crate::system::Lock;

pub fn run(project: &Checkout, verbose: bool, options: &cli::Restart) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    setup::ensure_env_file(project)?;
    let docker = Docker::new(project, verbose)?;
    let stack = Stack::read(&docker)?;
    let awaited = match options.services.is_empty() {
        true => stack.config.services.keys().cloned().collect(),
        false => with_dependencies(&stack.config, &options.services),
    };
    let mut arguments = vec!["--force-recreate"];
    arguments.extend(options.services.iter().map(String::as_str));
    doctor::preflight(project, &docker, &stack.config)?;
    up::ensure_images(&docker, &stack.config, &lock)?;
    stack.converge(
        &docker,
        &lock,
        &arguments,
        &awaited,
        Duration::from_secs(options.wait.timeout),
    )?;
    up::print_endpoints(&stack.config)?;
    Ok(Outcome::Done)
}

/// The services, and all that they need: Compose starts those too.
fn with_dependencies(config: &Config, services: &[String]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let mut open: Vec<&String> = services.iter().collect();
    while let Some(name) = open.pop() {
        if all.insert(name.clone()) {
            open.extend(
                config
                    .services
                    .get(name)
                    .into_iter()
                    .flat_map(|service| service.depends_on.keys()),
            );
        }
    }
    all
}
