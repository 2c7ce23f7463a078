//! The whole command line and its help, nothing else.

// By its path, so that a test that reads this file finds it too.
#[path = "cli/nodes.rs"]
pub mod nodes;

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Run your own analytics and error tracking: Umami and GlitchTip on Docker Compose
///
/// The stack is the committed files in deploy/analytics; they work without this tool.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Print each command that is run, shell-quoted, without secrets
    #[arg(long, short, global = true)]
    pub verbose: bool,
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str =
    "Exit codes: 0 success, 1 failure, 2 wrong usage, 3 no right to change the hosts file";

impl Cli {
    /// Reads the command line. `services` is asked for their names where the user names some: one that is
    /// none is wrong usage, with a suggestion; where it knows none, every name is taken. Ends the process
    /// with exit code 2 on wrong usage, with 0 after help.
    pub fn parse_with_services(services: impl FnOnce() -> Vec<String>) -> Cli {
        let parse = |matches| Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        let cli = parse(Cli::command().get_matches());
        let (verb, named) = match &cli.command {
            Command::Restart(Restart { services, .. }) => ("restart", services),
            Command::Logs(Logs { services, .. }) => ("logs", services),
            // Those of production are known to its swarm.
            _ => return cli,
        };
        let known = if named.is_empty() { vec![] } else { services() };
        if known.is_empty() {
            return cli;
        }
        let values = PossibleValuesParser::new(known);
        let command = Cli::command().mut_subcommand(verb, |verb| {
            verb.mut_arg("services", |arg| arg.value_parser(values))
        });
        parse(command.get_matches())
    }
}

#[derive(Subcommand)]
pub enum Command {
    /// Complete deploy/analytics/.env: add missing variables, generate secrets
    Setup,
    /// Start the stack, wait until it is healthy, print the endpoints
    Up(Up),
    /// Stop and remove the containers; the data stays
    Down,
    /// Recreate containers, applying a changed .env or compose file; wait as `up` does
    Restart(Restart),
    /// Show the services' logs, following them until Ctrl-C
    Logs(Logs),
    /// Show each service's state, health, uptime, memory, image and URL
    Status(Status),
    /// Print what the website's code needs: tracking snippet, website id, DSN; nothing secret
    Connect(Connect),
    /// Prove that events arrive: send test events, read them back, name the hop that lost one
    Verify(Verify),
    /// Back up all data to one file and verify it by a test restore; the stack keeps running
    Backup(Backup),
    /// Replace all data with a backup, after backing up the present data
    Restore(Restore),
    /// Generate new secrets and apply them: all, or the ones named
    Rotate(Rotate),
    /// Upgrade to newer images of the pinned versions; roll back if they do not work
    Upgrade(Upgrade),
    /// Delete this project's containers, network and volumes, after asking and a backup; keep .env
    Clean(Clean),
    /// Map the hostnames in .env to this machine, by a block in the hosts file
    #[command(after_help = EXIT_CODES)]
    Hosts(Hosts),
    /// The step of `hosts` that runs as administrator: write the block for NAMES, or remove it if there are none
    #[command(hide = true)]
    HostsAsRoot(HostsAsRoot),
    /// Check this machine, .env and the stack for problems; change nothing without --fix
    Doctor(Doctor),
    /// Work on production: the stack in deploy/production, on a Docker Swarm
    #[command(subcommand)]
    Production(Production),
    /// Run every check: format, lints, tests, and the tests that start containers
    Ci(Ci),
}

#[derive(Subcommand)]
pub enum Production {
    /// Complete deploy/production/.env: generate secrets, ask for the rest; print the DNS records to make
    Setup,
    /// Check .env, the swarm, the names, the edges and the backups for problems; change nothing
    Doctor(ProductionDoctor),
    /// Bring what this checkout and .env say: jobs, rollout, proof; roll back if it does not work
    Deploy(ProductionDeploy),
    /// Show the release, and each service's nodes, tasks, image and update
    Status(Status),
    /// Show the services' logs, following them until Ctrl-C
    Logs(Logs),
    /// Prove that events arrive through every edge: send test events by the public names, read them back
    Verify(ProductionVerify),
    /// Run the release before again; the databases stay as they are
    Rollback(ProductionRollback),
    /// Give the databases new passwords without a failed request, or replace the secrets named
    Rotate(ProductionRotate),
    /// Back up the databases to the bucket now
    Backup(ProductionBackup),
    /// Bring back the databases as they were at a time; the present ones are kept beside them
    Restore(ProductionRestore),
    /// Restore the newest backup into a scratch volume, count its rows, measure what a loss would cost
    Drill,
    /// Make a file of `cargo xtask backup` production's data, after backing up the present data
    Import(ProductionImport),
    /// Write production's data to a file that `cargo xtask restore` takes on a single machine
    Export(ProductionExport),
    /// Make another member the primary of the database on three nodes: planned, or forced where there is none
    Failover(ProductionFailover),
    /// List the nodes, or add, drain, activate or replace one, or spread replicas again
    Nodes(nodes::Nodes),
    /// Remove the stack from the swarm after a last backup; keep the volumes and the bucket
    Remove(ProductionRemove),
}

#[derive(Args)]
pub struct ProductionDeploy {
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Pull newer images of the pinned versions first
    #[arg(long)]
    pub pull: bool,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub watch: Watch,
}

