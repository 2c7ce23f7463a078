//! `cargo xtask production nodes`, with a docker that pretends to be a manager of three nodes and takes notes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::checkout::{Checkout, Run, repository};

/// `n1` has the data and the only edge, `n2` the older of two engines, `n3` is dead; umami is on `n1` and `n2`.
const SCRIPT: &str = r#"#!/bin/sh
# Answers as docker does, from the files beside it.
here=$(dirname "$0")
echo "$*" >> "$here/notes"
case $* in
  'version '*) echo '{"Server":{"Version":"26.1.5"}}' ;;
  'compose version --short') echo 2.26.1 ;;
  'info --format {{json .Swarm}}') cat "$here/swarm.json" ;;
  'node ls --quiet') echo all ;;
  'inspect --type node '*) cat "$here/nodes.json" ;;
  'service ls --quiet '*) echo all ;;
  'inspect --type service '*) cat "$here/services.json" ;;
  'service ps '*) echo all ;;
  'inspect --type task '*)
    if [ -e "$here/drained" ]; then cat "$here/tasks-drained.json"; else cat "$here/tasks.json"; fi ;;
  'config ls '*) echo analytics_release_1 ;;
  'config inspect '*) cat "$here/releases.json" ;;
  'config create '*) cat >/dev/null ;;
  'node update --availability drain '*) touch "$here/drained" ;;
  'node update '* | 'node rm '* | 'node promote '* | 'node demote '* | 'config rm '*) ;;
  *) echo "no answer to: $*" >&2; exit 1 ;;
esac
"#;

struct Pretended {
    checkout: Checkout,
}

#[test]
fn nodes_are_listed_with_what_stops_with_them_and_what_is_known_against_their_engines() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&[]).success();
    assert_eq!(
        run.stdout,
        "\
NODE  ROLE     STATE  AVAILABILITY  ENGINE  LABELS     TASKS  STOPS WITH IT
n1    leader   ready  active        26.1.5  data,edge  3      edge,postgres
n2    manager  ready  active        29.1.0  -          1      -
n3    manager  down   active        26.1.5  member=2   0      -

2 of 3 managers are reachable; none of them may fail
"
    );
    run.says("warning: the engine 29.1.0 of n2 loses names");
    let json = swarm.nodes(&["--json"]).success().stdout;
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["version"], 1);
    assert_eq!(report["nodes"][2]["labels"]["member"], "2");
    swarm.changed_nothing();
}

#[test]
fn the_only_copy_of_the_databases_is_not_drained_away() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&["drain", "n1", "--yes"]).code(1);
    run.says("n1 has what no other node has: edge, postgres")
        .says("DATABASE=ha");
    swarm.nodes(&["drain", "n9"]).code(1).says("no node n9");
    swarm.changed_nothing();
}

#[test]
fn a_node_is_drained_after_a_question_and_everything_runs_elsewhere() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&["drain", "n2", "--dry-run"]).success();
    assert_eq!(run.stdout, "would drain n2, which runs a task of umami\n");
    swarm.changed_nothing();
    let run = swarm.nodes(&["drain", "n2"]).code(1);
    run.says("there is no terminal").says("--yes");
    assert_eq!(swarm.changes(), LOCKED);

    let run = swarm.nodes(&["drain", "n2", "--yes"]).success();
    run.says("drained: n2 runs nothing of analytics");
    let [lock, unlock] = LOCKED;
    let drain = "node update --availability drain n2-id";
    assert_eq!(swarm.changes()[2..], [lock, drain, unlock]);
}

#[test]
fn a_dead_node_is_replaced_and_removed_last() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&["replace", "n2", "n3", "--yes"]).code(1);
    run.says("n2 is not dead");
    swarm.changed_nothing();

    let run = swarm.nodes(&["replace", "n3", "n2", "--yes"]).success();
    run.says("replaced: n2 has the place of n3");
    let [lock, unlock] = LOCKED;
    let changes = [
        lock,
        "node update --label-add analytics.member=2 n2-id",
        "node demote n3-id",
        "node rm --force n3-id",
        unlock,
    ];
    assert_eq!(swarm.changes(), changes);
}

