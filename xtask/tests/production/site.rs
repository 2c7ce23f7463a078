//! A checkout whose production runs on the rig.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::checkout::{Checkout, Run, repository};
use crate::rig::{Engine, Rig};

/// What the files ask for, and what stands in for it.
const IMAGES: [(&str, &str); 5] = [
    ("POSTGRES_IMAGE", "analytics-standin/production-postgres:15"),
    ("REDIS_IMAGE", "analytics-standin/redis:7"),
    ("CADDY_IMAGE", "analytics-standin/caddy:2.11"),
    ("UMAMI_IMAGE", "analytics-standin/umami:3"),
    ("GLITCHTIP_IMAGE", "analytics-standin/glitchtip:6"),
];

/// What only its owner knows.
const ANSWERS: [(&str, &str); 15] = [
    ("UMAMI_HOSTNAME", "analytics.rig.test"),
    ("GLITCHTIP_HOSTNAME", "errors.rig.test"),
    ("ADMIN_EMAIL", "admin@example.com"),
    ("SITE_NAME", "rig"),
    ("SITE_DOMAIN", "rig.test"),
    ("GLITCHTIP_ORGANIZATION", "rig"),
    ("GLITCHTIP_FROM_EMAIL", "errors@example.com"),
    ("GLITCHTIP_EMAIL_URL", "consolemail://"),
    ("BACKUP_S3_BUCKET", "backups"),
    ("BACKUP_S3_URI_STYLE", "path"),
    ("BACKUP_S3_KEY", "rig-key"),
    ("BACKUP_S3_KEY_SECRET", "rig-secret"),
    ("BACKUP_S3_ENDPOINT", "s3.rig.test"),
    ("TLS", "internal"),
    ("GLITCHTIP_WORKER_LOG_LEVEL", "WARNING"),
];

/// What else the applications need to run on any node.
const ANYWHERE: [(&str, &str); 8] = [
    ("UMAMI_REPLICAS", "2"),
    ("GLITCHTIP_WEB_REPLICAS", "2"),
    ("GLITCHTIP_WORKER_REPLICAS", "2"),
    ("GLITCHTIP_PLACEMENT", "'node.platform.os == linux'"),
    ("UPLOADS_S3_ENDPOINT", "s3.rig.test"),
    ("UPLOADS_S3_BUCKET", "uploads"),
    ("UPLOADS_S3_KEY", "rig-key"),
    ("UPLOADS_S3_KEY_SECRET", "rig-secret"),
];

pub struct Site {
    pub rig: Rig,
    checkout: Checkout,
    /// Where the database may be.
    nodes: Vec<&'static str>,
}

impl Site {
    /// Everything on one node, as it comes, with certificates of the rig's ACME server.
    #[track_caller]
    pub fn on_one_node() -> Site {
        let site = Site::on(Rig::up(1));
        site.set("TLS", "acme");
        site.set("ACME_DIRECTORY", &site.rig.variable("RIG_ACME_DIRECTORY"));
        site
    }

    /// Two replicas of each application on three nodes; the data is on `n1`, and the names lead to `n1` and `n2`.
    #[track_caller]
    pub fn on_three_nodes() -> Site {
        let mut site = Site::on(Rig::up(3));
        site.look_at(&["n1", "n2", "n3"]);
        for (key, value) in ANYWHERE {
            site.set(key, value);
        }
        for (node, label) in [("n1", "data"), ("n1", "edge"), ("n2", "edge")] {
            let label = format!("analytics.{label}=true");
            site.docker(&["node", "update", "--label-add", &label, node]);
        }
        site
    }

    #[track_caller]
    fn on(rig: Rig) -> Site {
        let images: Vec<&str> = IMAGES.iter().map(|(_, image)| *image).collect();
        rig.run(&[&["load"], &images[..]].concat());
        let site = Site {
            rig,
            checkout: with_production(),
            nodes: vec!["n1"],
        };
        site.production(&["setup"]).code(1);
        for (key, value) in IMAGES.into_iter().chain(ANSWERS) {
            site.set(key, value);
        }
        site.set("TRUSTED_CA_FILE", &site.rig.variable("RIG_CA"));
        site.set("TARGET", &site.rig.engine_url("n1"));
        site
    }

