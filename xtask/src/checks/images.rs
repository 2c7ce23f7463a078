//! Which images are here, and whether the engine can run them. Only looks.

use std::collections::BTreeSet;

use super::Scene;
use super::finding::Finding;
use crate::docker::engine::Info;
use crate::problem::Problem;

/// Looks at the images that the configuration names.
///
/// # Errors
/// When the engine does not answer.
pub fn check(scene: &Scene, info: &Info) -> anyhow::Result<Vec<Finding>> {
    let wanted = || scene.config.images();
    let images = scene.docker.inspect_images(wanted())?;
    let missing: BTreeSet<&str> = wanted()
        .filter(|name| !images.contains_key(*name))
        .collect();

    let mut findings = Vec::new();
    for (name, image) in &images {
        if image.architecture != info.image_architecture() {
            let what = format!(
                "the image {name} is made for {}, the engine runs {}",
                image.architecture, info.architecture
            );
            let hint = format!("`docker image rm {name}`, then `cargo xtask up`");
            findings.push(Finding::error("images", Problem::new(what).hint(hint)));
        }
    }
    let state = if missing.is_empty() {
        format!("all {} are here", images.len())
    } else {
        let missing: Vec<&str> = missing.into_iter().collect();
        format!("`cargo xtask up` will pull {}", missing.join(", "))
    };
    findings.push(Finding::good("images", state));
    Ok(findings)
}
