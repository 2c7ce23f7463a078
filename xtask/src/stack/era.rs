//! Whether what is seen of a container is news: what was there before a change is about to be replaced or
//! stays. Must never look itself.

use std::collections::{BTreeMap, BTreeSet};

use super::desired::{Config, Role};
use super::readiness::{Progress, Reason, Starter};
use crate::docker::inspect::Container;

/// Where a container comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    /// It was made or started by this change.
    New,
    /// It was there before, and the change has no reason to replace it.
    Stays,
    /// It was there before, and is to be replaced.
    Leaves,
}

/// What a service is to be made from.
pub struct Wanted<'a> {
    pub config: &'a Config,
    /// The hash of each service's configuration.
    pub hashes: &'a BTreeMap<String, String>,
    /// The id of each image, by its name.
    pub images: &'a BTreeMap<String, String>,
    /// What follows `compose up`.
    pub arguments: &'a [&'a str],
}

impl Wanted<'_> {
    /// Those services whose containers Compose will replace: configuration or image have changed, or it was
    /// told to.
    pub fn leaving(&self, before: &BTreeMap<String, Container>) -> BTreeSet<String> {
        let leaves = |(name, container): &(&String, &Container)| {
            let service = self.config.services.get(*name);
            let image = service.and_then(|service| self.images.get(&service.image));
            self.hashes
                .get(*name)
                .is_some_and(|it| it != container.config_hash())
                || image.is_some_and(|image| *image != container.image)
                || self.is_forced(name)
        };
        before
            .iter()
            .filter(leaves)
            .map(|(name, _)| name.clone())
            .collect()
    }

    fn is_forced(&self, service: &str) -> bool {
        let mut named = self.arguments.iter().filter(|it| !it.starts_with("--"));
        let is_meant = named.clone().next().is_none() || named.any(|name| *name == service);
        self.arguments.contains(&"--force-recreate") && is_meant
    }
}

/// The era of a container, from what was there before. One that is to be replaced stays one of before also
/// when the engine has restarted it since: it may be in a crash loop.
pub fn era(container: &Container, before: Option<&Container>, leaving: &BTreeSet<String>) -> Era {
    let Some(before) = before.filter(|before| before.id == container.id) else {
        return Era::New;
    };
    if leaving.contains(container.service()) {
        Era::Leaves
    } else if before.state.started_at == container.state.started_at {
        Era::Stays
    } else {
        Era::New
    }
}

/// What a service's progress means in this change.
pub fn in_this_change(progress: Progress, era: Era, role: Role, starter: Starter) -> Progress {
    match (era, starter, progress) {
        (Era::New, _, progress) => progress,
        (Era::Leaves, Starter::Running, _) => Progress::Waiting("being replaced"),
        // Compose starts what has ended once more.
        (Era::Stays, Starter::Running, Progress::Ready(_)) if role == Role::OneShot => {
            Progress::Waiting("waiting")
        }
        (_, _, Progress::Ready(_)) => Progress::Ready("unchanged"),
        // Compose may have taken away what it depends on.
        (Era::Stays, Starter::Running, Progress::Failed(Reason::Unhealthy)) => {
            Progress::Waiting("unhealthy")
        }
        (_, _, progress) => progress,
    }
}

#[cfg(test)]
mod tests {
    use super::Progress::{Failed, Ready, Waiting};
    use super::*;
    use crate::docker::inspect::parse_inspect;

