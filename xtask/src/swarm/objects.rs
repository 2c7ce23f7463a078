//! Secrets and configs in the swarm. They never change: another content has another name.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, anyhow};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::Swarm;
use crate::docker::invocation::stderr_of;

/// The label of what the tool made, with the stack's name. Not Swarm's own: `docker stack rm` would remove
/// what carries that.
const OWNER_LABEL: &str = "analytics.stack";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Secret,
    Config,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Secret => "secret",
            Kind::Config => "config",
        }
    }
}

/// A secret or config that is to be there.
pub struct New<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub labels: &'a [(&'a str, &'a str)],
    pub content: &'a str,
}

/// Whether something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    New,
    /// One of that name is there.
    Already,
}

/// A config with what is in it.
#[derive(Debug)]
pub struct Config {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub text: String,
}

impl Swarm {
    /// The names of all secrets, or configs, that the tool made for this stack.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn names(&self, kind: Kind) -> anyhow::Result<BTreeSet<String>> {
        let filter = format!("label={OWNER_LABEL}={}", self.name);
        let list = [
            kind.word(),
            "ls",
            "--filter",
            &filter,
            "--format",
            "{{.Name}}",
        ];
        let text = self.docker.docker().args(list).text()?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Makes a secret or config with this content; one of that name stays as it is.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn create(&self, new: &New) -> anyhow::Result<Made> {
        let (word, name) = (new.kind.word(), new.name);
        let mut create = self.docker.docker().args([word, "create"]);
        let owner = [(OWNER_LABEL, self.name.as_str())];
        for (label, value) in owner.iter().chain(new.labels) {
            create = create.args(["--label", &format!("{label}={value}")]);
        }
        let mut pipe = create.args([name, "-"]).pipe()?;
        let written = pipe.write(|stdin| Ok(stdin.write_all(new.content.as_bytes())?));
        match written.and_then(|()| pipe.finish()) {
            Ok(_) => Ok(Made::New),
            Err(error) if format!("{error:#}").contains("AlreadyExists") => Ok(Made::Already),
            Err(error) => Err(error.context(format!("creating the {word} {name}"))),
        }
    }

    /// Reads the configs of these names; one that is not there is left out.
    ///
    /// # Errors
    /// When the engine answers in a way that is not known.
    pub fn read_configs(&self, names: &[String]) -> anyhow::Result<Vec<Config>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let inspect = self.docker.docker().args(["config", "inspect"]).args(names);
        let output = inspect.output()?;
        parse_configs(&String::from_utf8_lossy(&output.stdout))
    }

    /// Removes what nothing uses; what is used stays, and its name is returned.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn remove(&self, kind: Kind, names: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
        let mut used = Vec::new();
        for name in names {
            let removed = self.docker.docker().args([kind.word(), "rm", name]).text();
            match removed {
                Ok(_) => {}
                Err(error) if stderr_of(&error).contains("in use") => used.push(name.clone()),
                Err(error) if stderr_of(&error).contains("not found") => {}
                Err(error) => {
                    return Err(error.context(format!("removing the {} {name}", kind.word())));
                }
            }
        }
        Ok(used)
    }
}

/// What `docker config inspect` prints.
fn parse_configs(json: &str) -> anyhow::Result<Vec<Config>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Printed {
        spec: Spec,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Spec {
        name: String,
        #[serde(default)]
        labels: BTreeMap<String, String>,
        #[serde(default)]
        data: String,
    }
    let printed: Vec<Printed> =
        serde_json::from_str(json).context("reading the output of `docker config inspect`")?;
    let config = |Printed { spec }: Printed| {
        let bytes = STANDARD
            .decode(&spec.data)
            .map_err(|_| anyhow!("the config {} cannot be read", spec.name))?;
        Ok(Config {
            name: spec.name,
            labels: spec.labels,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    };
    printed.into_iter().map(config).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configs_are_read_with_labels_and_content() {
        let json =
            r#"[{"ID":"x","Spec":{"Name":"a_release_1","Labels":{"by":"me"},"Data":"aGk="}}]"#;
        let config = parse_configs(json).unwrap().remove(0);
        assert_eq!((&*config.name, &*config.text), ("a_release_1", "hi"));
        assert_eq!(config.labels["by"], "me");
    }
}
