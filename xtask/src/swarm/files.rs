//! The committed artifacts of production, rendered with what the env file says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::Context;
use hmac_sha256::Hash;

use super::Swarm;
use super::objects::{Kind, Made, New};
use super::secrets::{self, SecretFile};
use super::settings::{self, Database};
use super::stackfile::{StackFile, parse_order};
use crate::docker::invocation::stderr_of;
use crate::problem::Problem;
use crate::system::files;

/// The services that run all the time.
pub const STACK: &str = "stack.yml";
/// The services that take the place of the database on one node with DATABASE=ha.
pub const HA: &str = "ha.yml";
/// What prepares the databases for them.
pub const JOBS: &str = "jobs.yml";
/// What works on backups.
pub const OPERATION: &str = "operation.yml";

/// All that a release is made of, before anything is in the swarm.
pub struct Plan {
    pub stack: StackFile,
    pub jobs: StackFile,
    /// The jobs, in their order.
    pub order: Vec<String>,
    pub secrets: Vec<SecretFile>,
    /// Name in the swarm and content of each config.
    pub configs: BTreeMap<String, String>,
}

impl Plan {
    /// The images of all services and jobs.
    pub fn images(&self) -> BTreeSet<String> {
        let (stack, jobs) = (self.stack.images(), self.jobs.images());
        stack.into_iter().chain(jobs).collect()
    }

    /// Those of its images that the engine does not have.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn missing_images(&self, swarm: &Swarm) -> anyhow::Result<Vec<String>> {
        let images = self.images();
        let present = swarm.docker.images(images.iter().map(String::as_str))?;
        let missing = images
            .into_iter()
            .filter(|name| !present.contains_key(name));
        Ok(missing.collect())
    }

    /// Puts names in the place of images that mean the same for ever, for `nodes` nodes; returns which.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn pin(&mut self, swarm: &Swarm, nodes: usize) -> anyhow::Result<BTreeMap<String, String>> {
        let pinned = swarm.pinned(&self.images(), nodes)?;
        self.stack.replace_images(&pinned);
        self.jobs.replace_images(&pinned);
        Ok(pinned)
    }
}

impl Swarm {
    /// Renders the artifacts with the env file.
    ///
    /// # Errors
    /// When the env file lacks something, or docker refuses a file.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let values = self.docker.values();
        settings::check_complete(values)?;
        let secrets = secrets::all(values)?;
        let versions = secret_versions(&secrets);
        let files: &[&str] = match Database::of(values)? {
            Database::Single => &[STACK],
            Database::Ha => &[STACK, HA],
        };
        let mut stack = self.render_all(files, &versions)?;
        stack.drop_replaced();
        let mut jobs = self.render(JOBS, &versions)?;
        let mut configs = BTreeMap::new();
        self.take_configs(&mut stack, &mut configs)?;
        self.take_configs(&mut jobs, &mut configs)?;
        Ok(Plan {
            stack,
            jobs,
            order: self.order_of(JOBS)?,
            secrets,
            configs,
        })
    }

    /// Renders one of the artifacts, with variables beside those of the env file.
    ///
    /// # Errors
    /// When docker refuses it.
    pub fn render(&self, file: &str, variables: &[(String, String)]) -> anyhow::Result<StackFile> {
        self.render_all(&[file], variables)
    }

    /// The same of several, of which the later ones change the earlier ones.
    fn render_all(
        &self,
        files: &[&str],
        variables: &[(String, String)],
    ) -> anyhow::Result<StackFile> {
        let mut config = self.docker.docker();
        for (name, value) in self.docker.values().plain() {
            config = config.env(name, value);
        }
        for (name, value) in variables {
            config = config.env(name, value);
        }
        let mut config = config.args(["stack", "config"]);
        for file in files {
            config = config.args(["--compose-file", file]);
        }
        let rendered = config.text().map_err(|error| {
            let paths = files.iter().map(|file| self.checkout.stack().join(file));
            let names: Vec<String> = paths.map(|path| self.checkout.display(&path)).collect();
            Problem::new(format!("docker refuses {}", names.join(" with ")))
                .evidence(stderr_of(&error))
                .hint("correct what it names in deploy/production/.env, then repeat the command")
        })?;
        StackFile::parse(&rendered)
    }

    /// The services of one of the artifacts, in the order in which they stand.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn order_of(&self, file: &str) -> anyhow::Result<Vec<String>> {
        parse_order(&self.read(file)?)
    }

    /// Makes all secrets and configs that are not there yet; returns their names.
    ///
    /// # Errors
    /// When the swarm refuses one.
    pub fn create_all(&self, plan: &Plan) -> anyhow::Result<Vec<String>> {
        let mut made = Vec::new();
        let mut ensure = |kind, name: String, content: &str| -> anyhow::Result<()> {
            let new = New {
                kind,
                name: &name,
                labels: &[],
                content,
            };
            if self.create(&new)? == Made::New {
                made.push(name);
            }
            Ok(())
        };
        let (secrets, configs) = (self.names(Kind::Secret)?, self.names(Kind::Config)?);
        for secret in &plan.secrets {
            let name = secret.name(&self.name);
            if !secrets.contains(&name) {
                ensure(Kind::Secret, name, &secret.content)?;
            }
        }
        for (name, content) in &plan.configs {
            if !configs.contains(name) {
                ensure(Kind::Config, name.clone(), content)?;
            }
        }
        Ok(made)
    }

    /// Lets a stack file take its configs from the swarm, by names that change with their content.
    fn take_configs(
        &self,
        stack: &mut StackFile,
        configs: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        for config in stack.config_files() {
            let path = Path::new(&config.path);
            let text = files::read_text(path)?;
            let text = text.ok_or_else(|| self.missing(&config.key, path))?;
            let digest = Hash::hash(text.as_bytes());
            let version: String = digest[..4].iter().map(|it| format!("{it:02x}")).collect();
            let name = format!("{}_{}_{version}", self.name, config.key);
            stack.take("configs", &config.key, &name);
            configs.insert(name, text);
        }
        Ok(())
    }

    /// A file is missing that the config `key` is made of.
    fn missing(&self, key: &str, path: &Path) -> Problem {
        let name = self.checkout.display(path);
        let problem = Problem::new(format!("{name} is missing"));
        match key {
            "trusted_ca" => problem.hint("correct TRUSTED_CA_FILE in deploy/production/.env"),
            _ => problem.hint(format!("run `git checkout -- {name}`")),
        }
    }

    fn read(&self, file: &str) -> anyhow::Result<String> {
        let path = self.checkout.stack().join(file);
        let text = files::read_text(&path)?;
        text.with_context(|| {
            let name = self.checkout.display(&path);
            Problem::new(format!("{name} is missing")).hint(format!("run `git checkout -- {name}`"))
        })
    }
}

/// The variables by which stack files are told the versions of secrets.
pub fn secret_versions(secrets: &[SecretFile]) -> Vec<(String, String)> {
    // One attempt: the databases are known to be healthy, and the first failure is to be seen.
    let attempts = ("JOB_ATTEMPTS".to_owned(), "1".to_owned());
    let versions = secrets.iter().map(|it| (it.variable(), it.version.clone()));
    versions.chain([attempts]).collect()
}
