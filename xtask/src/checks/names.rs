//! Whether names, networks, volumes or the whole project belong to somebody else. Only looks.

use std::fs;
use std::path::Path;

use anyhow::bail;

use super::Scene;
use super::finding::Finding;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::engine::{Engine, Thing};
use crate::problem::Problem;
use crate::stack::desired::Config;

const CHECK: &str = "names";

/// Stops a command that would touch the stack of another checkout.
///
/// # Errors
/// When the project is that of another checkout, with what to do; when the engine does not answer.
pub fn ensure_ours(checkout: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let engine = docker.everything()?;
    match other_checkout(&engine, &config.name, |it| is_other(checkout, it)) {
        Some(problem) => bail!(problem),
        None => Ok(()),
    }
}

/// The names that the stack wants.
pub fn check(scene: &Scene) -> Vec<Finding> {
    let project = &scene.config.name;
    let is_other = |folder: &str| is_other(scene.checkout, folder);
    if let Some(problem) = other_checkout(&scene.engine, project, is_other) {
        return vec![Finding::error(CHECK, problem)];
    }
    let taken = taken_names(&scene.engine, scene.config);
    if taken.is_empty() {
        let what = format!("nothing else uses the names of the project {project}");
        return vec![Finding::good(CHECK, what)];
    }
    taken
}

/// Whether another checkout is in this folder: one that was moved is none.
fn is_other(checkout: &Checkout, folder: &str) -> bool {
    let theirs = Path::new(folder);
    let is_same = fs::canonicalize(theirs).ok() == fs::canonicalize(checkout.stack()).ok();
    !is_same && theirs.join("docker-compose.yml").is_file()
}

/// Another checkout whose containers carry our project's name. `is_other` knows whether a folder is one.
fn other_checkout(
    engine: &Engine,
    project: &str,
    is_other: impl Fn(&str) -> bool,
) -> Option<Problem> {
    let other = engine
        .containers
        .iter()
        .find(|it| it.project == project && !it.folder.is_empty() && is_other(&it.folder))?;
    let folder = &other.folder;
    let what = format!("the project {project} is the stack of another checkout, in {folder}");
    let hint = "work there; or stop it there with `cargo xtask down`, and `cargo xtask up` here continues with \
         its data; or set COMPOSE_PROJECT_NAME in deploy/analytics/.env to a name of its own, and names \
         and ports in deploy/analytics/docker-compose.override.yml";
    Some(Problem::new(what).hint(hint))
}

/// Names that the stack wants and something else has.
fn taken_names(engine: &Engine, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    let services = config.services.values();
    for name in services.filter_map(|service| service.container_name.as_ref()) {
        findings.extend(foreign(&engine.containers, name, config).map(container_taken));
    }
    for network in config.networks.values().filter(|it| !it.external) {
        findings.extend(foreign(&engine.networks, &network.name, config).map(network_taken));
    }
    for network in config.networks.values().filter(|it| it.external) {
        let is_there = engine.networks.iter().any(|it| it.name == network.name);
        findings.extend((!is_there).then(|| network_missing(&network.name)));
    }
    for volume in config.volumes.values().filter(|it| !it.external) {
        findings.extend(foreign(&engine.volumes, &volume.name, config).map(volume_taken));
    }
    findings
}

/// What has a name and is not of our project.
fn foreign<'a>(things: &'a [Thing], name: &str, config: &Config) -> Option<&'a Thing> {
    let mut named = things.iter().filter(|thing| thing.name == name);
    named.find(|thing| thing.project != config.name)
}

fn describe_owner(thing: &Thing) -> String {
    match (thing.project.as_str(), thing.folder.as_str()) {
        ("", _) => "made by hand".to_owned(),
        (project, "") => format!("of the project {project}"),
        (project, folder) => format!("of the project {project} in {folder}"),
    }
}

fn container_taken(container: &Thing) -> Finding {
    let (name, owner) = (&container.name, describe_owner(container));
    let what = format!("the container name {name} is taken by a container {owner}");
    let hint = format!("free the name and keep the container: `docker rename {name} {name}-old`");
    Finding::error(CHECK, Problem::new(what).hint(hint))
}

