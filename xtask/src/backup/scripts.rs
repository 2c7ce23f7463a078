//! Scripts for helper containers: whole files, handed over as a small archive at the head of stdin.
//!
//! Must never put a script together from pieces: each file runs alone and says in its head what it needs.

use std::io::Write;

use anyhow::Context;

use super::manifest::{BLOCK, END, padding, render_header};
use crate::docker::Docker;
use crate::docker::invocation::{Invocation, Pipe};

/// A file of a script, with its name.
type File = (&'static str, &'static str);

/// A script, and the files that it has beside it; itself first.
#[derive(Clone, Copy)]
pub struct Script(&'static [File]);

/// The files by their names, so that the two cannot differ.
macro_rules! script {
    ($($name:literal),+) => {
        Script(&[$(($name, include_str!(concat!("scripts/", $name)))),+])
    };
}

pub const BEGIN_CLUSTER: Script = script!("begin-cluster.sh");
pub const DUMP: Script = script!("dump.sh", "dump.sql", "count.sql");
pub const KNOWN: Script = script!("known.sh", "version.sh");
pub const PROBE: Script = script!("probe.sh");
pub const SAVE_REDIS: Script = script!("save-redis.sh");
pub const SAVE_VOLUME: Script = script!("save-volume.sh");
pub const SCHEMA: Script = script!("schema.sh");
pub const SETTLE: Script = script!("settle.sh", "follow.sh", "drop.sh");
pub const SETTLE_FILES: Script = script!("settle-files.sh", "follow.sh");
pub const STAGE: Script = script!("stage.sh", "restore.sh", "drop.sh", "count.sql");
pub const STAGE_CLUSTER: Script = script!("stage-cluster.sh", "restore.sh", "drop.sh", "count.sql");
pub const STAGE_REDIS: Script = script!("stage-redis.sh");
pub const STAGE_UPLOADS: Script = script!("stage-uploads.sh");
pub const SWAP: Script = script!("swap.sh");
pub const VERIFY: Script = script!("verify.sh", "restore.sh", "drop.sh", "count.sql");
pub const VERSION: Script = script!("version.sh");

/// Runs in the container first, and becomes the script.
const LAUNCH: &str = include_str!("scripts/launch.sh");

impl Script {
    /// The script alone, for a container that has nothing to unpack it with.
    pub fn text(self) -> &'static str {
        self.0[0].1
    }

    /// The script and its files as a tar.
    fn archive(self) -> Vec<u8> {
        let mut archive = Vec::new();
        for (name, text) in self.0 {
            let size = text.len() as u64;
            archive.extend(render_header(name, size));
            archive.extend(text.as_bytes());
            archive.extend(&END[..padding(size)]);
        }
        archive.extend(END);
        archive
    }
}

/// A script in a helper container, about to be run.
pub struct Tool<'a> {
    invocation: Invocation<'a>,
    archive: Vec<u8>,
}

impl<'a> Tool<'a> {
    /// `script` in a container of `image`. `options` are those of `docker run`.
    pub fn new(
        docker: &'a Docker,
        (project, image): (&str, &str),
        script: Script,
        options: &[String],
    ) -> Tool<'a> {
        let archive = script.archive();
        let blocks = (archive.len() as u64 / BLOCK).to_string();
        let invocation = docker.tool((project, image), LAUNCH, options);
        Tool {
            invocation: invocation.args(["sh", &blocks, script.0[0].0]),
            archive,
        }
    }

    /// With an argument for the script.
    pub fn arg(mut self, argument: &str) -> Tool<'a> {
        self.invocation = self.invocation.arg(argument);
        self
    }

    /// With a variable of docker's own environment, which a container gets by `--env NAME`.
    pub fn env(mut self, name: &str, value: &str) -> Tool<'a> {
        self.invocation = self.invocation.env(name, value);
        self
    }

    /// Starts it, and gives it what `data` writes as its stdin.
    ///
    /// # Errors
    /// What `data` says; but when the script ended before it had read everything, why.
    pub fn start(
        self,
        data: impl FnOnce(&mut dyn Write) -> anyhow::Result<()>,
    ) -> anyhow::Result<Pipe<'a>> {
        let mut pipe = self.invocation.pipe()?;
        pipe.write(|stdin| {
            let doing = "handing a script to a container";
            stdin.write_all(&self.archive).context(doing)?;
            data(stdin)
        })?;
        Ok(pipe)
    }

    /// Runs it without any data and returns what it printed.
    ///
    /// # Errors
    /// What it said, when it failed.
    pub fn text(self) -> anyhow::Result<String> {
        read(self.start(|_| Ok(()))?)
    }
}

/// Waits for the end of a script and returns what it printed.
///
/// # Errors
/// What it said, when it failed.
pub fn read(mut pipe: Pipe) -> anyhow::Result<String> {
    let text = std::io::read_to_string(pipe.stdout()?).context("reading from a container")?;
    pipe.finish()?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_script_finds_its_files_beside_it_and_the_data_behind_them() {
        let outer = Script(&[
            (
                "outer.sh",
                "printf '%s ' \"$1\"; sh \"${0%/*}/inner.sh\"; wc -c",
            ),
            ("inner.sh", "printf 'inner '"),
        ]);
        let archive = outer.archive();
        let blocks = (archive.len() as u64 / BLOCK).to_string();
        let mut shell = Command::new("sh")
            .args(["-c", LAUNCH, "sh", &blocks, "outer.sh", "an argument"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = shell.stdin.take().unwrap();
        stdin.write_all(&archive).unwrap();
        stdin.write_all(&[b'x'; 100_001]).unwrap();
        drop(stdin);
        let output = shell.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(text.trim(), "an argument inner 100001");
    }
}
