//! What a deployment would do, without doing any of it.

use std::collections::BTreeSet;

use super::Swarm;
use super::files::Plan;
use super::nodes::{Label, Node};
use super::objects::Kind;
use super::stackfile::StackFile;

/// What would be done, a line each.
pub struct Preview(Vec<String>);

impl Preview {
    /// Looks at the swarm and says what is missing. `labels` are those that nodes would get.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn of(
        swarm: &Swarm,
        plan: &mut Plan,
        labels: &[(&Node, Label)],
    ) -> anyhow::Result<Preview> {
        let mut lines: Vec<String> = labels
            .iter()
            .map(|(node, label)| format!("give {} the label {label}", node.hostname()))
            .collect();
        let (secrets, configs) = (swarm.names(Kind::Secret)?, swarm.names(Kind::Config)?);
        let names = plan.secrets.iter().map(|secret| secret.name(&swarm.name));
        let missing = names.filter(|name| !secrets.contains(name));
        lines.extend(missing.map(|name| format!("create the secret {name}")));
        let missing = plan.configs.keys().filter(|name| !configs.contains(*name));
        lines.extend(missing.map(|name| format!("create the config {name}")));

        let missing = plan.missing_images(swarm)?.into_iter();
        let missing = missing.filter(|name| swarm.not_built(name).is_none());
        lines.extend(missing.map(|name| format!("pull the image {name}")));
        plan.pin(swarm, swarm.nodes()?.len())?;

        let releases = swarm.releases()?;
        let previous = releases.first().map(|release| &release.stack);
        let changed = changed(previous, &plan.stack);
        if changed.is_empty() && lines.is_empty() {
            return Ok(Preview(lines));
        }
        lines.extend(plan.order.iter().map(|job| format!("run the job {job}")));
        lines.extend(changed);
        let number = releases.first().map_or(1, |release| release.number + 1);
        lines.push(format!("check every edge, and record release {number}"));
        Ok(Preview(lines))
    }

    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    pub fn render(&self) -> String {
        if self.0.is_empty() {
            return "would change nothing\n".to_owned();
        }
        let lines = self.0.iter().map(|line| format!("would {line}\n"));
        lines.collect()
    }
}

/// Which services would be started, replaced or removed.
fn changed(previous: Option<&StackFile>, next: &StackFile) -> Vec<String> {
    let old: BTreeSet<&str> = previous
        .map_or_else(Vec::new, StackFile::services)
        .into_iter()
        .collect();
    let new: BTreeSet<&str> = next.services().into_iter().collect();
    let start = new.difference(&old).map(|name| format!("start {name}"));
    let remove = old.difference(&new).map(|name| format!("remove {name}"));
    let differs = |name: &&&str| previous.and_then(|it| it.resolved(name)) != next.resolved(name);
    let replace = new.intersection(&old).filter(differs);
    let replace = replace.map(|name| format!("replace {name}"));
    start.chain(replace).chain(remove).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_replaced_when_it_or_what_it_reads_has_changed() {
        let file = |image: &str, version: u8| {
            StackFile::parse(&format!(
                "services: {{umami: {{image: '{image}', secrets: [{{source: umami}}]}}, redis: {{image: r}}}}\n\
                 secrets: {{umami: {{name: a_umami_{version}, external: true}}}}"
            ))
            .unwrap()
        };
        let old = file("u@sha256:1", 1);
        assert_eq!(changed(None, &old), ["start redis", "start umami"]);
        assert!(changed(Some(&old), &old).is_empty());
        assert_eq!(
            changed(Some(&old), &file("u@sha256:2", 1)),
            ["replace umami"]
        );
        assert_eq!(
            changed(Some(&old), &file("u@sha256:1", 2)),
            ["replace umami"]
        );
        assert_eq!(changed(Some(&old), &old.only(&["redis"])), ["remove umami"]);
    }
}
