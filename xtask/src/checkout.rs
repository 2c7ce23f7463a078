//! Where things are in this checkout, and what its env file says. Never writes any of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::env::dialect::{self as env, Assignment};
use crate::system;

const COMPOSE_FILE: &str = "docker-compose.yml";

/// A checkout of this repository; every path in it is absolute.
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Finds the checkout: the one whose `xtask` Cargo runs (Cargo sets `CARGO_MANIFEST_DIR` when it
    /// runs a binary), else the one around the current folder.
    pub fn discover() -> anyhow::Result<Checkout> {
        let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let start = match from_cargo {
            Some(folder) => folder,
            None => std::env::current_dir().context("finding the current folder")?,
        };
        let root = start
            .ancestors()
            .find(|folder| folder.join("deploy/analytics").join(COMPOSE_FILE).is_file())
            .with_context(|| {
                format!(
                    "no deploy/analytics/{COMPOSE_FILE} in {} or above it; run `cargo xtask` inside the checkout",
                    start.display()
                )
            })?;
        Ok(Checkout {
            root: root.to_path_buf(),
        })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder that Compose runs in.
    pub fn stack(&self) -> PathBuf {
        self.root.join("deploy/analytics")
    }

    pub fn env_file(&self) -> PathBuf {
        self.stack().join(".env")
    }

    pub fn env_template(&self) -> PathBuf {
        self.stack().join(".env.example")
    }

    /// Where backups are kept unless the user says otherwise.
    pub fn backups(&self) -> PathBuf {
        self.stack().join("backups")
    }

    /// The services that the compose file and its override name. A file that cannot be read names none:
    /// Compose will say what is wrong with it.
    pub fn service_names(&self) -> Vec<String> {
        #[derive(serde::Deserialize)]
        struct File {
            #[serde(default)]
            services: BTreeMap<String, serde_yaml::Value>,
        }
        let names: BTreeSet<String> = [COMPOSE_FILE, "docker-compose.override.yml"]
            .iter()
            .filter_map(|name| system::read_text(&self.stack().join(name)).ok().flatten())
            .filter_map(|text| serde_yaml::from_str::<File>(&text).ok())
            .flat_map(|file| file.services.into_keys())
            .collect();
        names.into_iter().collect()
    }

    /// What `.env` says; nothing while there is none.
    ///
    /// # Errors
    /// With the line that cannot be parsed, never with what it says.
    pub fn env_assignments(&self) -> anyhow::Result<Vec<Assignment>> {
        let path = self.env_file();
        let text = system::read_text(&path)?.unwrap_or_default();
        env::parse(&text).with_context(|| {
            format!(
                "{} cannot be read; mend that line and repeat",
                self.display(&path)
            )
        })
    }

    /// What `.env` sets a variable to, else what the template does.
    ///
    /// # Errors
    /// When `.env` cannot be read, and for a placeholder that nobody replaced.
    pub fn setting(&self, key: &str) -> anyhow::Result<String> {
        let path = self.env_file();
        let text = system::read_text(&path)?.unwrap_or_default();
        let value = env::value_of(&text, key).with_context(|| self.display(&path))?;
        let value = match value.filter(|value| !value.is_empty()) {
            Some(value) => value,
            None => {
                let template = system::read_text(&self.env_template())?.unwrap_or_default();
                let mut known = env::template_variables(&template)
                    .with_context(|| self.display(&self.env_template()))?;
                known.remove(key).unwrap_or_default()
            }
        };
        if env::is_placeholder(&value) {
            bail!(
                "{} has no {key} yet; `cargo xtask up` makes one",
                self.display(&path)
            );
        }
        Ok(value)
    }

    /// `path` as a user in the root of the checkout would type it.
    pub fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
