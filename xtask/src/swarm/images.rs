//! The images of a release, pinned: so that going back to it brings back the very same programs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use super::Swarm;
use crate::docker::inspect::{Image, short_id};
use crate::docker::invocation::stderr_of;
use crate::problem::Problem;
use crate::terminal::say;

/// What is built here, and has no registry.
const BUILT: &str = "analytics-postgres:15";

/// Whether images that are there are asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    Missing,
    Newer,
}

impl Swarm {
    /// Gets the images that are not here, and those that may be newer if that is wanted.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn fetch(&self, images: &BTreeSet<String>, pull: Pull) -> anyhow::Result<()> {
        let present = self
            .docker
            .inspect_images(images.iter().map(String::as_str))?;
        for name in images {
            match present.get(name) {
                // What was never in a registry cannot be there now.
                Some(image) if image.pinned_name(name).is_none() => {}
                Some(_) if pull == Pull::Missing => {}
                _ => self.pull(name)?,
            }
        }
        Ok(())
    }

    /// Names for those of these images that are here, which mean the same for ever: by digest where they came
    /// from a registry, else, on a single node, by a tag that is never moved. `nodes` is their number.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn pinned(
        &self,
        images: &BTreeSet<String>,
        nodes: usize,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let present = self
            .docker
            .inspect_images(images.iter().map(String::as_str))?;
        let pinned = present.into_iter().map(|(name, image)| {
            let pinned = pinned_name(&name, &image, nodes);
            (name, pinned)
        });
        Ok(pinned.collect())
    }

    /// Makes the names that [`Swarm::pinned`] returned mean what they say.
    ///
    /// # Errors
    /// When an image has gone.
    pub fn tag_pinned(&self, pinned: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let is_tag = |(name, pinned): &(&String, &String)| name != pinned && !pinned.contains('@');
        for (name, pinned) in pinned.iter().filter(is_tag) {
            self.docker.tag(name, pinned)?;
        }
        Ok(())
    }

    fn pull(&self, name: &str) -> anyhow::Result<()> {
        if let Some(problem) = self.not_built(name) {
            bail!(problem);
        }
        say!("pulling {name}");
        let pulled = self.docker.docker().args(["pull", "--quiet", name]).text();
        pulled.map(drop).map_err(|error| {
            let what = format!("the image {name} cannot be pulled");
            Problem::new(what)
                .evidence(stderr_of(&error))
                .hint("check its name in deploy/production/.env, and that the registry answers")
                .into()
        })
    }

    /// What is to be done about an image that is built here and that no registry has.
    pub fn not_built(&self, name: &str) -> Option<Problem> {
        let build = format!("build --tag {BUILT} deploy/production/postgres");
        let build = self.docker.target().render_command(&build);
        let problem = Problem::new(format!("the image {BUILT} is not built yet"));
        (name == BUILT).then(|| problem.hint(format!("build it with `{build}`")))
    }
}

fn pinned_name(name: &str, image: &Image, nodes: usize) -> String {
    match image.pinned_name(name) {
        Some(digest) => digest.to_owned(),
        // On another node a tag that was made here means nothing.
        None if nodes > 1 || name.contains('@') => name.to_owned(),
        None => render_tag(name, &image.id),
    }
}

/// `umami:3` with this id is `umami:3-b3f408f609ee`.
fn render_tag(name: &str, id: &str) -> String {
    let path = name.rfind('/').map_or(0, |slash| slash + 1);
    let tag = if name[path..].contains(':') {
        ""
    } else {
        ":latest"
    };
    let id = short_id(id);
    if name.ends_with(&format!("-{id}")) {
        return name.to_owned();
    }
    format!("{name}{tag}-{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_registry_gets_a_tag_of_its_own() {
        let id = "sha256:b3f408f609ee00112233";
        assert_eq!(render_tag("umami:3", id), "umami:3-b3f408f609ee");
        assert_eq!(
            render_tag("me.example:5000/umami", id),
            "me.example:5000/umami:latest-b3f408f609ee"
        );
        assert_eq!(
            render_tag("umami:3-b3f408f609ee", id),
            "umami:3-b3f408f609ee"
        );
    }
}
