//! Credentials for registries, found where docker keeps them.
//!
//! Must never put one anywhere but into the header that this module returns.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde::Deserialize;
use serde_json::json;

use super::Docker;
use super::invocation::Failure;
use crate::system::process;
use crate::terminal;

/// What docker's `config.json` says of credentials (Docker CLI 26 to 28, 2026-11-25).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    /// `NAME:PASSWORD` in base64.
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

impl Docker {
    /// The value of the header `X-Registry-Auth` for a registry; `None` where docker has no credentials.
    ///
    /// # Errors
    /// [`Failure`] in docker's own words, when the program that keeps them does not work.
    pub(super) fn registry_auth(&self, registry: &str) -> anyhow::Result<Option<String>> {
        if let Some(json) = self.variable("DOCKER_AUTH_CONFIG")
            && let Some(entry) = parse(&json).entry(registry)
        {
            return Ok(render_header(registry, &entry));
        }
        let text = self
            .config_file()
            .and_then(|path| fs::read_to_string(path).ok());
        let config = parse(&text.unwrap_or_default());
        let entry = match config.helper(registry) {
            Some(helper) => self.ask_helper(helper, registry)?,
            None => config.entry(registry),
        };
        Ok(entry.and_then(|entry| render_header(registry, &entry)))
    }

    /// A variable of our environment that docker gets too.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.filter(|_| !self.hidden.contains(name))
    }

    /// Where docker keeps its configuration.
    pub fn config_file(&self) -> Option<PathBuf> {
        let folder = self.variable("DOCKER_CONFIG").map(PathBuf::from);
        let home = || std::env::home_dir().map(|home| home.join(".docker"));
        Some(folder.or_else(home)?.join("config.json"))
    }

    fn ask_helper(&self, helper: &str, registry: &str) -> anyhow::Result<Option<Entry>> {
        let program = format!("docker-credential-{helper}");
        let command = format!("{program} get");
        terminal::say_command(&command);
        let fail = |why: String| Failure {
            command: command.clone(),
            stderr: format!("error getting credentials - err: {why}"),
        };
        let output = match process::answer(&program, "get", registry) {
            Ok(output) => output,
            Err(error) if error.kind() == io::ErrorKind::NotFound => bail!(fail(format!(
                "exec: \"{program}\": executable file not found in $PATH, out: ``"
            ))),
            Err(error) => bail!(fail(error.to_string())),
        };
        let text = String::from_utf8_lossy(&output.stdout);
        let said = if output.status.success() {
            Ok(&*text)
        } else {
            Err(&*text)
        };
        match parse_answer(said) {
            Answer::Found(entry) => Ok(Some(entry)),
            Answer::None => Ok(None),
            Answer::Failed(said) => bail!(fail(format!(
                "{}, out: `{}`",
                output.status,
                self.redact(&said)
            ))),
        }
    }
}

/// What a helper has said.
enum Answer {
    Found(Entry),
    None,
    Failed(String),
}

/// Reads what a helper printed; `Err` when it failed.
fn parse_answer(said: Result<&str, &str>) -> Answer {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Found {
        username: String,
        secret: String,
    }
    let text = match said.map_err(str::trim) {
        Ok(text) => text,
        Err("credentials not found in native keychain") => return Answer::None,
        Err(said) => return Answer::Failed(said.to_owned()),
    };
    let Ok(found) = serde_json::from_str::<Found>(text) else {
        // What it printed may be a secret.
        return Answer::Failed("an answer that is no JSON".to_owned());
    };
    let mut entry = Entry::default();
    if found.username == "<token>" {
        entry.identitytoken = found.secret;
    } else {
        entry.username = found.username;
        entry.password = found.secret;
    }
    Answer::Found(entry)
}

/// Docker itself goes on without a configuration that it cannot read, after a warning.
fn parse(json: &str) -> Config {
    serde_json::from_str(json).unwrap_or_default()
}

impl Config {
    /// The program that keeps the credentials for a registry.
    fn helper(&self, registry: &str) -> Option<&str> {
        let own = self.cred_helpers.get(registry);
        let helper = own.unwrap_or(&self.creds_store);
        (!helper.is_empty()).then_some(helper)
    }

