//! The env file: what it says, and how it is completed. Must never quote a value in an error.

pub mod dialect;
pub mod grammar;
pub mod references;
pub mod rules;
pub mod template;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::system::files;
use dialect::Assignment;
use template::{Template, Variable, is_placeholder};

/// What the stack knows of its variables.
pub struct Known {
    /// Every variable that the stack has, in `.env` or in its template.
    pub names: BTreeSet<String>,
    /// The values that must never be shown.
    pub secrets: Vec<String>,
}

/// Reads the template and `.env`.
///
/// # Errors
/// When one of them cannot be parsed, without what it says.
pub fn known(checkout: &Checkout) -> anyhow::Result<Known> {
    let template = files::read_text(&checkout.env_template())?.unwrap_or_default();
    let template = Template::parse(&template)?;
    let assignments = assignments(checkout)?;

    let known = template.variables().iter();
    let mut names: BTreeSet<String> = known.map(|known| known.key.clone()).collect();
    names.extend(assignments.iter().map(|assignment| assignment.key.clone()));
    let is_secret = |key: &str| template.variable(key).is_some_and(Variable::is_secret);
    let secrets = assignments
        .into_iter()
        .filter(|assignment| is_secret(&assignment.key) && !assignment.value.is_empty())
        .map(|assignment| assignment.value)
        .collect();
    Ok(Known { names, secrets })
}

/// What `.env` says; nothing while there is none.
///
/// # Errors
/// With the line that cannot be parsed, never with what it says.
pub fn assignments(checkout: &Checkout) -> anyhow::Result<Vec<Assignment>> {
    let path = checkout.env_file();
    let text = files::read_text(&path)?.unwrap_or_default();
    dialect::parse(&text).with_context(|| {
        format!(
            "{} cannot be read; mend that line and repeat",
            checkout.display(&path)
        )
    })
}

/// What `.env` sets a variable to, else what the template does.
///
/// # Errors
/// When `.env` cannot be read, and for a placeholder that nobody replaced.
pub fn setting(checkout: &Checkout, key: &str) -> anyhow::Result<String> {
    let path = checkout.env_file();
    let text = files::read_text(&path)?.unwrap_or_default();
    let value = dialect::value_of(&text, key).with_context(|| checkout.display(&path))?;
    let value = match value.filter(|value| !value.is_empty()) {
        Some(value) => value,
        None => {
            let template = files::read_text(&checkout.env_template())?.unwrap_or_default();
            let template = Template::parse(&template)?;
            let known = template.variable(key);
            known.map(|it| it.default.clone()).unwrap_or_default()
        }
    };
    if is_placeholder(&value) {
        bail!(
            "{} has no {key} yet; `cargo xtask up` makes one",
            checkout.display(&path)
        );
    }
    Ok(value)
}
