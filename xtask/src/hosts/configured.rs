//! The hostnames that the env file sets. Must never quote another value of it.

use anyhow::{Context, anyhow};

use crate::checkout::Checkout;
use crate::env::dialect as env_file;
use crate::hosts::hostname::{self, Hostname};
use crate::problem::Problem;
use crate::system::files;

/// The hostnames of `.env`, or of its template while there is none.
///
/// # Errors
/// When they are missing or are no hostnames, with the line.
pub fn hostnames(checkout: &Checkout) -> anyhow::Result<Vec<Hostname>> {
    let (path, text) = env_file_or_template(checkout)?;
    let value = |key| {
        let value = env_file::value_of(&text, key).with_context(|| path.clone())?;
        let missing =
            || Problem::new(format!("{path} has no {key}")).hint("run `cargo xtask setup`");
        value.ok_or_else(|| anyhow!(missing()))
    };

    let url = env_file::value_of(&text, "UMAMI_URL").with_context(|| path.clone())?;
    let umami = match url.filter(|url| !url.trim().is_empty()) {
        // Then nobody asks for UMAMI_HOSTNAME.
        Some(url) => hostname::host_of(url.trim()).to_owned(),
        None => value("UMAMI_HOSTNAME")?,
    };
    let hostnames = hostname::from_settings(&umami, &value("GLITCHTIP_DOMAIN")?);
    hostnames.map_err(|invalid| {
        let assignments = env_file::parse(&text).unwrap_or_default();
        let line = assignments
            .iter()
            .rfind(|assignment| assignment.key == invalid.variable)
            .map_or(0, |assignment| assignment.line);
        anyhow!(invalid.problem).context(format!("{path}, line {line}"))
    })
}

fn env_file_or_template(checkout: &Checkout) -> anyhow::Result<(String, String)> {
    for path in [checkout.env_file(), checkout.env_template()] {
        if let Some(text) = files::read_text(&path)? {
            return Ok((checkout.display(&path), text));
        }
    }
    Err(anyhow!(
        "there is no {}",
        checkout.display(&checkout.env_template())
    ))
}
