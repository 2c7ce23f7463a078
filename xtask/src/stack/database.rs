//! Where the stack's PostgreSQL is: a service of its own, or a server that is somebody else's. There a
//! program is run by a container of ours that reaches it as the applications do.
//!
//! Must never put a password into an argument: whoever runs the container sets `PGPASSWORD`.

use super::desired::{Config, Named, Service};
use crate::docker::Docker;
use crate::docker::invocation::{Invocation, stderr_of};
use crate::problem::Problem;

/// The service that makes roles and databases; it has PostgreSQL's image wherever the server is.
pub const CLIENT: &str = "postgres-init";

/// What init-db-elsewhere.sql notes at each role that it makes.
const MARK: &str = "a role of the analytics stack";

/// A PostgreSQL that is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: String,
    /// The role for the stack, and the database by which it comes in.
    pub user: String,
    pub database: String,
    /// The networks by which it is reached.
    networks: Networks,
    pub sslmode: String,
    /// The project, and the image with the client programs.
    project: String,
    image: String,
    /// The applications' databases.
    databases: [String; 2],
}

/// Networks by which a server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Networks {
    /// Somebody else's, which are always there.
    Others(Vec<String>),
    /// The stack's own, which are there while it has containers. Without them the engine's default does.
    Own(Vec<String>),
}

/// What of the stack's is on a server of somebody else's.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ours {
    /// The server's version, as PostgreSQL writes it: `17.4`.
    pub version: String,
    pub databases: Vec<String>,
    pub roles: Vec<String>,
}

impl Config {
    /// The server that the stack uses in the place of a service of its own.
    pub fn shared_server(&self) -> Option<Server> {
        let client = self.services.get(CLIENT)?;
        let environment = &client.environment;
        if environment.pghost.is_empty() {
            return None;
        }
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        let databases = [&environment.umami_database, &environment.glitchtip_database];
        Some(Server {
            host: environment.pghost.clone(),
            port: environment.pgport.clone(),
            user: text(&environment.pguser),
            database: text(&environment.postgres_db),
            networks: self.networks_of(client),
            sslmode: environment.pgsslmode.clone(),
            project: self.name.clone(),
            image: client.image.clone(),
            databases: databases.map(text),
        })
    }

    /// Somebody else's networks that a service is in; where it is in none, its own.
    fn networks_of(&self, service: &Service) -> Networks {
        let networks = service.networks.keys();
        let networks = networks.filter_map(|key| self.networks.get(key));
        let (others, own): (Vec<_>, Vec<_>) = networks.partition(|it| it.external);
        let names = |them: Vec<&Named>| them.into_iter().map(|it| it.name.clone()).collect();
        if others.is_empty() {
            Networks::Own(names(own))
        } else {
            Networks::Others(names(others))
        }
    }
}

impl Server {
    /// Whether it is in a Docker network of this machine.
    pub fn is_beside(&self) -> bool {
        matches!(self.networks, Networks::Others(_))
    }

    /// Options of `docker run` by which a container reaches it, as whoever `PGUSER` names; the password is
    /// inherited.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn options(&self, docker: &Docker) -> anyhow::Result<Vec<String>> {
        let mut networks = Vec::new();
        match &self.networks {
            Networks::Others(names) => networks.clone_from(names),
            Networks::Own(names) => {
                for name in names {
                    if docker.has_network(name)? {
                        networks.push(name.clone());
                    }
                }
            }
        }
        Ok(self.options_in(&networks))
    }

    fn options_in(&self, networks: &[String]) -> Vec<String> {
        let bridge = ["bridge".to_owned()];
        let networks = if networks.is_empty() {
            bridge.iter()
        } else {
            networks.iter()
        };
        let mut options: Vec<String> = networks
            .flat_map(|name| ["--network".to_owned(), name.clone()])
            .collect();
        for (name, value) in [
            ("PGHOST", &self.host),
            ("PGPORT", &self.port),
            ("PGSSLMODE", &self.sslmode),
        ] {
            options.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        let inherited = ["--env", "PGPASSWORD", "--env", "PGCONNECT_TIMEOUT=10"];
        options.extend(inherited.map(str::to_owned));
        options
    }

    /// A client program that talks to it with this password.
    ///
    /// # Errors
    /// When there is no docker.
    pub fn client<'a>(
        &self,
        docker: &'a Docker,
        password: &str,
        command: &[&str],
    ) -> anyhow::Result<Invocation<'a>> {
        let of = (self.project.as_str(), self.image.as_str());
        let client = docker.client(of, &self.options(docker)?, command);
        Ok(client.env("PGPASSWORD", password))
    }

    /// Runs SQL as the role for the stack; returns the rows, columns parted by `|`.
    ///
    /// # Errors
    /// When the server does not answer, or refuses it.
    pub fn ask(&self, docker: &Docker, statement: &str) -> anyhow::Result<String> {
        let settings = docker.settings();
        let password = settings.postgres.password.get()?.expose();
        let options = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"];
        let of = ["--username", &self.user, "--dbname", &self.database];
        let psql = [&["psql"], &options[..], &of, &["--command", statement]].concat();
        let answer = self.client(docker, password, &psql)?.text();
        answer.map_err(|error| {
            let said = stderr_of(&error);
            let reason = reason(&said);
            let what = format!("the PostgreSQL at {} cannot be used: {reason}", self.host);
            let problem = Problem::new(what);
            problem
                .hint("`cargo xtask doctor` says what is wrong")
                .into()
        })
    }

    /// What of ours is there: databases that belong to our roles, and roles that have our mark.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn ours(&self, docker: &Docker) -> anyhow::Result<Ours> {
        let [umami, glitchtip] = self.databases.each_ref().map(|name| literal(name));
        let mark = literal(MARK);
        let answer = self.ask(
            docker,
            &format!(
                "select 'version', split_part(current_setting('server_version'), ' ', 1) union all \
                 select 'database', datname from pg_database where (datname, pg_get_userbyid(datdba)) \
                 in (({umami}, 'umami'), ({glitchtip}, 'glitchtip')) union all \
                 select 'role', rolname from pg_roles where rolname in ('umami', 'glitchtip') \
                 and shobj_description(oid, 'pg_authid') = {mark}"
            ),
        )?;
        Ok(Ours::parse(&answer))
    }

    /// Takes databases and roles of the stack's off the server; nothing may use them.
    ///
    /// # Errors
    /// When the server refuses it; what was dropped before stays so.
    pub fn leave(&self, docker: &Docker, ours: &Ours) -> anyhow::Result<()> {
        let mine = "usename in ('umami', 'glitchtip')";
        let end = format!("select pg_terminate_backend(pid) from pg_stat_activity where {mine}");
        if !ours.roles.is_empty() {
            self.ask(docker, &end)?;
        }
        for name in &ours.databases {
            self.ask(docker, &format!("drop database {}", identifier(name)))?;
        }
        for name in &ours.roles {
            self.ask(docker, &format!("drop role {}", identifier(name)))?;
        }
        Ok(())
    }
}

