//! What `doctor` and the preflight look at, one file a subject, and the repairs. Must change nothing
//! unless it is asked to mend.

pub mod compose;
pub mod data;
pub mod database;
pub mod engine;
pub mod env_file;
pub mod examine;
pub mod finding;
pub mod hosts;
pub mod images;
pub mod mounts;
pub mod names;
pub mod packages;
pub mod passwords;
pub mod ports;
pub mod preflight;
pub mod production;
pub mod redis;
pub mod repairs;
pub mod resources;
pub mod services;
pub mod values;

use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::Engine;
use crate::stack::desired::Config;
use finding::Finding;

/// What several checks look at, read once.
pub struct Scene<'a> {
    pub checkout: &'a Checkout,
    pub docker: &'a Docker,
    pub config: &'a Config,
    /// All that is on the engine.
    pub engine: Engine,
}

impl<'a> Scene<'a> {
    /// # Errors
    /// When the engine does not answer.
    pub fn read(
        checkout: &'a Checkout,
        docker: &'a Docker,
        config: &'a Config,
    ) -> anyhow::Result<Scene<'a>> {
        let engine = docker.everything()?;
        Ok(Scene {
            checkout,
            docker,
            config,
            engine,
        })
    }
}

/// What can stop `up`: what the preflight looks at, and `doctor` too.
///
/// # Errors
/// When a file of the checkout cannot be read.
pub fn check_before_start(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut findings = compose::check(scene.checkout);
    findings.extend(names::check(scene));
    findings.extend(ports::check(scene));
    findings.extend(redis::check(scene)?);
    findings.extend(mounts::check(scene)?);
    let values = scene.docker.values();
    findings.extend(values::check(scene.checkout, values, Some(scene.config)));
    Ok(findings)
}
