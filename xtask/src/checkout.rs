//! Where things are in this checkout. Must never write any of it, and never knows of Docker.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::problem::Problem;
use crate::system::files;

/// The folder of the stack on one machine.
const ANALYTICS: &str = "deploy/analytics";

const COMPOSE_FILE: &str = "docker-compose.yml";

/// What Compose calls an override, and takes in the place of our compose file, the first one first
/// (compose-go's cli/options.go, read 2026-11-25).
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];
const RIVALS: [&str; 2] = ["compose.yaml", "compose.yml"];

/// A checkout of this repository; every path in it is absolute.
#[derive(Clone)]
pub struct Checkout {
    root: PathBuf,
    /// The folder of the deployment that is meant, below the root.
    deployment: &'static str,
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
            if let Some(closed) = closed(start) {
                return closed;
            }
            let what = format!(
                "no deploy/analytics/{COMPOSE_FILE} in {} or above it",
                start.display()
            );
            anyhow!(Problem::new(what).hint("run `cargo xtask` inside the checkout"))
        })?;
        Ok(Checkout {
            root: root.to_path_buf(),
            deployment: ANALYTICS,
        })
    }

    /// The same checkout with production in the place of the stack on one machine: its folder, its env file,
    /// its lock.
    pub fn production(&self) -> Checkout {
        Checkout {
            root: self.root.clone(),
            deployment: "deploy/production",
        }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the stack, in which docker runs.
    pub fn stack(&self) -> PathBuf {
        self.root.join(self.deployment)
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
        let name = match self.deployment {
            ANALYTICS => ".gitignore",
            _ => "README.md",
        };
        self.stack().join(name)
    }

    /// The names of the files that make the stack: the compose file, and its override where there is one.
    pub fn compose_files(&self) -> Vec<String> {
        let overrides = self.overrides().into_iter().next();
        [COMPOSE_FILE.to_owned()]
            .into_iter()
            .chain(overrides)
            .collect()
    }

    /// The names of the overrides that are there; the first one is used, as Compose does.
    pub fn overrides(&self) -> Vec<String> {
        self.present(&OVERRIDES)
    }

    /// The names of files that plain Compose would read in the place of our compose file.
    pub fn rivals(&self) -> Vec<String> {
        self.present(&RIVALS)
    }

    fn present(&self, names: &[&str]) -> Vec<String> {
        let here = names
            .iter()
            .filter(|name| self.stack().join(name).is_file());
        here.map(|name| (*name).to_owned()).collect()
    }

    /// `path` as a user in the root of the checkout would type it.
    pub fn display(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Why it cannot be seen whether a folder is in a checkout, where that is so.
fn closed(start: &Path) -> Option<anyhow::Error> {
    start.ancestors().find_map(|folder| {
        let path = folder.join(ANALYTICS).join(COMPOSE_FILE);
        let error = path.metadata().err()?;
        (error.kind() == ErrorKind::PermissionDenied).then(|| files::explain(&path, error))
    })
}
