//! `down`: stops and removes the containers and the network. Never touches a volume.

use crate::checkout::Checkout;
use crate::commands::{Outcome, doctor};
use crate::docker::Docker;
use crate::system::Lock;
use crate::terminal::say;

pub fn run(project: &Checkout, docker: &Docker) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    docker.check_engine()?;
    let config = docker.config()?;
    doctor::ensure_ours(project, docker, &config)?;
    let containers = docker.containers(&config.name)?;
    if containers.is_empty() {
        say!("nothing runs; the data, if there is any, is where it was");
        return Ok(Outcome::Done);
    }
    docker
        .start_change(docker.compose().args(["down", "--remove-orphans"]), &lock)?
        .finish()?;
    say!(
        "removed {} containers; the data stays in its volumes, `cargo xtask up` starts again from there",
        containers.len()
    );
    Ok(Outcome::Done)
}
