//! Whether the passwords of the env file open PostgreSQL. Must never show one, nor put it in an argument.

use super::Scene;
use super::finding::Finding;
use crate::docker::Docker;
use crate::docker::invocation::{Running, stderr_of};
use crate::env::settings::Settings;
use crate::env::values::{Secret, Setting};
use crate::problem::Problem;
use crate::stack::database::Server;

/// A role's way into a database.
struct Login {
    role: String,
    database: String,
    password: String,
}

/// Tries every login, if PostgreSQL runs.
///
/// # Errors
/// When the engine does not answer.
pub fn check(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let containers = scene.docker.containers(&scene.config.name)?;
    let postgres = containers.get("postgres");
    let postgres = postgres.filter(|it| it.state.status == "running");
    let server = scene.config.shared_server();
    let way = match (&server, postgres) {
        (Some(server), _) if is_prepared(scene, server) => Way::Elsewhere(server),
        (None, Some(postgres)) => Way::Inside(&postgres.id),
        _ => return Ok(Vec::new()),
    };
    let logins = match logins(&scene.docker.settings()) {
        Ok([_, umami, glitchtip]) if server.is_some() => vec![umami, glitchtip],
        Ok(logins) => logins.into(),
        Err(error) => return Ok(vec![Finding::warning(CHECK, Problem::of(&error))]),
    };
    let running = logins.iter().map(|login| login.start(scene.docker, &way));
    let running: Vec<Running> = running.collect::<anyhow::Result<_>>()?;
    let refusal = |running: Running| {
        running
            .finish()
            .err()
            .map(|it| Refusal::of(&stderr_of(&it)))
    };
    let refusals: Vec<Option<Refusal>> = running.into_iter().map(refusal).collect();
    Ok(judge(&logins, &refusals))
}

const CHECK: &str = "passwords";

/// Where a login is tried.
enum Way<'a> {
    /// In the container with this id.
    Inside(&'a str),
    /// On a server of somebody else's, whose own role for the stack has come in by then.
    Elsewhere(&'a Server),
}

/// Whether the applications have their roles and databases there.
fn is_prepared(scene: &Scene, server: &Server) -> bool {
    let ours = server.ours(scene.docker);
    ours.is_ok_and(|ours| ours.databases.len() == 2 && ours.roles.len() == 2)
}

/// Why a login failed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Refusal {
    Password,
    NoDatabase,
    /// PostgreSQL is not up, or not yet.
    NotReady,
    /// What was said; the password was not even tried.
    Untried(String),
}

impl Refusal {
    /// The words are psql's and PostgreSQL's (15.18, tried 2026-11-25) and docker's (26.1.5).
    fn of(stderr: &str) -> Refusal {
        // The container ended meanwhile, and psql with it.
        if stderr.trim().is_empty() {
            return Refusal::NotReady;
        }
        let says = |words: &[&str]| words.iter().any(|it| stderr.contains(it));
        if says(&["password authentication failed for user"]) {
            return Refusal::Password;
        }
        if says(&["FATAL:  database \""]) && says(&["\" does not exist"]) {
            return Refusal::NoDatabase;
        }
        let starting = [
            "the database system is",
            "Connection refused",
            "server closed the connection unexpectedly",
            "is not running",
            "is restarting, wait until the container is running",
            "No such container",
        ];
        if says(&starting) {
            return Refusal::NotReady;
        }
        let mut lines = stderr.lines().map(str::trim).filter(|it| !it.is_empty());
        Refusal::Untried(lines.next_back().unwrap_or_default().to_owned())
    }
}

/// One finding for each reason.
fn judge(logins: &[Login], refusals: &[Option<Refusal>]) -> Vec<Finding> {
    let those = |wanted: &Refusal, name: fn(&Login) -> &str| -> String {
        let pairs = logins.iter().zip(refusals);
        let pairs = pairs.filter(|(_, refusal)| refusal.as_ref() == Some(wanted));
        pairs
            .map(|(login, _)| name(login))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut findings = Vec::new();
    let mut reasons: Vec<&Refusal> = refusals.iter().flatten().collect();
    reasons.dedup();
    for reason in reasons {
        let roles = those(reason, |login| &login.role);
        let problem = match reason {
            Refusal::Password => {
                let what = format!("PostgreSQL refuses the password in .env of {roles}");
                Problem::new(what).hint("`cargo xtask restart` sets the passwords to those in .env")
            }
            Refusal::NoDatabase => {
                let names = those(reason, |login| &login.database);
                let what = format!("PostgreSQL has no database {names}, which .env names");
                Problem::new(what)
                    .hint("`cargo xtask restart` creates it; data under another name stays there")
            }
            Refusal::NotReady => Problem::new("not tried: PostgreSQL is not up, or not yet")
                .hint("`cargo xtask status` shows whether it has started"),
            Refusal::Untried(said) => {
                let what = format!("the passwords of {roles} could not be tried: {said}");
                Problem::new(what).hint(way_to_try(said))
            }
        };
        findings.push(Finding::warning(CHECK, problem));
    }
    if findings.is_empty() {
        let count = if logins.len() == 3 {
            "three"
        } else {
            "applications'"
        };
        let what = format!("PostgreSQL accepts all {count} passwords in .env");
        findings.push(Finding::good(CHECK, what));
    }
    findings
}

/// What lets a password be tried that was not, by what was said.
fn way_to_try(said: &str) -> &'static str {
    let hints = [
        (
            "no password supplied",
            "if `docker` is a wrapper, it must pass PGPASSWORD on",
        ),
        (
            "is not permitted to log in",
            "`cargo xtask restart` lets the applications' roles log in again",
        ),
        (
            "role \"",
            "`cargo xtask restart` makes the applications' roles as .env says",
        ),
        (
            "too many c",
            "`cargo xtask restart` closes the connections of this stack",
        ),
        (
            "connection slots",
            "`cargo xtask restart` closes the connections of this stack",
        ),
    ];
    // A limit of a role's names the role, too.
    let is_limit = said.contains("too many connections");
    let hints = hints
        .into_iter()
        .filter(|(words, _)| !(is_limit && *words == "role \""));
    let mut fitting = hints.filter(|(words, _)| said.contains(words));
    fitting.next().map_or(
        "`cargo xtask logs --no-follow postgres` shows what PostgreSQL says of it",
        |(_, hint)| hint,
    )
}

