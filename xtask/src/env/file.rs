//! The env file and its template on disk, and what the one sees of our own environment.
//!
//! Must never write them, and never quote a value in an error.

use std::collections::BTreeSet;

use anyhow::Context;

use super::dialect::ParseError;
use super::template::Template;
use crate::checkout::Checkout;
use crate::problem::Problem;
use crate::system::files;

/// The template that is committed beside the env file.
///
/// # Errors
/// When it is missing, or was damaged.
pub fn read_template(checkout: &Checkout) -> anyhow::Result<Template> {
    let path = checkout.env_template();
    let text = files::read_text(&path)?.with_context(|| {
        let name = checkout.display(&path);
        Problem::new(format!("{name} is missing")).hint(format!("run `git checkout -- {name}`"))
    })?;
    Ok(Template::parse(&text)?)
}

/// The text of the env file; `None` while there is none.
///
/// # Errors
/// When it cannot be read. Compose itself takes a folder or a link to nowhere in its place for no env
/// file, without a word.
pub fn read(checkout: &Checkout) -> anyhow::Result<Option<String>> {
    files::read_text(&checkout.env_file())
}

/// What Compose refuses in the env file, as a problem that can be shown.
pub fn refused(name: &str, error: &ParseError) -> Problem {
    let line = error.line;
    Problem::new(format!("{name}, {error}")).hint(format!(
        "correct line {line}; put a value with blanks, quotes, # or $ in single quotes, and write \\' for a \
         single quote in it"
    ))
}

/// What references in the env file see of our own environment: nothing that the stack knows, since
/// children do not inherit that either.
pub fn environment_without(names: &BTreeSet<String>) -> impl Fn(&str) -> Option<String> {
    |name| {
        let is_visible = !name.is_empty() && !names.contains(name);
        is_visible.then(|| std::env::var(name).ok()).flatten()
    }
}
