//! `setup`: completes `.env` from its template. Never changes a value that someone chose.

use anyhow::Context;

use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::env::dialect as env;
use crate::system::{self, Lock};
use crate::terminal::say;

pub fn run(project: &Checkout) -> anyhow::Result<Outcome> {
    // What a killed run left behind may be removed when no other runs.
    let _lock = Lock::acquire(project)?;
    if !ensure_env_file(project)? {
        say!(
            "{} is complete; nothing to do",
            project.display(&project.env_file())
        );
    }
    Ok(Outcome::Done)
}

/// Makes `.env` complete and says which keys it touched. Returns whether it changed anything. The caller
/// holds the lock.
///
/// # Errors
/// When the template or the file cannot be read or parsed; nothing is changed then.
pub fn ensure_env_file(project: &Checkout) -> anyhow::Result<bool> {
    let template_path = project.env_template();
    let path = project.env_file();
    let template = system::read_text(&template_path)?.with_context(|| {
        format!(
            "{} is missing; restore it with `git checkout`",
            template_path.display()
        )
    })?;
    let existing = system::read_text(&path)?;
    system::remove_unfinished(&project.stack());

    let completed = env::complete(
        &template,
        existing.as_deref().unwrap_or_default(),
        system::generate_secret,
    )
    .with_context(|| {
        format!(
            "{} cannot be read; nothing was changed. Mend that line and repeat",
            project.display(&path)
        )
    })?;
    if existing.as_ref() == Some(&completed.text) {
        let was_open = system::ensure_private(&path)?;
        if was_open {
            say!(
                "{} was readable for others; its mode is 0600 now",
                project.display(&path)
            );
        }
        return Ok(was_open);
    }
    // The template itself, where there is nothing to keep: its headings and order are worth having.
    let completed = match existing {
        Some(_) => completed,
        None => env::complete(&template, &template, system::generate_secret)?,
    };
    system::replace_private_file(&path, &completed.text)?;

    let name = project.display(&path);
    match existing {
        None => say!(
            "made {name} with new secrets for {}",
            completed.filled.join(", ")
        ),
        Some(_) => {
            if !completed.added.is_empty() {
                say!("added to {name}: {}", completed.added.join(", "));
            }
            if !completed.filled.is_empty() {
                say!("made secrets in {name} for {}", completed.filled.join(", "));
            }
        }
    }
    Ok(true)
}
