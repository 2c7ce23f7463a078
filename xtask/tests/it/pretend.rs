//! A `docker` that pretends: it has a healthy stack, does nothing, and takes notes of what it is told.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::checkout::{Checkout, Run};

/// The services, in the order of start.
const SERVICES: [&str; 9] = [
    "postgres",
    "redis",
    "postgres-init",
    "umami-migrate",
    "umami-accounts",
    "umami",
    "glitchtip-migrate",
    "glitchtip-web",
    "glitchtip-worker",
];

const ONE_SHOTS: [&str; 4] = [
    "postgres-init",
    "umami-migrate",
    "umami-accounts",
    "glitchtip-migrate",
];

/// What every helper container prints.
pub const SAID: &str = "pretended";

const SCRIPT: &str = r#"#!/bin/sh
# Answers as docker does, from the files beside it.
here=$(dirname "$0")
echo "$*" >> "$here/notes"
case $* in
  'version '*) echo '{"Server":{"Version":"26.1.5"}}' ;;
  'compose version --short') echo 2.26.1 ;;
  'compose config --hash '*) cat "$here/hashes" ;;
  *'compose'*' config'*) cat "$here/config.yml" ;;
  'compose --progress plain up '*)
    rm -f "$here/is-down" "$here/has-stopped"
    [ ! -e "$here/stops" ] || mv "$here/stops" "$here/has-stopped" ;;
  'compose stop '*)
    [ -e "$here/is-slow" ] || exit 0
    rm "$here/is-slow"
    until [ -e "$here/goes-on" ]; do sleep 0.05; done
    echo stopping >&2; echo stopping >&2
    touch "$here/did-stop" ;;
  'compose run '*) cat >/dev/null; echo set ;;
  'compose '*) ;;
  *'label=xtask.tool'*) ;;
  'ps --all --quiet'*) [ -e "$here/is-down" ] || cat "$here/ids" ;;
  'inspect '*) [ -e "$here/has-stopped" ] && cat "$here/stopped.json" || cat "$here/containers.json" ;;
  'image inspect '*) cat "$here/images.json" ;;
  'events '*) exec sleep 600 ;;
  'run '*' probe.sh '*) cat >/dev/null; echo image 15; echo data 15 ;;
  'run '*) cat >/dev/null; echo pretended ;;
esac
"#;

/// A checkout on which only the pretending docker works.
pub struct Pretended {
    pub checkout: Checkout,
}

impl Pretended {
    /// With a complete `.env`.
    pub fn new() -> Pretended {
        let checkout = Checkout::new();
        checkout.xtask(&["setup"]).success();
        let folder = checkout.root().join("pretend");
        fs::create_dir(&folder).unwrap();
        let files = [
            ("docker", SCRIPT.to_owned()),
            ("config.yml", config(&checkout)),
            ("hashes", lines(|service| format!("{service} hash"))),
            ("ids", lines(|service| format!("id-{service}"))),
            ("containers.json", containers("")),
            ("stopped.json", containers("glitchtip-worker")),
            ("images.json", images()),
            ("notes", String::new()),
        ];
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        fs::set_permissions(folder.join("docker"), fs::Permissions::from_mode(0o755)).unwrap();
        Pretended { checkout }
    }

    pub fn xtask(&self, arguments: &[&str]) -> Run {
        Run::of(&mut self.command(arguments))
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let path = std::env::var("PATH").unwrap();
        let folder = self.checkout.root().join("pretend");
        let mut command = self.checkout.xtask_command(arguments);
        command.env("PATH", format!("{}:{path}", folder.display()));
        command
    }

    /// From now on nothing runs, until it is started.
    pub fn is_down(&self) {
        self.note("is-down");
    }

    /// glitchtip-worker stops right after the next start, unless it is started again.
    pub fn worker_stops(&self) {
        self.note("stops");
    }

    /// The next `compose stop` waits, says something when [`Pretended::goes_on`], and notes that it came to its end.
    pub fn stop_is_slow(&self) {
        self.note("is-slow");
    }

    pub fn goes_on(&self) {
        self.note("goes-on");
    }

    pub fn did_stop(&self) -> bool {
        self.checkout.root().join("pretend/did-stop").exists()
    }

