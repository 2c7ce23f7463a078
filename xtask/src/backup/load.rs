//! What is in a backup file, part by part into containers. Nothing in use is replaced before everything has
//! come back.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Context;

use super::file::Archive;
use super::manifest::{self as backup, Database};
use super::save::{REDIS, ROLES, UPLOADS, dump_name};
use super::scripts::{self, Tool};
use super::stores::{SERVICES, SOCKET, Stores};
use crate::terminal::progress::Meter;

/// The volumes that follow the databases, and where the scripts look for them.
const FILES: [(&str, &str); 2] = [("glitchtip_uploads", "/uploads"), ("redis_data", "/redis")];

/// What the databases of a backup are restored for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To be counted; the archive of the uploads is read, too.
    Verify,
    Restore,
}

/// How a restore that was under way was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// What was restored is in use.
    Replaced,
    /// What was there before is in use.
    Unchanged,
    /// Only PostgreSQL knows, and it does not start; nothing was done.
    Unknown,
}

impl Settled {
    /// Reads the line that `settle.sh` and `settle-files.sh` print.
    fn parse(text: &str) -> Settled {
        if text.trim() == "replaced" {
            Settled::Replaced
        } else {
            Settled::Unchanged
        }
    }
}

impl fmt::Display for Settled {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Settled::Replaced => "the data of the backup is in use",
            Settled::Unchanged => "nothing was replaced",
            Settled::Unknown => "PostgreSQL does not start, so that it cannot be finished",
        })
    }
}

impl Stores<'_> {
    /// Restores an archive into a server that nobody else can reach and that is gone afterwards.
    pub fn rehearse(&self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, Database>> {
        let tool = self.postgres_tool(scripts::VERIFY, "postgres", &[])?;
        self.load(tool, archive, Purpose::Verify)
    }

    /// Restores the databases beside those in use; returns what came back.
    pub fn stage(&self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, Database>> {
        let tool = self.postgres_tool(scripts::STAGE, "postgres", &[SOCKET])?;
        self.load(tool, archive, Purpose::Restore)
    }

    /// Restores the databases into a new cluster beside the data of PostgreSQL, which must not run; returns
    /// what came back.
    pub fn stage_cluster(
        &self,
        archive: &mut Archive,
    ) -> anyhow::Result<BTreeMap<String, Database>> {
        self.cluster_tool(scripts::BEGIN_CLUSTER, "root", &[])?
            .text()?;
        let tool = self.cluster_tool(scripts::STAGE_CLUSTER, "postgres", &[])?;
        self.load(tool, archive, Purpose::Restore)
    }

    /// Restores uploads and Redis beside those in use, as far as they were saved.
    pub fn stage_files(&self, archive: &mut Archive) -> anyhow::Result<()> {
        let uploads = self.postgres_tool(scripts::STAGE_UPLOADS, "root", &FILES[..1])?;
        let redis = self.redis_tool(scripts::STAGE_REDIS)?;
        for (part, tool) in [(UPLOADS, uploads), (REDIS, redis)] {
            if !archive.parts.contains_key(part) {
                continue;
            }
            let mut meter = Meter::of(part, archive.size(&[part]));
            let pipe = tool.start(|stdin| archive.send(part, stdin, &mut meter))?;
            pipe.finish().with_context(|| format!("restoring {part}"))?;
            meter.finish();
        }
        Ok(())
    }

    /// Puts the restored databases in the place of those in use, both in one transaction.
    pub fn swap(&self) -> anyhow::Result<()> {
        let tool = self.postgres_tool(scripts::SWAP, "postgres", &[SOCKET])?;
        tool.text().context("swapping the databases").map(drop)
    }

    /// After the swap of the databases: lets uploads and Redis follow, and the old data go. Before it:
    /// lets go what was restored. Can be repeated. Nothing but PostgreSQL may run.
    pub fn settle(&self) -> anyhow::Result<Settled> {
        let volumes = [SOCKET, FILES[0], FILES[1]];
        let tool = self.postgres_tool(scripts::SETTLE, "root", &volumes)?;
        Ok(Settled::parse(&tool.text()?))
    }

    /// Takes everything that was restored beside the files in use into use. Nothing may run.
    pub fn commit_files(&self) -> anyhow::Result<()> {
        self.settle_files_with("commit").map(drop)
    }

    /// After [`Stores::commit_files`] began: brings it to its end. Before it: lets go what was restored. Can
    /// be repeated. Nothing may run.
    pub fn settle_files(&self) -> anyhow::Result<Settled> {
        self.settle_files_with("resume")
    }

    fn settle_files_with(&self, verb: &str) -> anyhow::Result<Settled> {
        let tool = self.cluster_tool(scripts::SETTLE_FILES, "root", &FILES)?;
        Ok(Settled::parse(&tool.arg(verb).text()?))
    }

    /// Hands the databases of an archive to a script that restores them, and returns what came back.
    fn load(
        &self,
        tool: Tool,
        archive: &mut Archive,
        purpose: Purpose,
    ) -> anyhow::Result<BTreeMap<String, Database>> {
        let (more, what) = match purpose {
            Purpose::Verify => (&[UPLOADS][..], "verifying"),
            Purpose::Restore => (&[][..], "restoring"),
        };
        // A server of somebody else's has our roles already, and may not get others.
        let is_shared = self.server.is_some() && purpose == Purpose::Restore;
        let roles = Some(ROLES).filter(|_| !is_shared);
        let dumps = SERVICES.map(dump_name);
        let names: Vec<&str> = dumps
            .iter()
            .map(String::as_str)
            .chain(roles)
            .chain(more.iter().copied())
            .filter(|name| archive.parts.contains_key(*name))
            .collect();
        let mut meter = Meter::of(what, archive.size(&names));
        let pipe = tool.start(|stdin| archive.send_tar(&names, stdin, &mut meter))?;
        let text = scripts::read(pipe)?;
        meter.finish();
        backup::parse_restored(&text).context("restoring did not come to its end")
    }
}
