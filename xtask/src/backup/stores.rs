//! Where the stack keeps its data, and the containers that move it. All client programs are those of the
//! stack's own images; the user needs nothing but Docker.

use std::collections::BTreeMap;

use anyhow::{Context, bail};

use super::file::Archive;
use super::manifest::{self as backup, Database, END, Said};
use super::scripts::{self, Script, Tool};
use crate::diagnosis;
use crate::docker::invocation::Pipe;
use crate::session::Session;
use crate::stack::desired::Config;
use crate::stack::{Stack, images};
use crate::terminal::progress::Meter;
use crate::terminal::say;

/// The parts of a backup that are no database.
pub const REDIS: &str = "redis.rdb";
pub const ROLES: &str = "roles.sql";
pub const UPLOADS: &str = "uploads.tar";

/// The way into PostgreSQL that needs no password: its volume, and where the client programs look for it.
const SOCKET: (&str, &str) = ("postgres_socket", "/var/run/postgresql");

/// The data of one project, in reach of containers of ours.
pub struct Stores<'a> {
    pub session: &'a Session<'a>,
    pub config: &'a Config,
    superuser: &'a str,
    umami: &'a str,
    glitchtip: &'a str,
}

impl<'a> Stores<'a> {
    /// Finds them, and removes the containers that a killed xtask left at work.
    ///
    /// # Errors
    /// When the configuration does not name something.
    pub fn find(session: &'a Session<'a>, config: &'a Config) -> anyhow::Result<Stores<'a>> {
        session.docker.remove_tools(&config.name)?;
        let service = |name: &str| {
            let service = config.services.get(name);
            service.with_context(|| format!("docker-compose.yml has no service {name}"))
        };
        let lacks = |name: &'static str| move || format!("docker-compose.yml does not set {name}");
        let postgres = &service("postgres")?.environment;
        let init = &service("postgres-init")?.environment;
        Ok(Stores {
            session,
            config,
            superuser: postgres
                .postgres_user
                .as_deref()
                .with_context(lacks("POSTGRES_USER"))?,
            umami: init
                .umami_database
                .as_deref()
                .with_context(lacks("UMAMI_DATABASE"))?,
            glitchtip: init
                .glitchtip_database
                .as_deref()
                .with_context(lacks("GLITCHTIP_DATABASE"))?,
        })
    }

    /// Whether there is any data.
    pub fn exist(&self) -> anyhow::Result<bool> {
        self.session
            .docker
            .has_volume(self.volume("postgres_data")?)
    }

    fn volume(&self, name: &str) -> anyhow::Result<&str> {
        let volume = self.config.volumes.get(name);
        Ok(&volume
            .with_context(|| format!("docker-compose.yml has no volume {name}"))?
            .name)
    }

    fn image(&self, service: &str) -> &str {
        self.config
            .services
            .get(service)
            .map_or("", |service| &service.image)
    }

    /// Starts PostgreSQL and Redis unless they run. Returns whether it did.
    ///
    /// # Errors
    /// What does not start; why was said.
    pub fn ensure_running(&self) -> anyhow::Result<bool> {
        let services = ["postgres", "postgres-init", "redis"];
        let stack = Stack::read(&self.session.docker)?;
        if stack.are_ready(&services) {
            return Ok(false);
        }
        let started = self.start(&stack, &services);
        let explain = |error| diagnosis::explain(&self.session.docker, self.config, error);
        started.map_err(explain)?;
        Ok(true)
    }

    fn start(&self, stack: &Stack, services: &[&str]) -> anyhow::Result<()> {
        images::ensure(self.session, self.config)?;
        if !self
            .session
            .docker
            .has_volume(self.volume("glitchtip_uploads")?)?
        {
            // One that Compose has not made itself it would complain about.
            let create = self.session.docker.compose().arg("create");
            create.holding(&self.session.lock).text()?;
        }
        let awaited = services.iter().map(|&name| name.to_owned()).collect();
        stack.apply(self.session, services, &awaited)
    }

    /// Whether both applications serve.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn are_applications_running(&self) -> anyhow::Result<bool> {
        Ok(Stack::read(&self.session.docker)?.are_ready(&["umami", "glitchtip-web"]))
    }

    /// Stops services, so that nothing writes any more.
    ///
    /// # Errors
    /// When one does not stop.
    pub fn stop(&self, services: &[&str]) -> anyhow::Result<()> {
        let stop = self.session.docker.compose().arg("stop").args(services);
        stop.holding(&self.session.lock).text().map(drop)
    }

