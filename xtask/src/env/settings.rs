//! What the env file sets, over its template: read once, typed.
//!
//! Must never show a secret; what only some commands need fails when they ask for it.

use std::collections::BTreeSet;
use std::fmt;

use super::dialect::{self, Reading};
use super::file;
use super::grammar::{is_uuid, parse_bool};
use super::references::Lookup;
use super::rules::{self, Severity, Violation};
use super::template::{Template, is_placeholder};
use crate::checkout::Checkout;
use crate::problem::Problem;

/// The settings of this checkout's stack, as Compose takes them.
#[derive(Debug)]
pub struct Settings {
    pub postgres: Postgres,
    pub umami: Umami,
    pub glitchtip: GlitchTip,
    /// Administrator of GlitchTip.
    pub admin_email: String,
    env: Env,
    names: BTreeSet<String>,
    secrets: Vec<Secret>,
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

/// A value that nobody may see: it shows as `***`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for whoever it is meant for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("***")
    }
}

/// A value that may be missing or wrong, which matters to those alone who need it.
#[derive(Clone, Debug)]
pub struct Setting<T>(Result<T, Problem>);

impl<T> Setting<T> {
    /// # Errors
    /// When the env file does not have it, or has something else in its place.
    pub fn get(&self) -> Result<&T, Problem> {
        self.0.as_ref().map_err(Clone::clone)
    }
}

impl Settings {
    /// Reads the env file over its template; all of it is the template's while there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or Compose would refuse it.
    pub fn read(checkout: &Checkout) -> anyhow::Result<Settings> {
        let template = file::read_template(checkout)?;
        let text = file::read(checkout)?.unwrap_or_default();
        let name = checkout.display(&checkout.env_file());
        let names = names(&template, &text).map_err(|error| file::refused(&name, &error))?;
        let environment = file::environment_without(&names);
        Ok(Settings::of(template, &text, &name, &environment)?)
    }

    /// What `text`, the content of the file `name`, sets.
    ///
    /// # Errors
    /// When Compose would refuse it.
    pub fn of(
        template: Template,
        text: &str,
        name: &str,
        environment: Lookup,
    ) -> Result<Settings, Problem> {
        let refused = |error| file::refused(name, &error);
        let names = names(&template, text).map_err(refused)?;
        let reading = dialect::read(text, environment).map_err(refused)?;
        let env = Env {
            reading,
            template,
            name: name.to_owned(),
        };
        Ok(Settings {
            postgres: env.postgres(),
            umami: env.umami(),
            glitchtip: env.glitchtip(),
            admin_email: env.text("ADMIN_EMAIL"),
            secrets: env.secrets(text),
            env,
            names,
        })
    }

    /// Every variable that the stack knows. Compose lets an exported variable win over the env file, even
    /// an empty one, so children must inherit none of them. COMPOSE_PROJECT_NAME is not one of them: who
    /// exports it means it.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// Every value that must not be shown, longest first, so that one within another hides nothing of it.
    pub fn secrets(&self) -> &[Secret] {
        &self.secrets
    }

    /// The value for which Compose refuses the whole configuration, where there is one: Compose itself
    /// names neither the variable nor the line.
    pub fn refused_value(&self) -> Option<Problem> {
        let violations = self.check(None).into_iter();
        let mut refused = violations.filter(|it| it.severity == Severity::Refused);
        refused.next().map(|it| Problem {
            what: format!("{}, {}", self.env.name, it.problem.what),
            ..it.problem
        })
    }

    /// What of the env file will break; see [`rules::check`].
    pub fn check(&self, glitchtip_port: Option<u16>) -> Vec<Violation> {
        rules::check(&self.env.reading, &self.env.template, glitchtip_port)
    }
}

/// The names that a template and an env file assign.
pub fn names(template: &Template, text: &str) -> Result<BTreeSet<String>, dialect::ParseError> {
    let mut names = dialect::names(text)?;
    names.extend(
        template
            .variables()
            .iter()
            .map(|variable| variable.key.clone()),
    );
    names.remove("COMPOSE_PROJECT_NAME");
    Ok(names)
}