    fn note(&self, name: &str) {
        fs::write(self.checkout.root().join("pretend").join(name), "").unwrap();
    }

    /// What docker was told, a command a line.
    pub fn notes(&self) -> Vec<String> {
        let notes = fs::read_to_string(self.checkout.root().join("pretend/notes")).unwrap();
        notes.lines().map(str::to_owned).collect()
    }
}

fn lines(line: impl Fn(&str) -> String) -> String {
    SERVICES
        .iter()
        .map(|service| format!("{}\n", line(service)))
        .collect()
}

fn config(checkout: &Checkout) -> String {
    let project = &checkout.project;
    let mut text = format!("name: {project}\nservices:\n");
    for service in SERVICES {
        text.push_str(&format!("  {service}:\n    image: {}\n", image(service)));
        let waits_for: &[&str] = match service {
            "umami" => &["umami-accounts", "umami-migrate", "postgres-init"],
            "glitchtip-web" | "glitchtip-worker" => &["glitchtip-migrate"],
            _ => &[],
        };
        if !waits_for.is_empty() {
            text.push_str("    depends_on:\n");
        }
        for other in waits_for {
            let condition = "service_completed_successfully";
            text.push_str(&format!("      {other}: {{condition: {condition}}}\n"));
        }
        text.push_str(&environment(service));
        if service == "postgres" {
            let volume = "{type: volume, source: postgres_data, target: /data}";
            text.push_str(&format!("    volumes: [{volume}]\n"));
        }
        // Nothing listens on port 9 (discard).
        if ["umami", "glitchtip-web"].contains(&service) {
            text.push_str("    ports: [{host_ip: 127.0.0.1, published: '9', target: 3000}]\n");
        }
    }
    text.push_str("networks: {analytics-network: {name: pretended}}\nvolumes:\n");
    for volume in [
        "postgres_data",
        "redis_data",
        "glitchtip_uploads",
        "postgres_socket",
    ] {
        text.push_str(&format!("  {volume}: {{name: {project}_{volume}}}\n"));
    }
    text
}

fn environment(service: &str) -> String {
    let names: &[(&str, &str)] = match service {
        "postgres" => &[("POSTGRES_USER", "analytics_admin")],
        "postgres-init" => &[
            ("UMAMI_DATABASE", "umami_db"),
            ("GLITCHTIP_DATABASE", "glitchtip_db"),
        ],
        _ => return String::new(),
    };
    let lines = names
        .iter()
        .map(|(name, value)| format!("      {name}: {value}\n"));
    format!("    environment:\n{}", lines.collect::<String>())
}

fn image(service: &str) -> &'static str {
    match service {
        "redis" => "redis:7",
        "umami" | "umami-migrate" => "umami:3",
        _ if service.starts_with("glitchtip") => "glitchtip:6",
        _ => "postgres:15",
    }
}

/// All run, but one.
fn containers(stopped: &str) -> String {
    let container = |service: &&str| {
        let state = if ONE_SHOTS.contains(service) || *service == stopped {
            r#"{"Status":"exited","ExitCode":0}"#
        } else {
            r#"{"Status":"running","Health":{"Status":"healthy","Log":[]}}"#
        };
        let image = image(service);
        let label = "com.docker.compose";
        let ports = if ["umami", "glitchtip-web"].contains(service) {
            r#"{"3000/tcp":[{"HostIp":"127.0.0.1","HostPort":"9"}]}"#
        } else {
            "{}"
        };
        format!(
            r#"{{"Id":"id-{service}","Name":"/{service}","Image":"sha256:{image}","State":{state},
            "Config":{{"Image":"{image}","Labels":{{"{label}.service":"{service}",
            "{label}.config-hash":"hash"}}}},"HostConfig":{{}},"NetworkSettings":{{"Ports":{ports}}}}}"#
        )
    };
    format!(
        "[{}]",
        SERVICES.iter().map(container).collect::<Vec<_>>().join(",")
    )
}

fn images() -> String {
    let image = |name: &str| format!(r#"{{"Id":"sha256:{name}","RepoTags":["{name}"]}}"#);
    let names = ["postgres:15", "redis:7", "umami:3", "glitchtip:6"];
    format!("[{}]", names.map(image).join(","))
}
