//! The stack's databases on a server of somebody else's. Must never touch what else is there.

use anyhow::{Context, bail};

use super::manifest::Manifest;
use super::stores::Stores;
use crate::docker::versions::Version;
use crate::problem::Problem;
use crate::stack::database::Server;

impl Stores<'_> {
    /// Whether the image's programs can save and restore what is there; good where PostgreSQL is the
    /// stack's own.
    ///
    /// # Errors
    /// When the server does not answer, or is newer than the programs, with the way out.
    pub fn check_server(&self) -> anyhow::Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let there = self.server_version(server)?;
        let here = self.image_version()?;
        if there.0 <= here.0 {
            return Ok(());
        }
        let (host, there, here) = (&server.host, there.0, here.0);
        let what = format!(
            "the server at {host} is PostgreSQL {there}, and the image is PostgreSQL {here}, whose \
             programs cannot save its data"
        );
        bail!(Problem::new(what).hint(format!(
            "set POSTGRES_IMAGE=postgres:{there}-alpine in deploy/analytics/.env, then `cargo xtask up`"
        )))
    }

    /// Whether a backup can be restored there; good where PostgreSQL is the stack's own.
    ///
    /// # Errors
    /// When it cannot, with the way out.
    pub fn check_for_server(&self, manifest: &Manifest) -> anyhow::Result<()> {
        let Some(server) = &self.server else {
            return Ok(());
        };
        let host = &server.host;
        if manifest.databases.is_empty() {
            let what = format!("the backup has no databases for the PostgreSQL at {host}");
            bail!(Problem::new(what).hint("`cargo xtask backup --list` shows the others"));
        }
        let there = self.server_version(server)?;
        if Version::parse(&manifest.postgres).is_some_and(|saved| saved.0 > there.0) {
            let what = format!(
                "the backup is of PostgreSQL {}, and the server at {host} is PostgreSQL {}, which \
                 cannot take it",
                manifest.postgres, there.0
            );
            bail!(
                Problem::new(what)
                    .hint("set POSTGRES_HOST in deploy/analytics/.env to a newer server")
            );
        }
        Ok(())
    }

    fn server_version(&self, server: &Server) -> anyhow::Result<Version> {
        let version = Version::parse(&server.ours(&self.session.docker)?.version);
        version.context("reading the version of the server")
    }
}