/// An env file as it was read, and what stands behind it.
struct Env {
    reading: Reading,
    template: Template,
    /// The file's name, for errors.
    name: String,
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ***", self.name)
    }
}

impl Env {
    fn postgres(&self) -> Postgres {
        Postgres {
            superuser: self.text("POSTGRES_USER"),
            password: self.secret("POSTGRES_PASSWORD"),
            default_database: self.text("POSTGRES_DB"),
        }
    }

    fn umami(&self) -> Umami {
        Umami {
            database: self.text("UMAMI_DATABASE"),
            database_password: self.secret("UMAMI_DATABASE_PASSWORD"),
            admin_password: self.secret("UMAMI_ADMIN_PASSWORD"),
            website_id: self.checked("UMAMI_WEBSITE_ID", "is not a UUID", |value| {
                is_uuid(value).then(|| value.to_owned())
            }),
            hostname: self.text("UMAMI_HOSTNAME"),
            url: self.text("UMAMI_URL"),
        }
    }

    fn glitchtip(&self) -> GlitchTip {
        let registration = match parse_bool(&self.text("GLITCHTIP_USER_REGISTRATION")) {
            Some(true) => Registration::Open,
            Some(false) | None => Registration::Closed,
        };
        GlitchTip {
            database: self.text("GLITCHTIP_DATABASE"),
            database_password: self.secret("GLITCHTIP_DATABASE_PASSWORD"),
            admin_password: self.secret("GLITCHTIP_ADMIN_PASSWORD"),
            api_token: self.secret("GLITCHTIP_API_TOKEN"),
            project: self.text("GLITCHTIP_PROJECT"),
            registration,
        }
    }

    /// What Compose takes: the template's default stands for an empty value, too.
    fn text(&self, key: &str) -> String {
        let value = self
            .reading
            .values
            .get(key)
            .filter(|value| !value.is_empty());
        let default = || self.template.variable(key).map(|it| &it.default);
        value.or_else(default).cloned().unwrap_or_default()
    }

    fn secret(&self, key: &str) -> Setting<Secret> {
        self.checked(key, "is empty", |value| Some(Secret(value.to_owned())))
    }

    /// A value that `parse` accepts; `what` is wrong with others.
    fn checked<T>(&self, key: &str, what: &str, parse: impl Fn(&str) -> Option<T>) -> Setting<T> {
        let name = &self.name;
        let value = self.text(key);
        if value.is_empty() || is_placeholder(&value) {
            let missing = Problem::new(format!("{name} has no value for {key} yet"));
            return Setting(Err(missing.hint("run `cargo xtask setup`, which makes one")));
        }
        let line = self.reading.assignment(key).map_or(0, |it| it.line);
        Setting(parse(&value).ok_or_else(|| {
            Problem::new(format!("{name}, line {line}: {key} {what}"))
                .hint("run `cargo xtask doctor`, which says what each value must look like")
        }))
    }

    /// Every secret in the file, those that a later line replaces included, as it is read and as it is
    /// written.
    fn secrets(&self, text: &str) -> Vec<Secret> {
        let is_secret = |key: &str| self.template.variable(key).is_some_and(|it| it.is_secret());
        let mut secrets = BTreeSet::new();
        for assignment in &self.reading.assignments {
            if is_secret(&assignment.key) {
                secrets.insert(assignment.value.clone());
                secrets.insert(assignment.raw(text).to_owned());
            } else if assignment.key == "GLITCHTIP_EMAIL_URL" {
                secrets.extend(url_password(&assignment.value));
            }
        }
        let mut secrets: Vec<Secret> = secrets.into_iter().map(Secret).collect();
        secrets.retain(|secret| !secret.0.is_empty());
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.0.len()));
        secrets
    }
}

/// The password in `smtp://user:password@host`.
fn url_password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.rsplit_once('@')?;
    login
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests;
