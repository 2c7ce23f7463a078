//! `down`: stops and removes the containers and the network. Never touches a volume.

use crate::checkout::Checkout;
use crate::checks::names;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::operations::open;
use crate::stack;
use crate::system::lock::Lock;
use crate::terminal::say;

pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(&checkout.lock_file())?;
    let docker = Docker::new(checkout)?;
    docker.check_engine()?;
    let config = stack::read_config(&docker)?;
    names::ensure_ours(checkout, &docker, &config)?;
    let containers = docker.containers(&config.name)?;
    open::mention_unfinished(checkout)?;

    if containers.is_empty() {
        say!("already down: no containers of the project {}", config.name);
        return Ok(Outcome::Done);
    }
    docker
        .compose()
        .args(["down", "--remove-orphans"])
        .finishing(&lock)
        .text()?;

    let elsewhere = config.shared_server().map(|server| {
        let host = server.host;
        format!(", that of the databases on the PostgreSQL at {host}")
    });
    say!(
        "removed {} containers; the data stays in its volumes{}",
        containers.len(),
        elsewhere.unwrap_or_default()
    );
    say!("`cargo xtask up` starts the stack again");
    Ok(Outcome::Done)
}
