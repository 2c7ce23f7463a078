//! Production's containers one by one, beside each other in a network of their own, as `stack.yml` runs them.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tempfile::TempDir;

use crate::checkout::{Run, repository};
use crate::faults::until;

const POSTGRES: &str = "analytics-standin/production-postgres:15";
const CADDY: &str = "analytics-standin/caddy:2.11";

/// Answers each request with what it was told.
const ECHO: &str = "
import http.server
class Echo(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get('Content-Length') or 0))
        self.send_response(200)
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(str(self.headers).encode())
    do_POST = do_HEAD = do_GET
import sys
http.server.ThreadingHTTPServer(('', int(sys.argv[1])), Echo).serve_forever()
";

/// Containers, with their network, volumes and files; all of it is gone with the value.
pub struct Lab {
    pub name: String,
    files: TempDir,
}

impl Lab {
    pub fn new() -> Lab {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let lab = Lab {
            name: format!("xtask-lab-{}-{number}", std::process::id()),
            files: tempfile::tempdir().unwrap(),
        };
        lab.docker(&["network", "create", &lab.name]);
        lab
    }

    #[track_caller]
    pub fn docker(&self, arguments: &[&str]) -> String {
        let run = docker(arguments).success();
        run.stdout.trim().to_owned()
    }

    pub fn name_of(&self, service: &str) -> String {
        format!("{}-{service}", self.name)
    }