    fn container(service: &str, hash: &str, image: &str, started_at: &str) -> Container {
        let labels = format!(
            r#""com.docker.compose.service":"{service}","com.docker.compose.config-hash":"{hash}""#
        );
        let json = format!(
            r#"[{{"Id":"{service}-1","Name":"/x","Image":"{image}",
                "State":{{"Status":"running","StartedAt":"{started_at}"}},
                "Config":{{"Image":"app:3","Labels":{{{labels}}}}},"HostConfig":{{}}}}]"#
        );
        parse_inspect(&json).unwrap().remove(0)
    }

    #[track_caller]
    fn check_leaving(arguments: &[&str], wanted: &[&str]) {
        let yaml = "name: x\nservices: {same: {image: app:3}, edited: {image: app:3}, old: {image: app:3}}";
        let text = |(a, b): (&str, &str)| (a.to_owned(), b.to_owned());
        let hashes = [("same", "h"), ("edited", "h"), ("old", "h")]
            .map(text)
            .into();
        let before = [("same", "h", "i"), ("edited", "g", "i"), ("old", "h", "j")];
        let before =
            before.map(|(name, hash, image)| (name.to_owned(), container(name, hash, image, "t")));
        let wanted_state = Wanted {
            config: &Config::parse(yaml).unwrap(),
            hashes: &hashes,
            images: &[("app:3", "i")].map(text).into(),
            arguments,
        };
        let leaving: Vec<String> = wanted_state.leaving(&before.into()).into_iter().collect();
        assert_eq!(leaving, wanted, "{arguments:?}");
    }

    #[test]
    fn replaced_is_what_has_changed_and_what_is_forced() {
        check_leaving(&[], &["edited", "old"]);
        check_leaving(&["--no-deps", "same"], &["edited", "old"]);
        check_leaving(&["--force-recreate"], &["edited", "old", "same"]);
        check_leaving(&["--force-recreate", "same"], &["edited", "old", "same"]);
        check_leaving(&["--force-recreate", "old"], &["edited", "old"]);
    }

    #[test]
    fn what_was_started_meanwhile_is_new_unless_it_is_to_be_replaced() {
        let before = container("app", "h", "i", "t1");
        let again = container("app", "h", "i", "t2");
        let leaving = BTreeSet::from(["app".to_owned()]);
        assert_eq!(era(&before, Some(&before), &leaving), Era::Leaves);
        assert_eq!(era(&before, Some(&before), &BTreeSet::new()), Era::Stays);
        // In a crash loop it is started again and again until Compose comes to it.
        assert_eq!(era(&again, Some(&before), &leaving), Era::Leaves);
        assert_eq!(era(&again, Some(&before), &BTreeSet::new()), Era::New);
        assert_eq!(era(&before, None, &leaving), Era::New);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table of cases")]
    fn what_was_before_is_neither_reached_nor_failed_by_this_change() {
        use Role::{LongRunning, OneShot};
        use Starter::{Running, Succeeded};
        let unhealthy = Failed(Reason::Unhealthy);
        for (progress, era, role, starter, wanted) in [
            (
                Ready("healthy"),
                Era::New,
                LongRunning,
                Running,
                Ready("healthy"),
            ),
            (unhealthy, Era::New, LongRunning, Running, unhealthy),
            (
                Ready("healthy"),
                Era::Leaves,
                LongRunning,
                Running,
                Waiting("being replaced"),
            ),
            (
                unhealthy,
                Era::Leaves,
                LongRunning,
                Running,
                Waiting("being replaced"),
            ),
            (
                Ready("done"),
                Era::Leaves,
                OneShot,
                Running,
                Waiting("being replaced"),
            ),
            (
                Ready("healthy"),
                Era::Stays,
                LongRunning,
                Running,
                Ready("unchanged"),
            ),
            (
                Ready("done"),
                Era::Stays,
                OneShot,
                Running,
                Waiting("waiting"),
            ),
            (
                Ready("done"),
                Era::Stays,
                OneShot,
                Succeeded,
                Ready("unchanged"),
            ),
            (
                unhealthy,
                Era::Stays,
                LongRunning,
                Running,
                Waiting("unhealthy"),
            ),
            (unhealthy, Era::Stays, LongRunning, Succeeded, unhealthy),
            (
                Waiting("starting"),
                Era::Stays,
                LongRunning,
                Succeeded,
                Waiting("starting"),
            ),
        ] {
            let seen = in_this_change(progress, era, role, starter);
            assert_eq!(seen, wanted, "{progress} {era:?} {starter:?}");
        }
    }
}