fn network_taken(network: &Thing) -> Finding {
    let (name, owner) = (&network.name, describe_owner(network));
    let what = format!("the network name {name} is taken by a network {owner}");
    let hint = format!("`docker network rm {name}` frees the name, once nothing uses it");
    Finding::error(CHECK, Problem::new(what).hint(hint))
}

fn network_missing(name: &str) -> Finding {
    let what = format!("there is no network {name}, which DIRECTUS_NETWORK or an override names");
    let hint = "`docker network ls` shows the networks; one that Directus' Compose file makes is there once \
                Directus was started";
    Finding::error(CHECK, Problem::new(what).hint(hint))
}

fn volume_taken(volume: &Thing) -> Finding {
    let what = format!(
        "the volume {} is one {}",
        volume.name,
        describe_owner(volume)
    );
    if volume.project.is_empty() {
        let hint = format!(
            "nothing, if you made it for this stack: it will be used; `docker volume inspect {}` shows it",
            volume.name
        );
        return Finding::warning(CHECK, Problem::new(what).hint(hint));
    }
    let hint = "set COMPOSE_PROJECT_NAME in deploy/analytics/.env to a name of its own";
    Finding::error(CHECK, Problem::new(what).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;
    use crate::docker::engine::parse_things;

    const CONFIG: &str = "name: analytics\nservices:\n  umami: {container_name: umami}\n  redis: {}\n\
                          networks:\n  n: {name: analytics-network}\n  e: {name: shared, external: true}\n\
                          volumes:\n  v: {name: analytics_postgres_data}\n";

    fn engine(containers: &str, networks: &str, volumes: &str) -> Engine {
        let [containers, networks, volumes] = [containers, networks, volumes].map(parse_things);
        Engine {
            containers,
            networks,
            volumes,
            ..Engine::default()
        }
    }

    #[track_caller]
    fn check(engine: &Engine, level: Level, words: &str) {
        let findings = taken_names(engine, &Config::parse(CONFIG).unwrap());
        assert_eq!(findings.len(), 1, "{findings:?}");
        let is_as_expected = findings[0].level == level && findings[0].problem.what.contains(words);
        assert!(is_as_expected, "{findings:?}");
    }

    #[test]
    fn names_that_something_else_has_are_found_with_their_owner() {
        let shared = "shared\t\n";
        let by_hand = engine("umami\t\t\t\n", shared, "");
        let words = "container name umami is taken by a container made by hand";
        check(&by_hand, Level::Error, words);
        let other = engine("umami\tother\t/o\t\n", shared, "");
        check(&other, Level::Error, "of the project other in /o");
        let network = engine("", "shared\t\nanalytics-network\tother\n", "");
        check(&network, Level::Error, "network name analytics-network");
        let volume = engine("", shared, "analytics_postgres_data\tother\n");
        check(&volume, Level::Error, "of the project other");
        let volume = engine("", shared, "analytics_postgres_data\t\n");
        check(&volume, Level::Warning, "made by hand");
        check(
            &engine("", "", ""),
            Level::Error,
            "there is no network shared",
        );
    }

    #[test]
    fn our_own_names_are_not_taken() {
        let containers = "umami\tanalytics\t/c\t\nredis\t\t\t\n";
        let networks = "analytics-network\tanalytics\nshared\t\n";
        let ours = engine(containers, networks, "");
        assert_eq!(taken_names(&ours, &Config::parse(CONFIG).unwrap()), []);
    }

    #[test]
    fn the_stack_of_another_checkout_is_left_alone() {
        let containers = "umami\tanalytics\t/there\t\nx\tother\t/elsewhere\t\n";
        let there = engine(containers, "", "");
        let problem = other_checkout(&there, "analytics", |folder| folder != "/here").unwrap();
        assert!(problem.what.contains("/there"), "{problem:?}");
        let ours = other_checkout(&there, "analytics", |folder| folder != "/there");
        assert_eq!(ours, None);
    }
}