#[derive(Args)]
pub struct ProductionDoctor {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ProductionVerify {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct ProductionRollback {
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct ProductionRotate {
    /// The keys in .env whose values to replace; the passwords of the databases if none is named
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub watch: Watch,
}

#[derive(Args)]
pub struct ProductionBackup {
    /// Back up everything, not only what has changed since the last backup
    #[arg(long)]
    pub full: bool,
}

#[derive(Args)]
pub struct ProductionRestore {
    /// The time to go back to, in UTC, such as '2026-11-25 13:55:47'; all that there is by default
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct ProductionImport {
    /// A file that `cargo xtask backup` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct ProductionFailover {
    /// Who becomes it: a member, such as postgres-2, or its node; by default one that has everything
    #[arg(long, value_name = "NODE")]
    pub to: Option<String>,
    /// Do it although there is no primary that could end cleanly, or its node is dead or cut off
    #[arg(long)]
    pub force: bool,
    /// Show what would be done, without doing it
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct ProductionExport {
    /// The file to make, for its owner alone; one of that name must not be there
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Args)]
pub struct ProductionRemove {
    /// Do not ask for the stack's name; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    /// Do not back up first: what is not in the bucket yet stays in the volumes alone
    #[arg(long)]
    pub no_backup: bool,
}

#[derive(Args)]
pub struct Up {
    #[command(flatten)]
    pub wait: Wait,
    /// Pull newer images of the pinned versions first
    #[arg(long)]
    pub pull: bool,
}

#[derive(Args)]
pub struct Wait {
    /// Give up if the stack is not healthy after this many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = Wait::DEFAULT)]
    pub timeout: u64,
}

impl Wait {
    /// Seconds.
    pub const DEFAULT: u64 = 300;
}

#[derive(Args)]
pub struct Watch {
    /// Roll back if a service fails within this many seconds after the update
    #[arg(
        id = "watch",
        long = "watch",
        value_name = "SECONDS",
        default_value_t = 60
    )]
    pub seconds: u64,
}

#[derive(Args)]
pub struct Restart {
    /// The services to restart; all if none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Logs {
    /// The services whose logs to show; all if none is named
    #[arg(value_name = "SERVICE")]
    pub services: Vec<String>,
    /// Print the existing lines and exit
    #[arg(long)]
    pub no_follow: bool,
    /// Show only the last N lines of each service
    #[arg(long, value_name = "N")]
    pub tail: Option<u64>,
    /// Show only newer lines: a duration (10m, 2h) or a time (2026-11-22T10:00:00)
    #[arg(long, value_name = "D")]
    pub since: Option<String>,
}

#[derive(Args)]
pub struct Status {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

#[derive(Args)]
pub struct Connect {
    /// Text with examples, KEY=value lines for an env file, or one JSON object
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    Text,
    Env,
    Json,
}

#[derive(Args)]
pub struct Verify {
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Prove the public addresses too: UMAMI_URL and GLITCHTIP_DOMAIN, through DNS, TLS and proxies
    #[arg(long)]
    pub public: bool,
}

#[derive(Args)]
pub struct Backup {
    /// The folder for the file; deploy/analytics/backups by default
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Verify the backup by restoring it into a throwaway PostgreSQL; the default
    #[arg(long, overrides_with = "no_verify")]
    pub verify: bool,
    /// Skip the test restore
    #[arg(long, overrides_with = "verify")]
    pub no_verify: bool,
    /// Include .env, with all its secrets
    #[arg(long)]
    pub with_env: bool,
    /// List the backups instead of making one
    #[arg(long, conflicts_with_all = ["keep", "with_env", "verify", "no_verify"])]
    pub list: bool,
    /// Afterwards delete all but the newest N; the newest verified one is always kept
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub keep: Option<u64>,
}

#[derive(Args)]
pub struct Restore {
    /// A file that `backup` made
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Do not ask; needed without a terminal
    #[arg(long)]
    pub yes: bool,
    /// Do not back up the present data first: it is lost
    #[arg(long)]
    pub no_backup: bool,
    /// Do not send test events afterwards
    #[arg(long)]
    pub no_verify: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Rotate {
    /// The keys in .env whose values to replace; all secrets that `setup` generates if none is named
    #[arg(value_name = "KEY")]
    pub keys: Vec<String>,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Upgrade {
    /// Pull the images and show what would change, without changing it
    #[arg(long)]
    pub dry_run: bool,
    /// Use the images that are already on this machine
    #[arg(long)]
    pub no_pull: bool,
    #[command(flatten)]
    pub wait: Wait,
}

#[derive(Args)]
pub struct Clean {
    /// Do not ask; needed without a terminal. The backup is still made, and nothing is deleted if it fails
    #[arg(long)]
    pub yes: bool,
    /// Delete without a backup: the data is lost
    #[arg(long)]
    pub no_backup: bool,
}

#[derive(Args)]
pub struct Hosts {
    /// Remove the block
    #[arg(long)]
    pub remove: bool,
    /// Change nothing; show where each hostname leads, exit 0 if all of them lead to this machine
    #[arg(long, conflicts_with = "remove")]
    pub check: bool,
    /// Print the block, to add it by hand
    #[arg(long, conflicts_with_all = ["remove", "check", "file"])]
    pub print: bool,
    /// Use this file instead of the system's hosts file
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// Do not ask before changing the file; required without a terminal
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct HostsAsRoot {
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    pub names: Vec<String>,
}

#[derive(Args)]
pub struct Doctor {
    /// Print one JSON object instead of lines
    #[arg(long)]
    pub json: bool,
    /// Offer to run the repairs that are known, then check again
    #[arg(long)]
    pub fix: bool,
    /// With --fix: do not ask; needed without a terminal
    #[arg(long, requires = "fix")]
    pub yes: bool,
}

#[derive(Args)]
pub struct Ci {
    /// Whether to run the tests that start containers: if an engine answers, always, or never
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    Auto,
    Require,
    Skip,
}