    /// Stops all services but those that keep the data.
    ///
    /// # Errors
    /// When one does not stop.
    pub fn stop_applications(&self) -> anyhow::Result<()> {
        let names = self.config.services.keys().map(String::as_str);
        let names = names.filter(|name| !["postgres", "redis"].contains(name));
        self.stop(&names.collect::<Vec<_>>())
    }

    /// A script in PostgreSQL's image, with its socket, where no password is asked for.
    fn postgres_tool(
        &self,
        script: Script,
        user: &str,
        volumes: &[(&str, &str)],
    ) -> anyhow::Result<Tool<'a>> {
        let mut options = vec!["--user".to_owned(), user.to_owned()];
        for variable in [
            "PGHOST=/var/run/postgresql".to_owned(),
            format!("PGUSER={}", self.superuser),
            format!("UMAMI_DATABASE={}", self.umami),
            format!("GLITCHTIP_DATABASE={}", self.glitchtip),
        ] {
            options.extend(["--env".to_owned(), variable]);
        }
        for (name, path) in volumes {
            options.extend([
                "--volume".to_owned(),
                format!("{}:{path}", self.volume(name)?),
            ]);
        }
        Ok(self.tool(self.image("postgres"), script, &options))
    }

    /// A script in Redis' image, with its data.
    fn redis_tool(&self, script: Script) -> anyhow::Result<Tool<'a>> {
        let volume = format!("{}:/data", self.volume("redis_data")?);
        let options = ["--user", "redis", "--volume", &volume].map(str::to_owned);
        Ok(self.tool(self.image("redis"), script, &options))
    }

    fn tool(&self, image: &str, script: Script, options: &[String]) -> Tool<'a> {
        let docker = &self.session.docker;
        Tool::new(docker, (&self.config.name, image), script, options)
    }

    /// Asks the image of a service for the version of its application; for [`scripts::read`] and
    /// [`backup::parse_known`].
    pub fn start_version(&self, service: &str) -> anyhow::Result<Pipe<'a>> {
        let tool = self.tool(self.image(service), scripts::VERSION, &[]);
        tool.start(|_| Ok(()))
    }

    /// [`Stores::start_version`], with the migrations that it knows.
    pub fn start_known(&self, service: &str) -> anyhow::Result<Pipe<'a>> {
        let tool = self.tool(self.image(service), scripts::KNOWN, &[]);
        tool.start(|_| Ok(()))
    }

    /// The version of the application in an image; `None` where the image does not say.
    pub fn version_of(&self, image: &str) -> Option<String> {
        let said = self.tool(image, scripts::VERSION, &[]).text().ok()?;
        backup::parse_known(&said).version
    }

    /// What the PostgreSQL of the image calls itself: `postgres (PostgreSQL) 15.18`.
    pub fn postgres_version(&self) -> anyhow::Result<String> {
        let docker = &self.session.docker;
        let (project, image) = (&self.config.name, self.image("postgres"));
        docker
            .tool(project, image, "exec postgres --version", &[])
            .text()
    }

    /// A checksum of the databases' schemas and of the migrations that they have seen.
    pub fn schema(&self) -> anyhow::Result<String> {
        self.postgres_tool(scripts::SCHEMA, "postgres", &[SOCKET])?
            .text()
    }

    /// Adds a database to an archive, and what is in it: of one and the same snapshot.
    pub fn dump(&self, service: &str, archive: &mut Archive) -> anyhow::Result<Said> {
        let tool = self.postgres_tool(scripts::DUMP, "postgres", &[SOCKET])?;
        let mut pipe = tool.arg(service).start(|_| Ok(()))?;
        archive.add(&dump_name(service), &mut pipe.stdout()?)?;
        let said = backup::parse_said(&pipe.finish()?);
        said.warnings.iter().for_each(|warning| say!("  {warning}"));
        if !said.is_complete {
            bail!("the database of {service} could not be dumped; what PostgreSQL says is above");
        }
        Ok(said)
    }

    /// Adds all that is not in a database.
    pub fn dump_rest(&self, archive: &mut Archive) -> anyhow::Result<()> {
        let roles = [
            "pg_dumpall",
            "--database",
            "postgres",
            "--roles-only",
            "--no-role-passwords",
            "--username",
        ];
        let exec = self
            .session
            .docker
            .compose()
            .args(["exec", "--no-TTY", "postgres"]);
        self.add(archive, ROLES, exec.args(roles).arg(self.superuser).pipe()?)?;
        let volume = ("glitchtip_uploads", "/uploads:ro");
        let uploads = self.postgres_tool(scripts::SAVE_UPLOADS, "root", &[volume])?;
        self.add(archive, UPLOADS, uploads.start(|_| Ok(()))?)?;
        // BusyBox tar also exits with 1 on real errors, so look at the size instead.
        if archive
            .parts
            .get(UPLOADS)
            .is_none_or(|part| part.size < END.len() as u64)
        {
            bail!("the uploads of GlitchTip could not be saved");
        }
        Ok(())
    }

    /// Adds what Redis holds: sessions, and events that are accepted and not yet stored.
    pub fn dump_redis(&self, archive: &mut Archive) -> anyhow::Result<()> {
        let script = scripts::SAVE_REDIS.text();
        let exec = ["exec", "--no-TTY", "redis", "sh", "-c", script];
        let pipe = self.session.docker.compose().args(exec).pipe()?;
        self.add(archive, REDIS, pipe)
    }

    fn add(&self, archive: &mut Archive, name: &str, mut pipe: Pipe) -> anyhow::Result<()> {
        pipe.write(|_| Ok(()))?;
        archive.add(name, &mut pipe.stdout()?)?;
        pipe.finish().with_context(|| format!("saving {name}"))?;
        Ok(())
    }

    /// Restores an archive into a server that nobody else can reach and that is gone afterwards.
    pub fn rehearse(&self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, Database>> {
        let tool = self.postgres_tool(scripts::VERIFY, "postgres", &[])?;
        self.load(tool, archive, &[UPLOADS], "verifying")
    }

    /// Restores all of an archive beside what is in use; returns what came back.
    pub fn stage(&self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, Database>> {
        let tool = self.postgres_tool(scripts::STAGE, "postgres", &[SOCKET])?;
        let found = self.load(tool, archive, &[], "restoring")?;
        let volume = ("glitchtip_uploads", "/uploads");
        let uploads = self.postgres_tool(scripts::STAGE_UPLOADS, "root", &[volume])?;
        let redis = self.redis_tool(scripts::STAGE_REDIS)?;
        for (part, tool) in [(UPLOADS, uploads), (REDIS, redis)] {
            let mut meter = Meter::new(part);
            let pipe = tool.start(|stdin| archive.send(part, stdin, &mut meter))?;
            pipe.finish().with_context(|| format!("restoring {part}"))?;
            meter.finish();
        }
        Ok(found)
    }

    /// Puts the restored databases in the place of those in use, both in one transaction.
    pub fn swap(&self) -> anyhow::Result<()> {
        let tool = self.postgres_tool(scripts::SWAP, "postgres", &[SOCKET])?;
        tool.text().context("swapping the databases").map(drop)
    }

    /// After the swap of the databases: lets uploads and Redis follow, and the old data go. Before it:
    /// lets go what was restored. Can be repeated. Nothing but PostgreSQL may run. Returns what it did.
    pub fn settle(&self) -> anyhow::Result<String> {
        let volumes = [
            SOCKET,
            ("glitchtip_uploads", "/uploads"),
            ("redis_data", "/redis"),
        ];
        let done = self
            .postgres_tool(scripts::SETTLE, "root", &volumes)?
            .text()?;
        Ok(done.trim().to_owned())
    }

    /// Hands the databases of an archive to a script that restores them, and returns what came back.
    fn load(
        &self,
        tool: Tool,
        archive: &mut Archive,
        more: &[&str],
        what: &str,
    ) -> anyhow::Result<BTreeMap<String, Database>> {
        let dumps = SERVICES.map(dump_name);
        let names: Vec<&str> = dumps
            .iter()
            .map(String::as_str)
            .chain([ROLES])
            .chain(more.iter().copied())
            .collect();
        let mut meter = Meter::new(what);
        let pipe = tool.start(|stdin| archive.send_tar(&names, stdin, &mut meter))?;
        let text = scripts::read(pipe)?;
        meter.finish();
        backup::parse_restored(&text).context("restoring did not come to its end")
    }
}

/// The services that have a database each; named like it in all that a backup holds.
pub const SERVICES: [&str; 2] = ["umami", "glitchtip"];

pub fn dump_name(service: &str) -> String {
    format!("{service}.dump")
}
