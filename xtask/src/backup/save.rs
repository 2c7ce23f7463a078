//! What is in the stores, part by part into a backup file. Must change nothing in them.

use anyhow::{Context, bail};

use super::file::Archive;
use super::manifest::{self as backup, END, Said};
use super::scripts;
use super::stores::{SOCKET, Stores};
use crate::docker::invocation::Pipe;
use crate::terminal::say;

/// The parts of a backup that are no database.
pub const REDIS: &str = "redis.rdb";
pub const ROLES: &str = "roles.sql";
pub const UPLOADS: &str = "uploads.tar";

/// The roles that are the stack's on a server of somebody else's or in production, whose others are nobody's business.
pub const OUR_ROLES: &str = "CREATE ROLE umami LOGIN;\nCREATE ROLE glitchtip LOGIN;\n";

/// The part with the database of a service.
pub fn dump_name(service: &str) -> String {
    format!("{service}.dump")
}

/// The part with all files of a volume, as they are.
pub fn files_name(volume: &str) -> String {
    format!("{volume}.tar")
}

/// A part of a backup, or why there is none: what it is made of could not be read. That the backup could not
/// be written is an error instead.
pub type Saved<T> = Result<T, anyhow::Error>;

impl Stores<'_> {
    /// Adds a database to an archive, and what is in it: of one and the same snapshot.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn dump(&self, service: &str, archive: &mut Archive) -> anyhow::Result<Saved<Said>> {
        let name = dump_name(service);
        let tool = self.postgres_tool(scripts::DUMP, "postgres", &[SOCKET])?;
        let mut pipe = tool.arg(service).start(|_| Ok(()))?;
        archive.add(&name, &mut pipe.stdout()?)?;
        let said = pipe.finish().and_then(|text| {
            let said = backup::parse_said(&text);
            said.warnings.iter().for_each(|warning| say!("  {warning}"));
            if !said.is_complete {
                bail!("PostgreSQL could not dump it; what it says is above");
            }
            Ok(said)
        });
        keep(archive, &name, said)
    }

    /// Adds the roles of PostgreSQL, without passwords.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn dump_roles(&self, archive: &mut Archive) -> anyhow::Result<Saved<()>> {
        if self.server.is_some() {
            archive.add(ROLES, &mut OUR_ROLES.as_bytes())?;
            return Ok(Ok(()));
        }
        let roles = [
            "pg_dumpall",
            "--database",
            "postgres",
            "--roles-only",
            "--no-role-passwords",
            "--username",
        ];
        let exec = ["exec", "--no-TTY", "postgres"];
        let exec = self.session.docker.compose().args(exec);
        let pipe = exec.args(roles).arg(self.superuser).pipe()?;
        self.add(archive, ROLES, pipe)
    }

    /// Adds GlitchTip's uploads.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn dump_uploads(&self, archive: &mut Archive) -> anyhow::Result<Saved<()>> {
        self.add_volume(archive, (UPLOADS, "glitchtip_uploads"), &["at-work"])
    }

    /// Adds what Redis holds: sessions, and events that are accepted and not yet stored.
    ///
    /// # Errors
    /// When the archive cannot be written.
    pub fn dump_redis(&self, archive: &mut Archive) -> anyhow::Result<Saved<()>> {
        let script = scripts::SAVE_REDIS.text();
        let exec = ["exec", "--no-TTY", "redis", "sh", "-c", script];
        let pipe = self.session.docker.compose().args(exec).pipe()?;
        self.add(archive, REDIS, pipe)
    }

    /// Adds the files of a volume as they are; nobody may use it.
    ///
    /// # Errors
    /// When the archive cannot be written, or the volume not be read.
    pub fn copy_files(&self, key: &str, archive: &mut Archive) -> anyhow::Result<()> {
        self.add_volume(archive, (&files_name(key), key), &[])?
    }

    fn add_volume(
        &self,
        archive: &mut Archive,
        (part, key): (&str, &str),
        arguments: &[&str],
    ) -> anyhow::Result<Saved<()>> {
        let tool = self.postgres_tool(scripts::SAVE_VOLUME, "root", &[(key, "/volume:ro")])?;
        let tool = arguments.iter().fold(tool, |tool, it| tool.arg(it));
        let saved = self.add(archive, part, tool.start(|_| Ok(()))?)?;
        // BusyBox tar also exits with 1 on real errors, so look at the size instead.
        let size = archive.parts.get(part).map_or(0, |part| part.size);
        match saved {
            Ok(()) if size < END.len() as u64 => {
                archive.discard(part)?;
                Ok(Err(anyhow::anyhow!("its files could not be read")))
            }
            saved => Ok(saved),
        }
    }

    fn add(&self, archive: &mut Archive, name: &str, mut pipe: Pipe) -> anyhow::Result<Saved<()>> {
        pipe.write(|_| Ok(()))?;
        archive.add(name, &mut pipe.stdout()?)?;
        let said = pipe.finish().with_context(|| format!("saving {name}"));
        keep(archive, name, said.map(drop))
    }
}

/// Takes a part out again that is not whole.
fn keep<T>(
    archive: &mut Archive,
    name: &str,
    saved: anyhow::Result<T>,
) -> anyhow::Result<Saved<T>> {
    if saved.is_err() {
        archive.discard(name)?;
    }
    Ok(saved)
}