    /// A file of the folder `deploy/production`.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes a value into the env file, in place of what is there.
    #[track_caller]
    pub fn set(&self, key: &str, value: &str) {
        let text = self.read(".env");
        let is_other = |line: &&str| !line.starts_with(&format!("{key}="));
        let mut lines: Vec<&str> = text.lines().filter(is_other).collect();
        let line = format!("{key}={value}");
        lines.push(&line);
        self.write(".env", &(lines.join("\n") + "\n"));
    }

    #[track_caller]
    pub fn variable(&self, key: &str) -> String {
        let text = self.read(".env");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{key}=")));
        line.unwrap_or_else(|| panic!("no {key} in .env"))
            .to_owned()
    }

    pub fn production_command(&self, arguments: &[&str]) -> Command {
        self.checkout
            .xtask_command(&[&["production"], arguments].concat())
    }

    /// A verb of `cargo xtask production`, and how long it took.
    pub fn production(&self, arguments: &[&str]) -> Run {
        let start = Instant::now();
        let run = Run::of(&mut self.production_command(arguments));
        let seconds = start.elapsed().as_secs_f64();
        let words = arguments.join(" ");
        println!(
            "{seconds:6.1} s production {words}: exit code {:?}",
            run.code
        );
        run
    }

    /// `docker` with the engine that the env file names.
    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        self.rig.docker("n1", arguments).success().stdout
    }

    /// The container of a service on `n1`.
    #[track_caller]
    pub fn container(&self, service: &str) -> String {
        let label = format!("label=com.docker.swarm.service.name=analytics_{service}");
        let id = self.docker(&["ps", "--quiet", "--filter", &label]);
        id.trim().to_owned()
    }

    /// SQL as the superuser; its rows, columns parted by `|`.
    #[track_caller]
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let run = self.psql(database, statement).success();
        run.stdout.trim_end().to_owned()
    }

    /// What a query finds; nothing while PostgreSQL does not answer.
    pub fn rows(&self, database: &str, query: &str) -> HashSet<String> {
        let rows = self.ask(database, query).unwrap_or_default();
        rows.lines().map(str::to_owned).collect()
    }

    fn psql(&self, database: &str, statement: &str) -> Run {
        let id = self.container("postgres");
        let exec = [
            "exec",
            &id,
            "psql",
            "--quiet",
            "--no-align",
            "--tuples-only",
        ];
        let what = ["--dbname", database, "--command", statement];
        self.rig.docker("n1", &[&exec[..], &what].concat())
    }

    /// All that the swarm knows of how the services are to run.
    #[track_caller]
    pub fn deployed(&self) -> String {
        let stack = "label=com.docker.stack.namespace=analytics";
        let names = self.docker(&["service", "ls", "--quiet", "--filter", stack]);
        let inspect = ["service", "inspect", "--format", "{{json .Spec}}"];
        let names: Vec<&str> = names.split_whitespace().collect();
        let specs = self.docker(&[&inspect[..], &names].concat());
        let mut specs: Vec<&str> = specs.lines().collect();
        specs.sort_unstable();
        specs.join("\n")
    }

    /// What the primary answers, wherever it is; nothing while there is none.
    pub fn ask(&self, database: &str, query: &str) -> Option<String> {
        let engines = self.nodes.iter().map(|node| self.rig.engine(node));
        let primary = engines.into_iter().find(Engine::is_primary)?;
        primary.ask(database, query)
    }

    /// The nodes that are asked from now on; the others are down.
    pub fn look_at(&mut self, nodes: &[&'static str]) {
        self.nodes = nodes.to_vec();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.checkout.root().join("deploy/production").join(name)
    }
}

/// A checkout with the artifacts of production, and nothing that a user of the tested repository has added.
fn with_production() -> Checkout {
    let checkout = Checkout::new();
    let mut copy = Command::new("cp");
    copy.arg("--recursive")
        .arg(repository().join("deploy/production"));
    Run::of(copy.arg(checkout.root().join("deploy"))).success();
    let _ = fs::remove_file(checkout.root().join("deploy/production/.env"));
    checkout
}
