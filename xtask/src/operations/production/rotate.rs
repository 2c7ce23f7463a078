//! New secrets, without a failed request: the applications log in by another role of their database before the
//! one that they had is closed.
//!
//! Must never leave an env file whose passwords neither the running release nor the next deployment opens.

use anyhow::bail;

use super::deploy::{Deployed, How, bring};
use super::logins;
use crate::checkout::Checkout;
use crate::env::file;
use crate::env::template::Template;
use crate::operations::env_file::generate;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::lock::SwarmLock;
use crate::swarm::release::Release;
use crate::system::files;

/// What can be replaced while everything runs, and the role that a database is logged in to by, where it is a
/// password of one.
const KEYS: [(&str, Option<&str>); 4] = [
    ("UMAMI_DATABASE_PASSWORD", Some("UMAMI_LOGIN")),
    ("GLITCHTIP_DATABASE_PASSWORD", Some("GLITCHTIP_LOGIN")),
    ("UMAMI_APP_SECRET", None),
    ("GLITCHTIP_SECRET_KEY", None),
];

/// The keys that are replaced: those that are named, or the passwords of the databases.
///
/// # Errors
/// When one is named that cannot be replaced like this.
pub fn choose(named: &[String]) -> Result<Vec<String>, Problem> {
    let known = |key: &String| KEYS.iter().any(|(known, _)| known == key);
    if let Some(key) = named.iter().find(|key| !known(key)) {
        let names = KEYS.map(|(key, _)| key).join(", ");
        let problem = Problem::new(format!("{key} cannot be replaced while production runs"));
        return Err(problem.hint(format!("name one of {names}")));
    }
    if !named.is_empty() {
        return Ok(named.to_vec());
    }
    let passwords = KEYS.iter().filter(|(_, login)| login.is_some());
    Ok(passwords.map(|(key, _)| (*key).to_owned()).collect())
}

/// Replaces the values of `keys`, deploys, and closes the logins that nobody uses any more.
///
/// # Errors
/// When the deployment fails: the old secrets are in use and in the env file then.
pub fn run(
    checkout: &Checkout,
    lock: &SwarmLock,
    keys: &[String],
    how: &How,
) -> anyhow::Result<Release> {
    let before = file::read(checkout)?.unwrap_or_default();
    let template = file::read_template(checkout)?;
    let after = renew(&template, &before, keys, |key| {
        lock.swarm().docker.values().text(key)
    })?;
    // Whoever kills this leaves logins open that nobody uses: the next deployment closes them.
    lock.swarm().begin_rotation()?;
    files::replace_private(&checkout.env_file(), &after)?;

    // It has read the new values.
    let swarm = Swarm::of(checkout)?;
    let deployed = swarm.plan().and_then(|plan| bring(&swarm, lock, plan, how));
    let release = match deployed {
        Ok(Deployed::New(release) | Deployed::Already(release)) => release,
        Err(error) => {
            files::replace_private(&checkout.env_file(), &before)?;
            return Err(error.context("the old secrets stay in use"));
        }
    };

    logins::finish_rotation(&swarm, &release)?;
    Ok(release)
}

/// The env file with new values for `keys`, and the other role for each password. `now` tells what a variable
/// is at present.
fn renew(
    template: &Template,
    before: &str,
    keys: &[String],
    now: impl Fn(&str) -> String,
) -> anyhow::Result<String> {
    let rotated = template.rotate(before, keys, generate)?;
    if rotated.keys.len() != keys.len() {
        bail!(
            Problem::new("deploy/production/.env does not have all of these secrets")
                .hint("run `cargo xtask production setup`, which completes it")
        );
    }
    let mut text = rotated.text;
    let of_password = |(key, login): &(&str, Option<&'static str>)| {
        login.filter(|_| keys.iter().any(|it| it == key))
    };
    for login in KEYS.iter().filter_map(of_password) {
        text = Template::set(&text, login, &other_role(&now(login)))?;
    }
    Ok(text)
}

/// `umami_a` and `umami_b` take turns.
fn other_role(role: &str) -> String {
    match role.strip_suffix("_a") {
        Some(name) => format!("{name}_b"),
        None => format!("{}_a", role.trim_end_matches("_b")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_passwords_of_the_databases_are_replaced_unless_others_are_named() {
        let passwords = ["UMAMI_DATABASE_PASSWORD", "GLITCHTIP_DATABASE_PASSWORD"];
        assert_eq!(choose(&[]).unwrap(), passwords);
        let named = ["UMAMI_APP_SECRET".to_owned()];
        assert_eq!(choose(&named).unwrap(), named);
        let problem = choose(&["BACKUP_CIPHER_PASSWORD".to_owned()]).unwrap_err();
        assert!(problem.what.contains("BACKUP_CIPHER_PASSWORD"));
        assert!(problem.hint.unwrap().contains("UMAMI_APP_SECRET"));
    }

    #[test]
    fn a_new_password_goes_with_the_other_role() {
        let template = "UMAMI_DATABASE_PASSWORD=change_this_strong_password\n\
                        GLITCHTIP_DATABASE_PASSWORD=change_this_strong_password\n# UMAMI_LOGIN=umami_a\n";
        let template = Template::parse(template).unwrap();
        let before = "UMAMI_DATABASE_PASSWORD=old\nGLITCHTIP_DATABASE_PASSWORD=kept\n";
        let keys = ["UMAMI_DATABASE_PASSWORD".to_owned()];
        let first = renew(&template, before, &keys, |_| "umami_a".to_owned()).unwrap();
        assert!(
            first.ends_with("GLITCHTIP_DATABASE_PASSWORD=kept\nUMAMI_LOGIN=umami_b\n"),
            "{first}"
        );
        assert!(!first.contains("=old"));
        let second = renew(&template, &first, &keys, |_| "umami_b".to_owned()).unwrap();
        assert!(second.ends_with("UMAMI_LOGIN=umami_a\n"), "{second}");
    }
}
