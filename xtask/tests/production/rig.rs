//! The rig of one test: its nodes, and what is done to them. It is gone with the value, also on panic.

use std::net::IpAddr;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::checkout::{Run, repository};

/// Tests take turns: three engines and a load are enough for one machine.
static TURN: Mutex<()> = Mutex::new(());

/// Nodes with an engine each: `n1`, `n2` and so on.
pub struct Rig {
    number: String,
    _turn: MutexGuard<'static, ()>,
}

impl Rig {
    /// Nodes that are one swarm of managers, in place of a rig of that number that was left behind.
    #[track_caller]
    pub fn up(nodes: u8) -> Rig {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let rig = Rig {
            number: std::env::var("RIG_NUMBER").unwrap_or_else(|_| "9".to_owned()),
            _turn: turn,
        };
        rig.run(&["down"]);
        rig.run(&["up", &nodes.to_string()]);
        rig.run(&["swarm"]);
        rig
    }

    /// `.ci/rig`, which must succeed.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Run {
        let start = Instant::now();
        let run = Run::of(self.command().args(arguments)).success();
        println!(
            "{:6.1} s {}",
            start.elapsed().as_secs_f64(),
            arguments.join(" ")
        );
        run
    }

    /// A command of this machine that knows the names of the rig.
    pub fn lab(&self, program: &str) -> Command {
        let mut command = self.command();
        command.args(["lab", program]);
        command
    }

    /// `docker` with the engine of a node.
    pub fn docker(&self, node: &str, arguments: &[&str]) -> Run {
        let mut docker = Command::new("docker");
        Run::of(
            docker
                .args(["--host", &self.engine_url(node)])
                .args(arguments),
        )
    }

    /// The engine of a node that may be down or hang.
    pub fn engine(&self, node: &str) -> Engine {
        Engine(self.engine_url(node))
    }

    /// Where the engine of a node listens.
    pub fn engine_url(&self, node: &str) -> String {
        self.variable(&format!("RIG_{}_HOST", node.to_uppercase()))
    }

    pub fn address(&self, node: &str) -> IpAddr {
        let address = self.variable(&format!("RIG_{}_ADDRESS", node.to_uppercase()));
        address.parse().unwrap()
    }

    /// What `.ci/rig env` says.
    #[track_caller]
    pub fn variable(&self, name: &str) -> String {
        let variables = Run::of(self.command().arg("env")).success().stdout;
        let line = variables
            .lines()
            .find_map(|line| line.strip_prefix(&format!("export {name}=")));
        line.unwrap_or_else(|| panic!("no {name} in {variables}"))
            .to_owned()
    }

    /// The network card by which this machine reaches the nodes.
    pub fn card(&self) -> String {
        format!("rig{}", self.number)
    }

    /// A part of the names of the control groups of a node's containers.
    pub fn group(&self, node: &str) -> String {
        format!("/analytics-rig{}/{node}/", self.number)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(repository().join(".ci/rig"));
        command.env("RIG_NUMBER", &self.number);
        // A leader finds a dead node within 5 seconds instead of 15.
        command.env("RIG_HEARTBEAT", "2s");
        command
    }
}

/// The engine of a node.
pub struct Engine(String);

impl Engine {
    /// What its PostgreSQL answers, whether that is the primary or not; nothing where none does within ten seconds.
    pub fn ask(&self, database: &str, query: &str) -> Option<String> {
        let id = self.database()?;
        let psql = ["exec", &id, "psql", "--username", "analytics_admin"];
        let options = ["--no-align", "--tuples-only", "--quiet"];
        let query = ["--dbname", database, "--command", query];
        self.docker(&[&psql[..], &options, &query].concat())
    }

    /// Whether its PostgreSQL says that it is the primary.
    pub fn is_primary(&self) -> bool {
        let answer = self.ask("postgres", "select not pg_is_in_recovery()");
        answer.as_deref() == Some("t\n")
    }

    /// The container of its PostgreSQL.
    pub fn database(&self) -> Option<String> {
        let filters = [
            "--filter",
            "name=^analytics_postgres",
            "--filter",
            "status=running",
        ];
        let ids = self.docker(&[&["ps", "--quiet"], &filters[..]].concat())?;
        ids.lines().next().map(str::to_owned)
    }

    /// What `docker` prints; nothing where it fails.
    pub fn docker(&self, arguments: &[&str]) -> Option<String> {
        let mut docker = Command::new("timeout");
        docker
            .args(["10", "docker", "--host", &self.0])
            .args(arguments);
        let run = Run::of(&mut docker);
        (run.code == Some(0)).then_some(run.stdout)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.command().arg("down").output();
    }
}

/// Looks again and again until something is so; returns and prints how long that took.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) -> Duration {
    until_within(LONGEST, what, is_so)
}

/// The same with another longest time.
#[track_caller]
pub fn until_within(longest: Duration, what: &str, mut is_so: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < longest, "not within {longest:?}: {what}");
        thread::park_timeout(Duration::from_millis(100));
    }
    let seconds = start.elapsed();
    println!("{:6.1} s until {what}", seconds.as_secs_f64());
    seconds
}

const LONGEST: Duration = Duration::from_secs(90);
