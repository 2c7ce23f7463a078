//! Where the stack keeps its data, and the containers that reach it. All client programs are those of the
//! stack's own images; the user needs nothing but Docker.

use std::path::Path;

use anyhow::{Context, bail};

use super::manifest as backup;
use super::scripts::{self, Script, Tool};
use crate::diagnosis;
use crate::docker::invocation::Pipe;
use crate::docker::versions::Version;
use crate::session::Session;
use crate::stack::database::{CLIENT, Server};
use crate::stack::desired::{Access, Config, PostgresData};
use crate::stack::{Stack, images};
use crate::system::interrupt::Interrupt;

/// The services that have a database each; named like it in all that a backup holds.
pub const SERVICES: [&str; 2] = ["umami", "glitchtip"];

/// The volumes that hold data, by their keys in the compose file.
pub const VOLUMES: [&str; 3] = ["postgres_data", "redis_data", "glitchtip_uploads"];

/// The services that make PostgreSQL usable; the second one makes roles and databases.
pub const POSTGRES: [&str; 2] = ["postgres", "postgres-init"];

/// The way into PostgreSQL that needs no password: its volume, and where the client programs look for it.
pub const SOCKET: (&str, &str) = ("postgres_socket", "/var/run/postgresql");

/// The data of one project, in reach of containers of ours.
pub struct Stores<'a> {
    pub session: &'a Session<'a>,
    pub config: &'a Config,
    pub superuser: &'a str,
    umami: &'a str,
    glitchtip: &'a str,
    /// Where PostgreSQL is no service of the stack.
    pub server: Option<Server>,
    /// Ctrl-C ends the helper containers; what we are about to do then is up to us.
    interrupt: Interrupt,
}

