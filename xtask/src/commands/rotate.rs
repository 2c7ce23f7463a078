//! `rotate`: new secrets. The old ones are kept until the new ones have been seen to work.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::env::file;
use crate::operations::open::{Resume, open};
use crate::operations::{env_file, rotate};
use crate::stack::database::ensure_dedicated;
use crate::terminal::say;

/// What a new value ends, beside the old value.
const ENDS: [(&str, &str); 4] = [
    ("UMAMI_APP_SECRET", "logs everyone out of Umami"),
    (
        "GLITCHTIP_SECRET_KEY",
        "logs everyone out of GlitchTip, and links in its mails stop working",
    ),
    (
        "GLITCHTIP_ADMIN_PASSWORD",
        "logs GlitchTip's administrator out",
    ),
    ("GLITCHTIP_API_TOKEN", "stops whatever else uses that token"),
];

pub fn run(checkout: &Checkout, options: &cli::Rotate) -> anyhow::Result<Outcome> {
    ensure_dedicated(checkout, "rotate")?;
    let timeout = Duration::from_secs(options.wait.timeout);
    let (mut session, _) = open(checkout, Resume::Everything, timeout)?;
    let template = file::read_template(checkout)?;
    let before = file::read(checkout)?.unwrap_or_default();
    let rotated = template.rotate(&before, &options.keys, env_file::generate)?;

    for key in &rotated.keys {
        match ENDS.iter().find(|(name, _)| name == key) {
            Some((_, effect)) => say!("generated a new {key}: this {effect}"),
            None => say!("generated a new {key}"),
        }
    }
    rotate::run(&mut session, &before, &rotated.text)?;

    say!(
        "rotated {} secrets; the old ones are gone",
        rotated.keys.len()
    );
    Ok(Outcome::Done)
}
