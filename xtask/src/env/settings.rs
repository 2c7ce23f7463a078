//! What the env file of the stack on one machine sets, typed. Must never show a secret.

use super::grammar::{is_uuid, parse_bool};
use super::rules::{self, Severity, Violation};
use super::values::{Secret, Setting, Values};
use crate::problem::Problem;

/// The settings of this checkout's stack, as Compose takes them.
#[derive(Debug)]
pub struct Settings {
    pub postgres: Postgres,
    pub umami: Umami,
    pub glitchtip: GlitchTip,
    /// Administrator of GlitchTip.
    pub admin_email: String,
}

/// The database server.
#[derive(Debug)]
pub struct Postgres {
    pub superuser: String,
    pub password: Setting<Secret>,
    /// Where the superuser is at home.
    pub default_database: String,
}

/// Umami and its database.
#[derive(Debug)]
pub struct Umami {
    pub database: String,
    pub database_password: Setting<Secret>,
    /// Of Umami's user admin.
    pub admin_password: Setting<Secret>,
    pub website_id: Setting<String>,
    /// Under which browsers reach it.
    pub hostname: String,
    /// The whole address, where a proxy is in front; empty where none is.
    pub url: String,
}

/// GlitchTip and its database.
#[derive(Debug)]
pub struct GlitchTip {
    pub database: String,
    pub database_password: Setting<Secret>,
    pub admin_password: Setting<Secret>,
    /// With which events are read.
    pub api_token: Setting<Secret>,
    pub project: String,
    pub registration: Registration,
}

/// Whether strangers may sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    Open,
    Closed,
}

impl Settings {
    /// What the values say.
    pub fn of(values: &Values) -> Settings {
        Settings {
            postgres: postgres(values),
            umami: umami(values),
            glitchtip: glitchtip(values),
            admin_email: values.text("ADMIN_EMAIL"),
        }
    }
}

/// The value for which Compose refuses the whole configuration, where there is one: Compose itself names
/// neither the variable nor the line.
pub fn refused_value(values: &Values) -> Option<Problem> {
    let violations = check(values, None).into_iter();
    let mut refused = violations.filter(|it| it.severity == Severity::Refused);
    refused.next().map(|it| named(values, it))
}

/// With the env file's name before the line.
fn named(values: &Values, violation: Violation) -> Problem {
    Problem {
        what: format!("{}, {}", values.name(), violation.problem.what),
        ..violation.problem
    }
}

/// The name of a database with which a restore would delete what it must not, where there is one.
pub fn unrestorable_name(values: &Values) -> Option<Problem> {
    let violations = rules::check_databases(values.reading()).into_iter();
    violations.map(|it| named(values, it)).next()
}

/// What of the env file will break; see [`rules::check`].
pub fn check(values: &Values, glitchtip_port: Option<u16>) -> Vec<Violation> {
    rules::check(values.reading(), values.template(), glitchtip_port)
}

fn postgres(values: &Values) -> Postgres {
    Postgres {
        superuser: values.text("POSTGRES_USER"),
        password: values.secret("POSTGRES_PASSWORD"),
        default_database: values.text("POSTGRES_DB"),
    }
}

fn umami(values: &Values) -> Umami {
    Umami {
        database: values.text("UMAMI_DATABASE"),
        database_password: values.secret("UMAMI_DATABASE_PASSWORD"),
        admin_password: values.secret("UMAMI_ADMIN_PASSWORD"),
        website_id: values.checked("UMAMI_WEBSITE_ID", "is not a UUID", |value| {
            is_uuid(value).then(|| value.to_owned())
        }),
        hostname: values.text("UMAMI_HOSTNAME"),
        url: values.text("UMAMI_URL"),
    }
}

fn glitchtip(values: &Values) -> GlitchTip {
    let registration = match parse_bool(&values.text("GLITCHTIP_USER_REGISTRATION")) {
        Some(true) => Registration::Open,
        Some(false) | None => Registration::Closed,
    };
    GlitchTip {
        database: values.text("GLITCHTIP_DATABASE"),
        database_password: values.secret("GLITCHTIP_DATABASE_PASSWORD"),
        admin_password: values.secret("GLITCHTIP_ADMIN_PASSWORD"),
        api_token: values.secret("GLITCHTIP_API_TOKEN"),
        project: values.text("GLITCHTIP_PROJECT"),
        registration,
    }
}

#[cfg(test)]
mod tests;
