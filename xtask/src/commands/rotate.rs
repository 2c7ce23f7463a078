//! `rotate`: new secrets. The old ones are kept aside until the new ones have been seen to work.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::up::{self, Stack};
use crate::commands::{Outcome, restore, setup, verify};
use crate::docker::Docker;
use crate::env::dialect as env;
use crate::system::{self, Lock};
use crate::terminal::say;

const ROTATE_UMAMI: &str = include_str!("../backup/scripts/rotate-umami.sql");
const ROTATE_GLITCHTIP: &str = include_str!("../backup/scripts/rotate-glitchtip.py");

/// What a new value ends, beside the old value.
const ENDS: [(&str, &str); 4] = [
    (
        "UMAMI_APP_SECRET",
        "all logins of Umami and its share links' sessions",
    ),
    (
        "GLITCHTIP_SECRET_KEY",
        "all logins of GlitchTip and links in mails that it has sent",
    ),
    (
        "GLITCHTIP_ADMIN_PASSWORD",
        "the logins of GlitchTip's administrator",
    ),
    ("GLITCHTIP_API_TOKEN", "whatever else uses that token"),
];

pub fn run(project: &Checkout, verbose: bool, options: &cli::Rotate) -> anyhow::Result<Outcome> {
    let lock = Lock::acquire(project)?;
    setup::ensure_env_file(project)?;
    let timeout = options.wait.timeout;
    restore::finish_interrupted(project, &Docker::new(project, verbose)?, &lock)?;
    finish_interrupted(project, verbose, &lock, timeout)?;

    let path = project.env_file();
    let template = system::read_text(&project.env_template())?.unwrap_or_default();
    let before = system::read_text(&path)?.unwrap_or_default();
    let rotated = env::rotate(&template, &before, &options.keys, system::generate_secret)
        .map_err(anyhow::Error::msg)?;
    Docker::new(project, verbose)?.check_engine()?;

    for key in &rotated.keys {
        match ENDS.iter().find(|(name, _)| name == key) {
            Some((_, what)) => say!("a new {key}; this ends {what}"),
            None => say!("a new {key}"),
        }
    }
    system::replace_private_file(&previous(project), &before)?;
    system::replace_private_file(&path, &rotated.text)?;
    apply(project, verbose, &lock, timeout)?;
    say!(
        "{} new secrets are in use; the old ones are gone",
        rotated.keys.len()
    );
    Ok(Outcome::Done)
}

/// The old `.env`, from before the new one is written until it has been seen to work.
fn previous(project: &Checkout) -> PathBuf {
    project.stack().join(".env.previous")
}

/// Brings a rotation that was killed to its end: forwards, to what `.env` says.
pub fn finish_interrupted(
    project: &Checkout,
    verbose: bool,
    lock: &Lock,
    timeout: u64,
) -> anyhow::Result<()> {
    if system::read_text(&previous(project))?.is_none() {
        return Ok(());
    }
    say!("new secrets were made and not yet seen to work; going on with them");
    apply(project, verbose, lock, timeout)
}

/// Takes the secrets of `.env` into use, wherever they differ from the previous ones.
fn apply(project: &Checkout, verbose: bool, lock: &Lock, timeout: u64) -> anyhow::Result<()> {
    let aside = previous(project);
    let kept = || {
        format!(
            "the secrets before are in {}; `cargo xtask up` tries again",
            project.display(&aside)
        )
    };
    let before = env::parse(&system::read_text(&aside)?.unwrap_or_default()).with_context(kept)?;
    let after = project.env_assignments()?;
    let value = |assignments: &[env::Assignment], key: &str| {
        assignments
            .iter()
            .rfind(|assignment| assignment.key == key)
            .map(|assignment| assignment.value.clone())
    };
    let has_changed = |key: &str| value(&before, key) != value(&after, key);

    // A new one: it must know the new secrets to keep them to itself.
    let docker = Docker::new(project, verbose)?;
    let stack = Stack::read(&docker)?;
    up::ensure_images(&docker, &stack.config, lock)?;
    let everything: BTreeSet<String> = stack.config.services.keys().cloned().collect();
    stack
        .converge(
            &docker,
            lock,
            &[],
            &everything,
            Duration::from_secs(timeout),
        )
        .with_context(kept)?;
    let changed: Vec<&str> = ADMINISTRATORS
        .into_iter()
        .filter(|key| has_changed(key))
        .collect();
    set_passwords(&docker, &changed).with_context(kept)?;
    if verify::check(project, &docker, false)? == Outcome::NotDone {
        bail!(kept());
    }
    system::remove_file(&aside)
}

/// The passwords that are in the applications and not in the database server.
pub const ADMINISTRATORS: [&str; 2] = ["UMAMI_ADMIN_PASSWORD", "GLITCHTIP_ADMIN_PASSWORD"];

/// Gives administrators the passwords that `.env` says. The services that open the accounts know them.
pub fn set_passwords(docker: &Docker, keys: &[&str]) -> anyhow::Result<()> {
    for key in keys {
        match *key {
            "UMAMI_ADMIN_PASSWORD" => {
                let psql = ["psql", "--no-psqlrc", "--quiet", "--file", "-"];
                run_script(docker, "umami-accounts", &psql, ROTATE_UMAMI)
            }
            _ => run_script(
                docker,
                "glitchtip-migrate",
                &["python", "-"],
                ROTATE_GLITCHTIP,
            ),
        }
        .with_context(|| format!("setting {key}"))?;
    }
    Ok(())
}

fn run_script(
    docker: &Docker,
    service: &str,
    command: &[&str],
    script: &str,
) -> anyhow::Result<()> {
    let cmd = docker
        .compose()
        .args(["run", "--rm", "--no-deps", "--no-TTY", service])
        .args(command);
    let mut pipe = docker.start_pipe(cmd)?;
    pipe.write(|stdin| {
        stdin
            .write_all(script.as_bytes())
            .context("writing to a container")
    })?;
    let mut text = String::new();
    std::io::Read::read_to_string(&mut pipe.stdout()?, &mut text)
        .context("reading from a container")?;
    pipe.finish()?;
    if text.trim() != "set" {
        bail!("there is no administrator to give a password to");
    }
    Ok(())
}