fn logins(settings: &Settings) -> anyhow::Result<[Login; 3]> {
    let (postgres, umami, glitchtip) = (&settings.postgres, &settings.umami, &settings.glitchtip);
    let login = |role: &str, database: &str, password: &Setting<Secret>| {
        let password = password.get()?.expose().to_owned();
        anyhow::Ok(Login {
            role: role.to_owned(),
            database: database.to_owned(),
            password,
        })
    };
    Ok([
        login(
            &postgres.superuser,
            &postgres.default_database,
            &postgres.password,
        )?,
        login("umami", &umami.database, &umami.database_password)?,
        login(
            "glitchtip",
            &glitchtip.database,
            &glitchtip.database_password,
        )?,
    ])
}

impl Login {
    /// Logs in over TCP and the stack's network, as the applications do: from 127.0.0.1 the image trusts
    /// everybody.
    fn start<'a>(&self, docker: &'a Docker, way: &Way) -> anyhow::Result<Running<'a>> {
        let options = ["--no-psqlrc", "--command", "SELECT"];
        let names = ["--username", &self.role, "--dbname", &self.database];
        let psql = [&["psql"], &options[..], &names].concat();
        match way {
            Way::Inside(container) => {
                let exec = ["exec", "--env", "PGPASSWORD", container];
                let psql = docker.docker().args(exec).args(psql);
                let psql = psql.args(["--host", "postgres"]);
                psql.env("PGPASSWORD", &self.password).start()
            }
            Way::Elsewhere(server) => server.client(docker, &self.password, &psql)?.start(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const TCP: &str =
        "psql: error: connection to server at \"postgres\" (172.18.0.2), port 5432 failed: ";

    #[track_caller]
    fn check(said: &str, expected: &Refusal) {
        for said in [said.to_owned(), format!("{TCP}{said}\n")] {
            assert_eq!(Refusal::of(&said), *expected, "{said}");
        }
    }

    #[test]
    fn a_failed_login_has_its_reason() {
        let wrong = "FATAL:  password authentication failed for user \"umami\"";
        check(wrong, &Refusal::Password);
        check(
            "FATAL:  database \"umami_db\" does not exist",
            &Refusal::NoDatabase,
        );
        for starting in [
            "FATAL:  the database system is starting up",
            "FATAL:  the database system is shutting down",
            "FATAL:  the database system is not yet accepting connections",
            "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?",
            "server closed the connection unexpectedly",
            "Error response from daemon: container 0123 is not running",
            "Error response from daemon: Container 0123 is restarting, wait until the container is running",
        ] {
            check(starting, &Refusal::NotReady);
        }
    }

    #[test]
    fn a_password_that_was_never_tried_is_not_called_wrong() {
        let said = "fe_sendauth: no password supplied";
        let full = format!("{TCP}{said}");
        assert_eq!(Refusal::of(&format!("{full}\n")), Refusal::Untried(full));
        let said = "sh: docker-real: not found";
        assert_eq!(Refusal::of(said), Refusal::Untried(said.to_owned()));
        assert_eq!(Refusal::of(""), Refusal::NotReady);
    }

    #[test]
    fn each_reason_is_one_finding() {
        let login = |role: &str| Login {
            role: role.to_owned(),
            database: format!("{role}_db"),
            password: String::new(),
        };
        let logins = [login("admin"), login("umami"), login("glitchtip")];
        let all_good = judge(&logins, &[None, None, None]);
        assert_eq!(all_good[0].level, Level::Good);
        let refusals = [None, Some(Refusal::Password), Some(Refusal::NoDatabase)];
        let findings = judge(&logins, &refusals);
        let said: Vec<&str> = findings.iter().map(|it| it.problem.what.as_str()).collect();
        let password = "PostgreSQL refuses the password in .env of umami";
        let database = "PostgreSQL has no database glitchtip_db, which .env names";
        assert_eq!(said, [password, database]);
        let waiting = judge(&logins, &vec![Some(Refusal::NotReady); 3]);
        assert_eq!(waiting.len(), 1);
    }

    #[test]
    fn a_login_that_was_not_tried_has_the_way_to_try_it() {
        for (said, way) in [
            ("fe_sendauth: no password supplied", "wrapper"),
            (
                "FATAL:  role \"umami\" is not permitted to log in",
                "log in again",
            ),
            ("FATAL:  role \"umami\" does not exist", "as .env says"),
            (
                "FATAL:  too many connections for role \"umami\"",
                "closes the connections",
            ),
            (
                "FATAL:  sorry, too many clients already",
                "closes the connections",
            ),
            (
                "FATAL:  remaining connection slots are reserved for superusers",
                "closes the connections",
            ),
            (
                "FATAL:  database \"umami_db\" is not currently accepting connections",
                "cargo xtask logs",
            ),
        ] {
            let Refusal::Untried(said) = Refusal::of(said) else {
                panic!("taken for tried: {said}");
            };
            assert!(way_to_try(&said).contains(way), "{said}");
        }
    }
}