impl Ours {
    fn parse(answer: &str) -> Ours {
        let mut ours = Ours::default();
        for (kind, value) in answer.lines().filter_map(|line| line.split_once('|')) {
            let value = value.to_owned();
            match kind {
                "version" => ours.version = value,
                "database" => ours.databases.push(value),
                "role" => ours.roles.push(value),
                _ => {}
            }
        }
        ours
    }

    pub fn is_empty(&self) -> bool {
        self.databases.is_empty() && self.roles.is_empty()
    }
}

/// What psql said first, of the two lines that it may say.
fn reason(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty());
    let first = first.unwrap_or("it does not answer");
    first.trim_start_matches("psql: error: ")
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(host: &str, networks: &str) -> Config {
        Config::parse(&format!(
            "name: x\nservices:\n  postgres-init:\n    image: postgres:15\n    environment: \
             {{PGHOST: '{host}', PGPORT: '5432', PGSSLMODE: require, PGUSER: me, POSTGRES_DB: d}}\n    \
             networks: {networks}\n\
             networks: {{own: {{name: own-network}}, other: {{name: directus, external: true}}}}\n"
        ))
        .unwrap()
    }

    #[test]
    fn a_server_is_shared_when_it_has_a_host() {
        let both = "{own: null, other: null}";
        assert_eq!(config("", both).shared_server(), None);
        let server = config("db", both).shared_server().unwrap();
        assert_eq!(
            (&*server.host, &*server.user, &*server.database),
            ("db", "me", "d")
        );
        let networks = Networks::Others(vec!["directus".to_owned()]);
        assert_eq!(server.networks, networks);
        let options = server.options_in(&["directus".to_owned()]).join(" ");
        let expected = "--network directus --env PGHOST=db --env PGPORT=5432 --env PGSSLMODE=require \
                        --env PGPASSWORD --env PGCONNECT_TIMEOUT=10";
        assert_eq!(options, expected);
        let server = config("db", "{own: null}").shared_server().unwrap();
        let own = Networks::Own(vec!["own-network".to_owned()]);
        assert_eq!(server.networks, own);
        let options = server.options_in(&[]).join(" ");
        assert!(options.starts_with("--network bridge "), "{options}");
    }

    #[test]
    fn what_is_ours_is_read_line_by_line() {
        let answer = "version|17.4\ndatabase|umami_db\nrole|umami\nrole|glitchtip\n";
        let ours = Ours::parse(answer);
        assert_eq!(
            (&*ours.version, &ours.databases[..]),
            ("17.4", &["umami_db".to_owned()][..])
        );
        assert_eq!(ours.roles, ["umami", "glitchtip"]);
        assert!(!ours.is_empty() && Ours::parse("version|17.4\n").is_empty());
    }

    #[test]
    fn the_reason_is_what_psql_says_first() {
        let said = "psql: error: connection to server at \"db\" failed: Connection refused\n\tIs it running?\n";
        let first = "connection to server at \"db\" failed: Connection refused";
        assert_eq!(reason(said), first);
        assert_eq!(reason("\n"), "it does not answer");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
    }
}
