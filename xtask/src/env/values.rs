//! An env file over its template: read once, for whoever gives its values a meaning.
//!
//! Must never show a secret; what only some commands need fails when they ask for it.

use std::collections::BTreeSet;
use std::fmt;

use super::dialect::{self, Reading};
use super::file;
use super::references::Lookup;
use super::template::{Template, is_placeholder};
use crate::checkout::Checkout;
use crate::problem::Problem;

/// Addresses that may have a password in them.
const URLS_WITH_PASSWORD: [&str; 1] = ["GLITCHTIP_EMAIL_URL"];

/// Secrets that are not made here: others give them.
const GIVEN_SECRETS: [&str; 2] = ["BACKUP_S3_KEY_SECRET", "UPLOADS_S3_KEY_SECRET"];

/// What is shorter can be part of a text by chance.
const TELLING: usize = 8;

/// What an env file sets, and its template where it does not.
pub struct Values {
    reading: Reading,
    template: Template,
    /// The file's name, for errors.
    name: String,
    names: BTreeSet<String>,
    /// Longest first, so that one within another hides nothing of it.
    secrets: Vec<Secret>,
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

impl Values {
    /// Reads the env file over its template; all of it is the template's while there is none.
    ///
    /// # Errors
    /// When the file cannot be read, or Compose would refuse it.
    pub fn read(checkout: &Checkout) -> anyhow::Result<Values> {
        let template = file::read_template(checkout)?;
        let text = file::read(checkout)?.unwrap_or_default();
        let name = checkout.display(&checkout.env_file());
        let names = names(&template, &text).map_err(|error| file::refused(&name, &error))?;
        let environment = file::environment_without(&names);
        Ok(Values::of(template, &text, &name, &environment)?)
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
    ) -> Result<Values, Problem> {
        let refused = |error| file::refused(name, &error);
        let names = names(&template, text).map_err(refused)?;
        let reading = dialect::read(text, environment).map_err(refused)?;
        let secrets = secrets(&reading, &template, text);
        Ok(Values {
            reading,
            template,
            name: name.to_owned(),
            names,
            secrets,
        })
    }

    /// Every variable that the stack knows. Compose lets an exported variable win over the env file, even
    /// an empty one, so children must inherit none of them. COMPOSE_PROJECT_NAME is not one of them: who
    /// exports it means it.
    pub fn names(&self) -> &BTreeSet<String> {
        &self.names
    }

    /// `text` without any secret of the env file.
    pub fn redact(&self, text: &str) -> String {
        let secrets = self.secrets.iter();
        secrets.fold(text.to_owned(), |text, secret| {
            text.replace(&secret.0, "***")
        })
    }

    /// Whether a secret of the env file stands in `text`.
    pub fn is_told_by(&self, text: &str) -> bool {
        let mut telling = self.secrets.iter().filter(|it| it.0.len() >= TELLING);
        telling.any(|secret| text.contains(&secret.0))
    }

    /// The file's name, for errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn reading(&self) -> &Reading {
        &self.reading
    }

    pub fn template(&self) -> &Template {
        &self.template
    }

    /// What the env file sets to something and is no secret: what may stand in a child's environment.
    pub fn plain(&self) -> impl Iterator<Item = (&str, &str)> {
        let values = self.reading.values.iter();
        let is_plain =
            |key: &str| !is_secret(key, &self.template) && !URLS_WITH_PASSWORD.contains(&key);
        values
            .filter(move |(key, value)| is_plain(key) && !value.is_empty())
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// What Compose takes: the template's default stands for an empty value, too.
    pub fn text(&self, key: &str) -> String {
        let value = self
            .reading
            .values
            .get(key)
            .filter(|value| !value.is_empty());
        let default = || self.template.variable(key).map(|it| &it.default);
        value.or_else(default).cloned().unwrap_or_default()
    }

    /// A value that nobody may see.
    pub fn secret(&self, key: &str) -> Setting<Secret> {
        self.checked(key, "is empty", |value| Some(Secret(value.to_owned())))
    }

    /// A value that `parse` accepts; `what` is wrong with others.
    pub fn checked<T>(
        &self,
        key: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Setting<T> {
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
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} ***", self.name)
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

/// Whether what a variable holds is for nobody's eyes; an address may have a password in it.
fn is_secret(key: &str, template: &Template) -> bool {
    let is_made = template.variable(key).is_some_and(|it| it.is_secret());
    is_made || GIVEN_SECRETS.contains(&key)
}

/// Every secret in the file, those that a later line replaces included, as it is read and as it is
/// written.
fn secrets(reading: &Reading, template: &Template, text: &str) -> Vec<Secret> {
    let is_secret = |key: &str| is_secret(key, template);
    let mut secrets = BTreeSet::new();
    for assignment in &reading.assignments {
        if is_secret(&assignment.key) {
            secrets.insert(assignment.value.clone());
            secrets.insert(assignment.raw(text).to_owned());
        } else if URLS_WITH_PASSWORD.contains(&assignment.key.as_str()) {
            secrets.extend(url_password(&assignment.value));
        }
    }
    let mut secrets: Vec<Secret> = secrets.into_iter().map(Secret).collect();
    secrets.retain(|secret| !secret.0.is_empty());
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.0.len()));
    secrets
}

/// The password in `smtp://user:password@host`.
fn url_password(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (login, _) = rest.rsplit_once('@')?;
    login
        .split_once(':')
        .map(|(_, password)| password.to_owned())
}
