//! Which hosts file is meant, and what is known of it before it is changed. Must never change it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::hosts::cloud_init;
use crate::hosts::edit::{self, Plan, Wanted};
use crate::hosts::platform::Platform;
use crate::problem::Problem;

const CLOUD_INIT: &str = "/etc/cloud";

/// A hosts file.
pub struct HostsFile {
    /// As the user knows it.
    pub path: PathBuf,
    /// The file behind it, through symlinks.
    pub target: PathBuf,
    pub origin: Origin,
    /// Whose rules hold for it: in WSL there are Windows' files and Linux' own.
    pub platform: Platform,
}

/// Whether this machine's resolver goes by the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    System,
    /// The user named it with `--file`.
    Named,
}

impl HostsFile {
    /// The file that `named` leads to, or the one that the user's browser goes by.
    ///
    /// # Errors
    /// When it is missing, or is not a regular file.
    pub fn find(named: Option<&Path>) -> anyhow::Result<HostsFile> {
        let system = system_platform();
        let (path, origin) = match named {
            Some(path) => (path.to_path_buf(), Origin::Named),
            None => (system_file(system), Origin::System),
        };

        let target =
            fs::canonicalize(&path).with_context(|| format!("looking for {}", path.display()))?;
        let is_file = fs::metadata(&target)?.is_file();
        ensure!(is_file, "{} is not a regular file", path.display());

        let platform = match system {
            Platform::Wsl if !target.starts_with("/mnt") => Platform::Unix,
            platform => platform,
        };
        Ok(HostsFile {
            path,
            target,
            origin,
            platform,
        })
    }

    /// # Errors
    /// When it cannot be read.
    pub fn contents(&self) -> anyhow::Result<Vec<u8>> {
        fs::read(&self.target).with_context(|| format!("reading {}", self.path.display()))
    }

    /// What it takes until the file, which says `before`, is as `wanted`.
    ///
    /// # Errors
    /// With the file and the line, when it cannot be.
    pub fn plan(&self, before: &[u8], wanted: &Wanted) -> anyhow::Result<Plan> {
        edit::plan(before, wanted).with_context(|| self.path.display().to_string())
    }

    /// Whether NixOS makes it of the system's configuration.
    pub fn is_made_by_nixos(&self) -> bool {
        self.target.starts_with("/nix/store")
    }

    /// What the user should know before the file, which says `before`, is changed.
    pub fn warning(&self, before: &[u8], wanted: &Wanted) -> Option<Problem> {
        let configuration = match self.origin {
            Origin::System => cloud_init_configuration(),
            Origin::Named => Vec::new(),
        };
        if is_cloud_init_off() {
            return None;
        }
        let cloud_init = cloud_init::detect(before, &configuration)?;
        let template = cloud_init.template.as_ref();
        let template = template.and_then(|path| fs::read_to_string(path).ok());
        cloud_init.warning(
            &self.path.display().to_string(),
            wanted,
            &template.unwrap_or_default(),
        )
    }
}

fn system_platform() -> Platform {
    let kernel_release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Platform::of(env::consts::OS, &kernel_release)
}

fn system_file(platform: Platform) -> PathBuf {
    let file = platform.hosts_file(env::var("SystemRoot").ok().as_deref());
    // WSL without Windows' drives has Linux' own.
    if platform == Platform::Wsl && !file.exists() {
        PathBuf::from("/etc/hosts")
    } else {
        file
    }
}

/// Two ways to say it: by hand, and by what cloud-init found at boot.
fn is_cloud_init_off() -> bool {
    Path::new(CLOUD_INIT).join("cloud-init.disabled").exists()
        || Path::new("/run/cloud-init/disabled").exists()
}

/// Its files that everyone can read, the one that wins last.
fn cloud_init_configuration() -> Vec<String> {
    let folder = Path::new(CLOUD_INIT);
    let parts = fs::read_dir(folder.join("cloud.cfg.d"))
        .into_iter()
        .flatten();
    let parts = parts.flatten().map(|entry| entry.path());
    let mut parts: Vec<PathBuf> = parts
        .filter(|path| path.extension().is_some_and(|extension| extension == "cfg"))
        .collect();
    parts.sort();
    let files = [folder.join("cloud.cfg")].into_iter().chain(parts);
    files
        .filter_map(|path| fs::read_to_string(path).ok())
        .collect()
}