    /// Starts a container that the others know by the service's name: its image, then its command.
    #[track_caller]
    pub fn start(&self, service: &str, options: &[&str], command: &[&str]) {
        let name = self.name_of(service);
        let mut words = vec!["run", "--detach", "--name", &name, "--network", &self.name];
        words.extend(["--network-alias", service, "--label", &self.name]);
        words.extend(["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]);
        words.extend(options);
        words.extend(command);
        self.docker(&words);
    }

    pub fn run(&self, service: &str, command: &[&str]) -> Run {
        let name = self.name_of(service);
        docker(&[&["exec", &name], command].concat())
    }

    /// A command in a container of PostgreSQL's image that is nobody's.
    pub fn in_network(&self, command: &[&str]) -> Run {
        docker(&[&["run", "--rm", "--network", &self.name, POSTGRES], command].concat())
    }

    pub fn logs(&self, service: &str) -> String {
        let run = docker(&["logs", &self.name_of(service)]);
        run.stdout + &run.stderr
    }

    /// Puts a file of production into the container's /tmp.
    pub fn copy(&self, file: &str, service: &str) {
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        let script = format!("cat >/tmp/{name} <<'END'\n{}END\n", artifact(file));
        self.run(service, &["sh", "-c", &script]).success();
    }

    /// An S3 server and the bucket for backups, and what pgBackRest needs to know of them.
    pub fn start_bucket(&self) {
        let buckets = format!("{}-buckets:/data", self.name);
        let mut options = vec!["--volume", &buckets];
        for variable in ["KEY=key", "SECRET=secret", "BUCKET=backups", "NAME=s3"] {
            options.extend(["--env", variable]);
        }
        self.start("s3", &options, &["analytics-standin/s3:1"]);
        until("the bucket", || self.logs("s3").contains("Starting s3"));
        let authority = self.run("s3", &["cat", "/data/authority.pem"]).success();
        self.write("authority.pem", &authority.stdout);
        let secret =
            "[global]\nrepo1-s3-key=key\nrepo1-s3-key-secret=secret\nrepo1-cipher-pass=cipher\n";
        self.write("secret.conf", secret);
    }

    #[track_caller]
    pub fn start_postgres(&self, service: &str) {
        self.start_with_database(service, &["serve.sh"]);
        until("PostgreSQL", || self.is_ready(service));
    }

    /// A container of PostgreSQL's image, with the volumes and settings that they all have.
    #[track_caller]
    pub fn start_with_database(&self, service: &str, command: &[&str]) {
        let options = self.database_options();
        let options: Vec<&str> = options.iter().map(String::as_str).collect();
        self.start(service, &options, &[&[POSTGRES], command].concat());
    }

    pub fn is_ready(&self, service: &str) -> bool {
        // Over TCP, as the health check does.
        let run = self.run(service, &["pg_isready", "--host", "127.0.0.1"]);
        run.code == Some(0)
    }

    #[track_caller]
    pub fn restart_postgres(&self) {
        self.docker(&["restart", &self.name_of("postgres")]);
        until("PostgreSQL", || self.is_ready("postgres"));
    }

    #[track_caller]
    pub fn sql(&self, service: &str, database: &str, statement: &str) -> String {
        let words = [
            "psql",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--dbname",
            database,
        ];
        let run = self.run(service, &[&words[..], &["--command", statement]].concat());
        run.success().stdout.trim().to_owned()
    }

    /// One operation on the backups.
    pub fn operate(&self, command: &[&str]) -> Run {
        let options = self.database_options();
        let mut words = vec![
            "run",
            "--rm",
            "--network",
            &self.name,
            "--label",
            &self.name,
        ];
        words.extend(["--read-only", "--cap-drop", "ALL", "--tmpfs", "/tmp"]);
        words.extend(options.iter().map(String::as_str));
        words.push(POSTGRES);
        docker(&[&words, command].concat())
    }

    /// The JSON that an operation prints, alone on its stdout.
    #[track_caller]
    pub fn result(&self, command: &[&str]) -> Value {
        let run = self.operate(command).success();
        serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {}", run.stdout))
    }

    /// The edge, and the address at which it listens on this machine for HTTP.
    #[track_caller]
    pub fn start_edge(&self, tls: &str) -> String {
        self.start_edge_behind(tls, "127.0.0.1/32")
    }

    /// The same behind proxies with these addresses.
    #[track_caller]
    pub fn start_edge_behind(&self, tls: &str, proxies: &str) -> String {
        let file = mount(
            &repository().join("deploy/production/Caddyfile"),
            "/etc/caddy/Caddyfile",
        );
        let tls = format!("TLS={tls}");
        let proxies = format!("TRUSTED_PROXIES={proxies}");
        let mut options = vec![
            "--cap-add",
            "NET_BIND_SERVICE",
            "--publish",
            "127.0.0.1::80",
        ];
        options.extend([
            "--tmpfs", "/data", "--tmpfs", "/config", "--volume", &file, "--env", &tls,
        ]);
        options.extend(["--env", &proxies]);
        for variable in [
            "UMAMI_HOSTNAME=analytics.example.com",
            "GLITCHTIP_HOSTNAME=errors.example.com",
            "ADMIN_EMAIL=admin@example.com",
            "ACME_DIRECTORY=https://127.0.0.1/directory",
        ] {
            options.extend(["--env", variable]);
        }
        for name in ["analytics.example.com", "errors.example.com"] {
            options.extend(["--network-alias", name]);
        }
        let config = "/etc/caddy/Caddyfile";
        let run = [
            CADDY,
            "caddy",
            "run",
            "--config",
            config,
            "--adapter",
            "caddyfile",
        ];
        self.start("edge", &options, &run);
        let healthy = [
            "wget",
            "-q",
            "-O",
            "/dev/null",
            "http://127.0.0.1:2020/healthy",
        ];
        until("the edge", || self.run("edge", &healthy).code == Some(0));
        let port = self.docker(&["port", &self.name_of("edge"), "80/tcp"]);
        format!("http://{}", port.lines().next().unwrap())
    }

    /// A server that notes who calls it.
    #[track_caller]
    pub fn start_heartbeat(&self) {
        let options = ["--cap-add", "NET_BIND_SERVICE"];
        let command = [
            CADDY,
            "caddy",
            "respond",
            "--listen",
            ":80",
            "--access-log",
            "noted",
        ];
        self.start("heartbeat", &options, &command);
    }

    /// An application that answers with the headers of the request.
    #[track_caller]
    pub fn start_echo(&self, service: &str, port: &str) {
        let image = "analytics-standin/umami:3";
        self.start(service, &["--init"], &[image, "python3", "-c", ECHO, port]);
    }

    fn database_options(&self) -> Vec<String> {
        let mut options = vec!["--init".to_owned()];
        for (volume, target) in [
            ("data", "/var/lib/postgresql/data"),
            ("socket", "/var/run/postgresql"),
            ("drill", "/var/lib/postgresql/drill"),
        ] {
            options.extend([
                "--volume".to_owned(),
                format!("{}-{volume}:{target}", self.name),
            ]);
        }
        let conf = repository().join("deploy/production/pgbackrest.conf");
        for (file, target) in [
            (conf, "/etc/pgbackrest/pgbackrest.conf"),
            (
                self.files.path().join("secret.conf"),
                "/etc/pgbackrest/conf.d/secret.conf",
            ),
            (self.files.path().join("authority.pem"), "/trusted-ca.crt"),
        ] {
            if file.exists() {
                options.extend(["--volume".to_owned(), mount(&file, target)]);
            }
        }
        for variable in [
            "PGBACKREST_REPO1_S3_ENDPOINT=s3",
            "PGBACKREST_REPO1_S3_BUCKET=backups",
            "PGBACKREST_REPO1_S3_REGION=us-east-1",
            "PGBACKREST_REPO1_S3_URI_STYLE=path",
            "PGBACKREST_REPO1_PATH=/analytics",
            "PGBACKREST_REPO1_RETENTION_FULL=30",
            "SSL_CERT_FILE=/trusted-ca.crt",
            "BACKUP_HOURS=24",
            "BACKUP_FULL_DAYS=7",
            "DRILL_DAYS=7",
            "HEARTBEAT_URL=http://heartbeat/backups-are-well",
        ] {
            options.extend(["--env".to_owned(), variable.to_owned()]);
        }
        options
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.files.path().join(name), text).unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let label = format!("label={}", self.name);
        let containers = docker(&["ps", "--all", "--quiet", "--filter", &label]).stdout;
        for container in containers.lines() {
            docker(&["rm", "--force", "--volumes", container]);
        }
        let volumes = docker(&[
            "volume",
            "ls",
            "--quiet",
            "--filter",
            &format!("name={}-", self.name),
        ])
        .stdout;
        for volume in volumes.lines() {
            docker(&["volume", "rm", volume]);
        }
        docker(&["network", "rm", &self.name]);
    }
}

/// The text of a file of production.
pub fn artifact(name: &str) -> String {
    fs::read_to_string(repository().join("deploy/production").join(name)).unwrap()
}

fn docker(arguments: &[&str]) -> Run {
    Run::of(Command::new("docker").args(arguments))
}

fn mount(file: &Path, target: &str) -> String {
    format!("{}:{target}:ro", file.to_str().unwrap())
}