#[test]
fn nothing_is_placed_anew_that_is_spread() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&["rebalance"]).success();
    run.says("already spread");
    let run = swarm.nodes(&["activate", "n2"]).success();
    run.says("already active: n2");
    swarm.changed_nothing();
}

#[test]
fn a_machine_is_added_by_hand_without_its_token_being_shown() {
    let swarm = Pretended::new();
    let run = swarm.nodes(&["add"]).success();
    for role in ["worker", "manager"] {
        let command = format!(
            "docker --host tcp://127.0.0.1:9 swarm join-token --quiet {role} | ssh USER@MACHINE \
             'read -r token; docker swarm join --token \"$token\" 10.0.0.1:2377'"
        );
        assert!(run.stdout.contains(&command), "{}", run.stdout);
    }
    let notes = swarm.notes().join("\n");
    assert!(!notes.contains("join-token"), "{notes}");
    let run = swarm
        .nodes(&["add", "ssh://me@n4", "--label", "a b"])
        .code(2);
    run.says("member=2");
}

#[test]
fn a_swarm_without_a_leader_says_so_and_what_to_do() {
    let swarm = Pretended::new();
    let lost = json!({"NodeID": "n1-id", "LocalNodeState": "active", "ControlAvailable": true,
        "Error": "rpc error: code = Unknown desc = The swarm does not have a leader.",
        "RemoteManagers": [{"NodeID": "n1-id", "Addr": "10.0.0.1:2377"}]});
    swarm.write("swarm.json", &lost);
    for verb in [&["nodes"][..], &["status"], &["deploy"]] {
        let run = swarm.production(verb).code(1);
        run.says("error: the swarm has no leader")
            .says("managers: 10.0.0.1:2377")
            .says("Half of the managers are gone");
    }
}

/// What taking the lock and giving it back look like.
const LOCKED: [&str; 2] = ["config create analytics_lock", "config rm analytics_lock"];

impl Pretended {
    fn new() -> Pretended {
        let checkout = Checkout::new();
        let copied = ["deploy/production"].map(|folder| repository().join(folder));
        let mut copy = std::process::Command::new("cp");
        copy.arg("--recursive").args(copied);
        Run::of(copy.arg(checkout.root().join("deploy"))).success();
        let _ = fs::remove_file(checkout.root().join("deploy/production/.env"));
        fs::create_dir(checkout.root().join("pretend")).unwrap();
        let swarm = Pretended { checkout };
        swarm.production(&["setup"]).code(1);
        let env = swarm.checkout.root().join("deploy/production/.env");
        let text = fs::read_to_string(&env).unwrap() + "TARGET=tcp://127.0.0.1:9\n";
        fs::write(env, text).unwrap();

        let docker = swarm.path("docker");
        fs::write(&docker, SCRIPT).unwrap();
        fs::set_permissions(docker, fs::Permissions::from_mode(0o755)).unwrap();
        let membership =
            json!({"NodeID": "n1-id", "LocalNodeState": "active", "ControlAvailable": true});
        swarm.write("swarm.json", &membership);
        swarm.write("nodes.json", &nodes());
        swarm.write("services.json", &services());
        swarm.write("tasks.json", &tasks("n2"));
        swarm.write("tasks-drained.json", &tasks("n1"));
        swarm.write("releases.json", &release());
        swarm
    }

    fn path(&self, name: &str) -> PathBuf {
        self.checkout.root().join("pretend").join(name)
    }

    fn write(&self, name: &str, json: &Value) {
        fs::write(self.path(name), json.to_string()).unwrap();
    }

