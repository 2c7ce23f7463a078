//! `clean` deletes what carries the project's label, and nothing else.

use std::process::Command;

use crate::checkout::{Checkout, Run};

#[track_caller]
fn docker(arguments: &[&str]) -> String {
    let run = Run::of(Command::new("docker").args(arguments)).success();
    run.stdout.trim().to_owned()
}

/// The names of what the engine has of a kind with the project's label.
fn labelled(kind: &str, project: &str) -> String {
    let filter = format!("label=com.docker.compose.project={project}");
    docker(&[kind, "ls", "--quiet", "--filter", &filter])
}

#[test]
#[ignore = "makes containers"]
fn clean_deletes_what_the_configuration_no_longer_names() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let project = &checkout.project;
    let label = format!("--label=com.docker.compose.project={project}");
    let name = |what: &str| format!("{project}-{what}");
    let (network, kept) = (name("earlier-network"), name("earlier-volume"));
    docker(&["network", "create", &label, &network]);
    docker(&["volume", "create", &label, &kept]);
    let image = "analytics-standin/redis:7";
    let make = |name: &str, more: &[&str]| {
        let create = ["create", &label, "--name", name, "--volume", "/unnamed"];
        docker(&[&create[..], more, &[image]].concat());
        let format = "{{range .Mounts}}{{.Name}} {{end}}";
        docker(&["inspect", "--format", format, name])
    };
    let one_off = "--label=com.docker.compose.oneoff=True";
    let service = "--label=com.docker.compose.service=umami";
    // The image has a volume of its own besides.
    let unnamed = [
        make(&name("run"), &[one_off, service, "--network", &network]),
        make(
            &name("orphan"),
            &["--label=com.docker.compose.service=gone"],
        ),
    ];
    let mine = name("not-ours");
    docker(&["network", "create", &mine]);

    let clean = checkout.xtask(&["clean", "--yes", "--no-backup"]).success();
    let clean = clean.says(&network).says("and 4 unnamed volumes");
    clean.says(&format!("not the volume {kept}"));
    assert_eq!(labelled("network", project), "");
    assert_eq!(labelled("container", project), "");
    assert_eq!(labelled("volume", project), kept);
    let volumes = docker(&["volume", "ls", "--quiet"]);
    let mut unnamed = unnamed.iter().flat_map(|it| it.split(' '));
    assert!(unnamed.all(|it| !volumes.contains(it)), "{volumes}");

    docker(&["network", "rm", &mine]);
    let again = checkout.xtask(&["clean", "--yes"]).success();
    again.says("nothing to delete");
    docker(&["volume", "rm", &kept]);
}

#[test]
#[ignore = "makes containers"]
fn clean_names_what_something_else_uses() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let project = &checkout.project;
    let label = format!("--label=com.docker.compose.project={project}");
    let (network, user) = (format!("{project}-shared"), format!("{project}-user"));
    docker(&["network", "create", &label, &network]);
    let run = [
        "run",
        "--detach",
        "--rm",
        "--name",
        &user,
        "--network",
        &network,
    ];
    docker(&[&run[..], &["analytics-standin/redis:7"]].concat());

    let clean = checkout.xtask(&["clean", "--yes", "--no-backup"]).code(1);
    clean.says(&format!("something else uses it: {network}"));
    docker(&["rm", "--force", &user]);
    let clean = checkout.xtask(&["clean", "--yes", "--no-backup"]);
    clean.success();
    assert_eq!(labelled("network", project), "");
}
