//! Whether the passwords of the env file open PostgreSQL. Must never show one, nor put it in an argument.

use super::Scene;
use super::finding::Finding;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::invocation::Running;
use crate::env::settings::{Secret, Setting, Settings};
use crate::problem::Problem;

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
pub fn check(scene: &Scene) -> anyhow::Result<Option<Finding>> {
    let containers = scene.docker.containers(&scene.config.name)?;
    let postgres = containers.get("postgres");
    let Some(postgres) = postgres.filter(|it| it.state.status == "running") else {
        return Ok(None);
    };
    let logins = match logins(scene.checkout) {
        Ok(logins) => logins,
        Err(error) => return Ok(Some(Finding::warning("passwords", Problem::of(&error)))),
    };
    let running = logins
        .iter()
        .map(|login| login.start(scene.docker, &postgres.id));
    let running: Vec<Running> = running.collect::<anyhow::Result<_>>()?;
    let refused: Vec<&str> = logins
        .iter()
        .zip(running)
        .filter_map(|(login, running)| running.finish().is_err().then_some(login.role.as_str()))
        .collect();
    if refused.is_empty() {
        let what = "PostgreSQL accepts all three passwords in .env";
        return Ok(Some(Finding::good("passwords", what)));
    }
    let what = format!(
        "PostgreSQL refuses the password in .env of {}",
        refused.join(", ")
    );
    let problem =
        Problem::new(what).hint("`cargo xtask restart` sets the passwords to those in .env");
    Ok(Some(Finding::warning("passwords", problem)))
}

fn logins(checkout: &Checkout) -> anyhow::Result<[Login; 3]> {
    let settings = Settings::read(checkout)?;
    let (postgres, umami, glitchtip) = (settings.postgres, settings.umami, settings.glitchtip);
    let login = |role: &str, database: String, password: &Setting<Secret>| {
        let password = password.get()?.expose().to_owned();
        anyhow::Ok(Login {
            role: role.to_owned(),
            database,
            password,
        })
    };
    Ok([
        login(
            &postgres.superuser,
            postgres.default_database,
            &postgres.password,
        )?,
        login("umami", umami.database, &umami.database_password)?,
        login(
            "glitchtip",
            glitchtip.database,
            &glitchtip.database_password,
        )?,
    ])
}

impl Login {
    /// Logs in over TCP and the stack's network, as the applications do: from 127.0.0.1 the image trusts
    /// everybody.
    fn start<'a>(&self, docker: &'a Docker, container: &str) -> anyhow::Result<Running<'a>> {
        let exec = ["exec", "--env", "PGPASSWORD", container, "psql"];
        let options = ["--no-psqlrc", "--host", "postgres", "--command", "SELECT"];
        let names = ["--username", &self.role, "--dbname", &self.database];
        let psql = docker.docker().args(exec).args(options).args(names);
        psql.env("PGPASSWORD", &self.password).start()
    }
}
