//! `rotate`: new secrets. The old ones are kept until the new ones have been seen to work.

use std::time::Duration;

use anyhow::bail;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::env::file;
use crate::env::template::Template;
use crate::operations::open::{Resume, open};
use crate::operations::{env_file, rotate};
use crate::problem::Problem;
use crate::stack::database::Server;
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

/// The secret that is the server's, where PostgreSQL is somebody else's.
const SERVERS: &str = "POSTGRES_PASSWORD";

pub fn run(checkout: &Checkout, options: &cli::Rotate) -> anyhow::Result<Outcome> {
    let timeout = Duration::from_secs(options.wait.timeout);
    let (mut session, stack) = open(checkout, Resume::Everything, timeout)?;
    let template = file::read_template(checkout)?;
    let before = file::read(checkout)?.unwrap_or_default();
    let keys = match stack.desired.shared_server() {
        None => options.keys.clone(),
        Some(server) => keys_beside(&server, &template, &options.keys)?,
    };
    let rotated = template.rotate(&before, &keys, env_file::generate)?;

    for key in &rotated.keys {
        match ENDS.iter().find(|(name, _)| name == key) {
            Some((_, effect)) => say!("generated a new {key}: this {effect}"),
            None => say!("generated a new {key}"),
        }
    }
    rotate::run(&mut session, &before, &rotated.text)?;

    match rotated.keys.len() {
        1 => say!("rotated 1 secret; the old one is gone"),
        count => say!("rotated {count} secrets; the old ones are gone"),
    }
    Ok(Outcome::Done)
}

/// Those of `keys`, or of all, that the stack may change where PostgreSQL is somebody else's: the password of
/// the role for the stack is not its own to change.
fn keys_beside(
    server: &Server,
    template: &Template,
    keys: &[String],
) -> anyhow::Result<Vec<String>> {
    let host = &server.host;
    if keys.iter().any(|key| key == SERVERS) {
        let what = format!(
            "{SERVERS} is the password of the role {} at {host}",
            server.user
        );
        bail!(Problem::new(what).hint(
            "change it on that server, then in deploy/analytics/.env, then `cargo xtask up`"
        ));
    }
    if !keys.is_empty() {
        return Ok(keys.to_vec());
    }
    say!("{SERVERS} stays: it is for the administrators of {host} to change");
    let variables = template.variables().iter();
    let secrets = variables.filter(|it| it.is_secret() && it.key != SERVERS);
    Ok(secrets.map(|it| it.key.clone()).collect())
}
