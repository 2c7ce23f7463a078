//! Where things are in this checkout. Must never write any of it, and never knows of Docker.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::problem::Problem;
use crate::system::files;

const COMPOSE_FILE: &str = "docker-compose.yml";

/// A checkout of this repository; every path in it is absolute.
#[derive(Clone)]
pub struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Finds the checkout: the one whose `xtask` Cargo runs (Cargo sets `CARGO_MANIFEST_DIR` when it
    /// runs a binary), else the one around the current folder.
    ///
    /// # Errors
    /// When there is none.
    pub fn discover() -> anyhow::Result<Checkout> {
        let from_cargo = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
        let start = match from_cargo {
            Some(folder) => folder,
            None => std::env::current_dir().context("finding the current folder")?,
        };
        Checkout::around(&start)
    }

    /// The checkout that a folder is in.
    ///
    /// # Errors
    /// When it is in none.
    pub fn around(start: &Path) -> anyhow::Result<Checkout> {
        let has_stack =
            |folder: &&Path| folder.join("deploy/analytics").join(COMPOSE_FILE).is_file();
        let root = start.ancestors().find(has_stack).ok_or_else(|| {
            let what = format!(
                "no deploy/analytics/{COMPOSE_FILE} in {} or above it",
                start.display()
            );
            anyhow!(Problem::new(what).hint("run `cargo xtask` inside the checkout"))
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

    /// What is locked while the stack is changed: a file that nobody reads meanwhile, so that there is
    /// nothing to clean up.
    pub fn lock_file(&self) -> PathBuf {
        self.stack().join(".gitignore")
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
            .filter_map(|name| files::read_text(&self.stack().join(name)).ok().flatten())
            .filter_map(|text| serde_yaml::from_str::<File>(&text).ok())
            .flat_map(|file| file.services.into_keys())
            .collect();
        names.into_iter().collect()
    }

    /// `path` as a user in the root of the checkout would type it.
    pub fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}
