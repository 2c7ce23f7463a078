//! The env file, completed from its template. Must never change a value that is set.

use crate::checkout::Checkout;
use crate::env::template::{Completed, Placeholder, Template};
use crate::env::{file, values};
use crate::system::{files, random};
use crate::terminal::say;

/// Whether the env file was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnvFile {
    Changed,
    Unchanged,
}

/// Makes `.env` complete and says which keys it touched. The caller holds the lock.
///
/// # Errors
/// When the template or the file cannot be read or parsed; nothing is changed then.
pub fn ensure(checkout: &Checkout) -> anyhow::Result<EnvFile> {
    let path = checkout.env_file();
    let template = file::read_template(checkout)?;
    let existing = file::read(checkout)?;
    files::remove_unfinished(&checkout.stack());

    let completed = complete(checkout, &template, existing.as_deref())?;
    if existing.as_ref() == Some(&completed.text) {
        return ensure_private(checkout);
    }
    files::replace_private(&path, &completed.text)?;

    say_what_changed(checkout, existing.as_deref(), &completed);
    Ok(EnvFile::Changed)
}

/// Sets one value. The caller holds the lock.
///
/// # Errors
/// When the file does not have the variable, or cannot be written.
pub fn set(checkout: &Checkout, key: &str, value: &str) -> anyhow::Result<()> {
    let existing = file::read(checkout)?.unwrap_or_default();
    let text = Template::set(&existing, key, value)?;
    files::replace_private(&checkout.env_file(), &text)
}

/// Makes a secret of the kind that a placeholder asks for.
pub fn generate(placeholder: Placeholder) -> String {
    match placeholder {
        Placeholder::Alphanumeric(length) => random::letters_and_digits(length),
        Placeholder::Uuid => random::uuid(),
    }
}

fn complete(
    checkout: &Checkout,
    template: &Template,
    existing: Option<&str>,
) -> anyhow::Result<Completed> {
    let name = checkout.display(&checkout.env_file());
    let refused = |error| file::refused(&name, &error);
    let completed = match existing {
        Some(text) => {
            let names = values::names(template, text).map_err(refused)?;
            let environment = file::environment_without(&names);
            template.complete(text, &environment, generate)
        }
        // Where there is nothing to keep, the template itself: its headings and order are worth having.
        None => template.fill(generate),
    };
    Ok(completed.map_err(refused)?)
}

fn ensure_private(checkout: &Checkout) -> anyhow::Result<EnvFile> {
    let path = checkout.env_file();
    if !files::ensure_private(&path)? {
        return Ok(EnvFile::Unchanged);
    }
    let name = checkout.display(&path);
    say!("set the mode of {name} to 0600: other users could read it");
    Ok(EnvFile::Changed)
}

fn say_what_changed(checkout: &Checkout, existing: Option<&str>, completed: &Completed) {
    let name = checkout.display(&checkout.env_file());
    if existing.is_none() {
        say!(
            "created {name} with new secrets: {}",
            completed.filled.join(", ")
        );
        return;
    }
    if !completed.added.is_empty() {
        say!("added to {name}: {}", completed.added.join(", "));
    }
    if !completed.filled.is_empty() {
        say!(
            "generated secrets in {name}: {}",
            completed.filled.join(", ")
        );
    }
}