impl<'a> Stores<'a> {
    /// Finds them, and removes the containers that a killed xtask left at work. As long as the value lives,
    /// Ctrl-C does not end this process.
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
        let init = &service(CLIENT)?.environment;
        let postgres = config.services.get("postgres").map(|it| &it.environment);
        let superuser = postgres.and_then(|it| it.postgres_user.as_deref());
        Ok(Stores {
            session,
            config,
            superuser: superuser
                .or(init.pguser.as_deref())
                .with_context(lacks("POSTGRES_USER"))?,
            umami: init
                .umami_database
                .as_deref()
                .with_context(lacks("UMAMI_DATABASE"))?,
            glitchtip: init
                .glitchtip_database
                .as_deref()
                .with_context(lacks("GLITCHTIP_DATABASE"))?,
            server: config.shared_server(),
            interrupt: Interrupt::catch()?,
        })
    }

    /// # Errors
    /// After Ctrl-C.
    pub fn check_interrupt(&self) -> anyhow::Result<()> {
        if self.interrupt.is_pressed() {
            bail!("interrupted");
        }
        Ok(())
    }

    /// Whether there is any data: a volume of any store, or a database on a server of somebody else's.
    ///
    /// # Errors
    /// When there is no docker, or that server does not answer.
    pub fn exist(&self) -> anyhow::Result<bool> {
        for volume in self.volumes() {
            if self.has_volume(volume)? {
                return Ok(true);
            }
        }
        match &self.server {
            None => Ok(false),
            Some(server) => Ok(!server.ours(&self.session.docker)?.databases.is_empty()),
        }
    }

    /// The volumes that hold data of this stack, by their keys in the compose file.
    pub fn volumes(&self) -> impl Iterator<Item = &'static str> {
        let is_shared = self.server.is_some();
        let volumes = VOLUMES.into_iter();
        volumes.filter(move |key| !is_shared || *key != "postgres_data")
    }

    /// Whether a volume exists, by its key in the compose file.
    ///
    /// # Errors
    /// When there is no docker; after Ctrl-C, which would make it look as if there were none.
    pub fn has_volume(&self, key: &str) -> anyhow::Result<bool> {
        let is_there = self.session.docker.has_volume(self.volume(key)?)?;
        if !is_there {
            self.check_interrupt()?;
        }
        Ok(is_there)
    }

    /// The name of a volume, by its key in the compose file.
    pub fn volume(&self, key: &str) -> anyhow::Result<&str> {
        let volume = self.config.volumes.get(key);
        Ok(&volume
            .with_context(|| format!("docker-compose.yml has no volume {key}"))?
            .name)
    }

    /// PostgreSQL's, wherever the server is.
    pub fn postgres_image(&self) -> &str {
        match self.server {
            None => self.image("postgres"),
            Some(_) => self.image(CLIENT),
        }
    }

    pub fn image(&self, service: &str) -> &str {
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
        self.ensure_services(&["postgres", "postgres-init", "redis"])
    }

    /// [`Stores::ensure_running`] for PostgreSQL alone.
    ///
    /// # Errors
    /// When it does not start; why was said.
    pub fn ensure_postgres(&self) -> anyhow::Result<bool> {
        self.ensure_services(&POSTGRES)
    }

    /// [`Stores::ensure_running`] for these services alone.
    ///
    /// # Errors
    /// What does not start; why was said.
    pub fn ensure_services(&self, services: &[&str]) -> anyhow::Result<bool> {
        let stack = Stack::read(&self.session.docker)?;
        let services = self.present(services);
        // What prepared another server has not prepared this one.
        let is_prepared = self.server.is_none() || stack.is_as_desired(CLIENT);
        if stack.are_ready(&services) && is_prepared {
            return Ok(false);
        }
        let started = self.start(&stack, &services);
        started.map_err(|error| self.explain(error))?;
        Ok(true)
    }

    /// Those of `services` that the stack has.
    pub fn present<'b>(&self, services: &[&'b str]) -> Vec<&'b str> {
        let services = services.iter().copied();
        services
            .filter(|it| self.config.services.contains_key(*it))
            .collect()
    }

    /// Starts services and waits for them.
    ///
    /// # Errors
    /// [`crate::stack::NotReady`]; nothing was said.
    pub fn start(&self, stack: &Stack, services: &[&str]) -> anyhow::Result<()> {
        images::ensure(self.session, self.config)?;
        let awaited = services.iter().map(|&name| name.to_owned()).collect();
        stack.apply(self.session, services, &awaited)
    }

    /// Says why services are not ready, and returns the error to end with.
    pub fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        diagnosis::explain(&self.session.docker, self.config, error)
    }

    /// Makes the volumes that are not there; Compose would complain about one that it has not made itself.
    ///
    /// # Errors
    /// What Compose says when it cannot.
    pub fn ensure_volumes(&self) -> anyhow::Result<()> {
        for volume in self.volumes() {
            if !self.has_volume(volume)? {
                let create = self.session.docker.compose().arg("create");
                return create.holding(&self.session.lock).text().map(drop);
            }
        }
        Ok(())
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
        if services.is_empty() {
            return Ok(());
        }
        let stop = self.session.docker.compose().arg("stop").args(services);
        stop.finishing(&self.session.lock).text().map(drop)
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

    /// A script in PostgreSQL's image. With [`SOCKET`] among its volumes it reaches the server: by its socket,
    /// where no password is asked for, or where it is somebody else's, over the network.
    pub fn postgres_tool(
        &self,
        script: Script,
        user: &str,
        volumes: &[(&str, &str)],
    ) -> anyhow::Result<Tool<'a>> {
        self.postgres_tool_with((script, user), volumes, &[])
    }

    /// [`Stores::postgres_tool`] without a server, but with the data of PostgreSQL where the service has it.
    pub fn cluster_tool(
        &self,
        script: Script,
        user: &str,
        volumes: &[(&str, &str)],
    ) -> anyhow::Result<Tool<'a>> {
        let data = self.postgres_data(Access::Write)?;
        self.postgres_tool_with((script, user), volumes, &data.options)
    }

    /// Where PostgreSQL's data is, for a container of its image.
    pub fn postgres_data(&self, access: Access) -> anyhow::Result<PostgresData> {
        let data = self.config.postgres_data(access);
        data.context("docker-compose.yml keeps PostgreSQL's data in no volume")
    }

    fn postgres_tool_with(
        &self,
        (script, user): (Script, &str),
        volumes: &[(&str, &str)],
        more: &[String],
    ) -> anyhow::Result<Tool<'a>> {
        let mut options = vec!["--user".to_owned(), user.to_owned()];
        let server = self.server.as_ref().filter(|_| volumes.contains(&SOCKET));
        let (database, privileges) = match server {
            None => ("postgres", "all"),
            Some(server) => (server.database.as_str(), "own"),
        };
        for variable in [
            format!("PGUSER={}", self.superuser),
            format!("UMAMI_DATABASE={}", self.umami),
            format!("GLITCHTIP_DATABASE={}", self.glitchtip),
            format!("POSTGRES_DB={database}"),
            format!("PRIVILEGES={privileges}"),
        ] {
            options.extend(["--env".to_owned(), variable]);
        }
        match server {
            None => options.extend(["--env", "PGHOST=/var/run/postgresql"].map(str::to_owned)),
            Some(server) => options.extend(server.options(&self.session.docker)?),
        }
        let is_needed = |volume: &&(&str, &str)| server.is_none() || **volume != SOCKET;
        for (key, path) in volumes.iter().filter(is_needed) {
            options.extend([
                "--volume".to_owned(),
                format!("{}:{path}", self.volume(key)?),
            ]);
        }
        options.extend_from_slice(more);
        let tool = self.tool(self.postgres_image(), script, &options);
        if server.is_none() {
            return Ok(tool);
        }
        let settings = self.session.docker.settings();
        Ok(tool.env("PGPASSWORD", settings.postgres.password.get()?.expose()))
    }

    /// A script in Redis' image, with its data.
    pub fn redis_tool(&self, script: Script) -> anyhow::Result<Tool<'a>> {
        let volume = format!("{}:/data", self.volume("redis_data")?);
        let options = ["--user", "redis", "--volume", &volume].map(str::to_owned);
        Ok(self.tool(self.image("redis"), script, &options))
    }

    pub fn tool(&self, image: &str, script: Script, options: &[String]) -> Tool<'a> {
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

    /// The version of the PostgreSQL in the image, which calls itself `postgres (PostgreSQL) 15.18`.
    pub fn image_version(&self) -> anyhow::Result<Version> {
        let docker = &self.session.docker;
        let (project, image) = (&self.config.name, self.postgres_image());
        let said = docker.tool((project, image), "exec postgres --version", &[]);
        let said = said.text()?;
        let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        let mut numbers = said.split_whitespace().filter(is_number);
        let version = numbers.next().and_then(Version::parse);
        version.context("reading the version of PostgreSQL")
    }

    /// A checksum of the databases' schemas and of the migrations that they have seen.
    pub fn schema(&self) -> anyhow::Result<String> {
        self.postgres_tool(scripts::SCHEMA, "postgres", &[SOCKET])?
            .text()
    }

    /// The newest complete backup of this project in a folder, or in that of this checkout, as a user would
    /// type it.
    pub fn newest_backup(&self, folder: &Path) -> Option<String> {
        let checkout = self.session.checkout;
        let find = |folder: &Path| super::list::newest_complete(folder, &self.config.name);
        let path = find(folder).or_else(|| find(&checkout.backups()))?;
        Some(checkout.display(&path))
    }
}
