//! Everything that `doctor` looks at. Must change nothing.

use super::finding::{self, Finding};
use super::{
    Scene, check_before_start, compose, data, database, engine, env_file, hosts, images, passwords,
    resources, services, values,
};
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::Info;
use crate::docker::versions::Trouble;
use crate::problem::Problem;
use crate::stack;

/// What was found.
pub struct Examination {
    pub findings: Vec<Finding>,
    /// What keeps the engine from being used.
    pub trouble: Option<Trouble>,
}

/// Looks at everything; where something cannot be looked at, that is a finding too.
///
/// # Errors
/// When an engine that answered at first does not any more.
pub fn examine(checkout: &Checkout) -> anyhow::Result<Examination> {
    let mut findings = env_file::check(checkout);
    if finding::is_ok(&findings) {
        findings.push(hosts::check(checkout));
    }
    let docker = match Docker::new(checkout) {
        Ok(docker) => docker,
        Err(error) => {
            let refused = Finding::error(".env", Problem::of(&error));
            // A file that cannot be read was found already.
            if !findings.contains(&refused) {
                findings.push(refused);
            }
            return Ok(Examination::usable(findings));
        }
    };

    if let Err(error) = docker.check_engine() {
        findings.insert(0, Finding::error("engine", Problem::of(&error)));
        let trouble = error.downcast().ok();
        return Ok(Examination { findings, trouble });
    }
    let info = docker.info()?;
    findings.insert(0, engine::check(checkout, &docker, &info)?);
    findings.extend(check_stack(checkout, &docker, &info)?);
    Ok(Examination::usable(findings))
}

impl Examination {
    fn usable(findings: Vec<Finding>) -> Examination {
        Examination {
            findings,
            trouble: None,
        }
    }
}

fn check_stack(checkout: &Checkout, docker: &Docker, info: &Info) -> anyhow::Result<Vec<Finding>> {
    let config = match stack::read_config(docker) {
        Ok(config) => config,
        Err(error) => {
            let mut findings = vec![compose::refused(&error)];
            findings.extend(values::check(checkout, docker.values(), None));
            return Ok(findings);
        }
    };
    let scene = Scene::read(checkout, docker, &config)?;
    let mut findings = check_before_start(&scene)?;
    findings.extend(images::check(&scene, info)?);

    let probe = data::probe(&scene);
    findings.extend(resources::check(info, &config, probe.as_ref()));
    let image_major = probe.as_ref().and_then(|probe| probe.image_major);
    findings.extend(probe.and_then(|probe| data::check(&scene, &probe)));
    findings.extend(database::check(&scene, image_major));
    findings.extend(services::check(&scene)?);
    findings.extend(passwords::check(&scene)?);
    Ok(findings)
}