    /// What the file itself has for a registry; older ones have whole URLs as keys.
    fn entry(&self, registry: &str) -> Option<Entry> {
        let similar = || {
            let mut entries = self.auths.iter();
            entries.find(|(key, _)| host(key) == host(registry))
        };
        let entry = self.auths.get(registry);
        let entry = entry.or_else(|| similar().map(|(_, entry)| entry))?;
        Some(entry.clone())
    }
}

fn host(address: &str) -> &str {
    let address = address.strip_prefix("https://").unwrap_or(address);
    let address = address.strip_prefix("http://").unwrap_or(address);
    address.split('/').next().unwrap_or_default()
}

/// `None` where the entry holds nothing: it is a reminder that a helper has more.
fn render_header(registry: &str, entry: &Entry) -> Option<String> {
    let decoded = STANDARD.decode(entry.auth.trim()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    let (username, password) = pair.unwrap_or((&entry.username, &entry.password));
    let password = password.trim_end_matches('\0');
    let fields = [
        ("username", username),
        ("password", password),
        ("identitytoken", &entry.identitytoken),
        ("registrytoken", &entry.registrytoken),
    ];
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    let mut auth: serde_json::Map<_, _> = given
        .map(|(name, value)| ((*name).to_owned(), json!(value)))
        .collect();
    if auth.is_empty() {
        return None;
    }
    auth.insert("serveraddress".to_owned(), json!(registry));
    Some(URL_SAFE.encode(serde_json::Value::from(auth).to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"{
        "auths": {
            "https://index.docker.io/v1/": {"auth": "bWU6c2VjcmV0OndpdGggY29sb24="},
            "https://old.example/v2/": {"username": "me", "password": "p"},
            "ghcr.io": {"identitytoken": "t"},
            "kept.example": {}
        },
        "credHelpers": {"ecr.example": "ecr-login"}
    }"#;

    #[track_caller]
    fn check(registry: &str, wanted: Option<&str>) {
        let config = parse(CONFIG);
        let entry = config.entry(registry);
        let header = entry.and_then(|entry| render_header(registry, &entry));
        let header = header.map(|it| String::from_utf8(URL_SAFE.decode(it).unwrap()).unwrap());
        assert_eq!(header.as_deref(), wanted);
    }

    #[test]
    fn what_the_file_has_goes_into_the_header() {
        check(
            "https://index.docker.io/v1/",
            Some(
                r#"{"password":"secret:with colon","serveraddress":"https://index.docker.io/v1/","username":"me"}"#,
            ),
        );
        check(
            "old.example",
            Some(r#"{"password":"p","serveraddress":"old.example","username":"me"}"#),
        );
        check(
            "ghcr.io",
            Some(r#"{"identitytoken":"t","serveraddress":"ghcr.io"}"#),
        );
        check("kept.example", None);
        check("unknown.example", None);
    }

    #[test]
    fn a_registry_s_own_helper_comes_before_that_for_all() {
        let both = r#"{"credsStore": "desktop", "credHelpers": {"ecr.example": "ecr-login"}}"#;
        assert_eq!(parse(both).helper("ecr.example"), Some("ecr-login"));
        assert_eq!(parse(both).helper("ghcr.io"), Some("desktop"));
        assert_eq!(parse(CONFIG).helper("ghcr.io"), None);
        assert_eq!(parse("no JSON").helper("ghcr.io"), None);
    }

    #[test]
    fn a_helper_answers_with_a_password_a_token_nothing_or_an_error() {
        let found = parse_answer(Ok(r#"{"ServerURL":"x","Username":"me","Secret":"s"}"#));
        assert!(matches!(found, Answer::Found(it) if it.username == "me" && it.password == "s"));
        let token = parse_answer(Ok(r#"{"ServerURL":"x","Username":"<token>","Secret":"s"}"#));
        assert!(matches!(token, Answer::Found(it) if it.identitytoken == "s"));
        let none = parse_answer(Err("credentials not found in native keychain\n"));
        assert!(matches!(none, Answer::None));
        assert!(matches!(parse_answer(Err("locked")), Answer::Failed(said) if said == "locked"));
        let odd = parse_answer(Ok("my secret"));
        assert!(matches!(odd, Answer::Failed(said) if !said.contains("secret")));
    }
}