    fn production(&self, arguments: &[&str]) -> Run {
        let path = std::env::var("PATH").unwrap();
        let folder = self.checkout.root().join("pretend");
        let arguments = [&["production"], arguments].concat();
        let mut command = self.checkout.xtask_command(&arguments);
        Run::of(command.env("PATH", format!("{}:{path}", folder.display())))
    }

    fn nodes(&self, arguments: &[&str]) -> Run {
        self.production(&[&["nodes"], arguments].concat())
    }

    fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.path("notes")).unwrap();
        notes.lines().map(str::to_owned).collect()
    }

    /// What was told to docker that changes something; of the lock only what is done with it.
    fn changes(&self) -> Vec<String> {
        let changes = [
            "update", "rm", "promote", "demote", "create", "scale", "deploy",
        ];
        let is_change = |note: &String| {
            let verb = note.split_whitespace().nth(1);
            verb.is_some_and(|verb| changes.contains(&verb))
        };
        let short = |note: String| match note.strip_prefix("config create ") {
            Some(_) => LOCKED[0].to_owned(),
            None => note,
        };
        self.notes()
            .into_iter()
            .filter(is_change)
            .map(short)
            .collect()
    }

    #[track_caller]
    fn changed_nothing(&self) {
        assert_eq!(self.changes(), [""; 0]);
    }
}

fn nodes() -> Value {
    let node = |name: &str, labels: Value, engine: &str, state: &str| {
        let address = format!("10.0.0.{}", &name[1..]);
        let reachability = if state == "ready" {
            "reachable"
        } else {
            "unreachable"
        };
        json!({"ID": format!("{name}-id"), "Spec": {"Labels": labels, "Availability": "active"},
            "Description": {"Hostname": name, "Platform": {"OS": "linux", "Architecture": "x86_64"},
                "Engine": {"EngineVersion": engine}},
            "Status": {"State": state, "Addr": address},
            "ManagerStatus": {"Leader": name == "n1", "Reachability": reachability,
                "Addr": format!("{address}:2377")}})
    };
    let first = json!({"analytics.data": "true", "analytics.edge": "true"});
    json!([
        node("n1", first, "26.1.5", "ready"),
        node("n2", json!({}), "29.1.0", "ready"),
        node("n3", json!({"analytics.member": "2"}), "26.1.5", "down"),
    ])
}

fn services() -> Value {
    let service = |name: &str, mode: Value, order: &str, constraint: &str| {
        json!({"ID": name, "Spec": {"Name": format!("analytics_{name}"), "Mode": mode,
            "TaskTemplate": {"Placement": {"Constraints": [constraint]}, "ContainerSpec": {"Image": "i"}},
            "UpdateConfig": {"Order": order}}})
    };
    let replicas = |count: u64| json!({"Replicated": {"Replicas": count}});
    let edge = "node.labels.analytics.edge == true";
    let data = "node.labels.analytics.data == true";
    json!([
        service("edge", json!({"Global": {}}), "stop-first", edge),
        service("postgres", replicas(1), "stop-first", data),
        service(
            "umami",
            replicas(2),
            "start-first",
            "node.platform.os == linux"
        ),
    ])
}

/// The second task of umami is on `second`.
fn tasks(second: &str) -> Value {
    let task = |service: &str, node: &str, number: u64| {
        json!({"ID": format!("{service}-{number}"), "ServiceID": service, "NodeID": format!("{node}-id"),
            "DesiredState": "running", "Spec": {"ContainerSpec": {"Image": "i"}}, "Status": {"State": "running"}})
    };
    json!([
        task("edge", "n1", 1),
        task("postgres", "n1", 1),
        task("umami", "n1", 1),
        task("umami", second, 2),
    ])
}

fn release() -> Value {
    let file = "services: {umami: {image: i}}";
    let record = json!({"version": 1, "number": 1, "at": "2026-11-25T13:00:00Z", "by": "me", "stack": file,
        "jobs": file});
    let data = STANDARD.encode(record.to_string());
    json!([{"Spec": {"Name": "analytics_release_1", "Labels": {}, "Data": data}}])
}
