//! Production's data as a file of `cargo xtask backup`, which a single machine restores. Production runs on, and
//! nothing in it is changed.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};

use crate::backup::create::check;
use crate::backup::file::Archive;
use crate::backup::manifest::{
    self, Application, COMPLETE, Database, END, Manifest, PARTIAL, Said,
};
use crate::backup::save::{OUR_ROLES, REDIS, ROLES, UPLOADS, dump_name};
use crate::backup::scripts::{self, Script, Tool};
use crate::backup::stores::SERVICES;
use crate::docker::invocation::Pipe;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::release::Release;
use crate::system::interrupt::Interrupt;
use crate::system::{clock, files};
use crate::terminal::progress::Meter;
use crate::terminal::say;
use crate::terminal::text::{render_bytes, render_timestamp};

/// Which variable names the image of an application, and which service has it.
const APPLICATIONS: [(&str, &str, &str); 2] = [
    ("umami", "UMAMI_IMAGE", "umami"),
    ("glitchtip", "GLITCHTIP_IMAGE", "glitchtip-web"),
];

/// What the scripts of a backup need to know, as the image and init-db.sql have it.
const ENVIRONMENT: [&str; 5] = [
    "PGUSER=analytics_admin",
    "UMAMI_DATABASE=umami_db",
    "GLITCHTIP_DATABASE=glitchtip_db",
    "POSTGRES_DB=postgres",
    "PRIVILEGES=all",
];

/// Production's data, from the node that has it.
struct Source<'a> {
    swarm: &'a Swarm,
    release: &'a Release,
}

/// Writes all data to a new file, and proves that it can be restored. The caller holds the lock; the engine that is
/// asked has the data.
///
/// # Errors
/// Whatever goes wrong, there is no file of that name.
pub fn run(swarm: &Swarm, release: &Release, path: &Path) -> anyhow::Result<Manifest> {
    let name = path.file_name().context("finding the name of the file")?;
    let name = name.to_string_lossy().into_owned();
    let folder = path.parent().context("finding the folder of the file")?;
    if path.exists() {
        bail!(
            Problem::new(format!("{} is there already", path.display()))
                .hint("give another name, or remove that file")
        );
    }
    // Ctrl-C ends the helper containers, and with them this.
    let _interrupt = Interrupt::catch()?;
    let prefix = format!(".{}-export-", swarm.name);
    files::remove_abandoned(folder, &prefix);
    let draft = files::begin_private(folder, &prefix)?;
    let clone = draft.as_file().try_clone().context("writing the file")?;
    let mut archive = Archive::write_to(clone);

    let source = Source { swarm, release };
    let mut manifest = source.fill(&mut archive)?;
    manifest.name = name;
    archive.finish(&manifest)?;
    files::publish(draft, path)?;
    let (rows, size) = (manifest.rows(), render_bytes(files::size(path)?));
    say!("exported {rows} rows ({size}), verified by a test restore");
    Ok(manifest)
}

impl Source<'_> {
    /// Adds everything in an order in which nothing is lost that is under way: as `cargo xtask backup` does.
    fn fill(&self, archive: &mut Archive) -> anyhow::Result<Manifest> {
        self.add_redis(archive)?;
        let mut databases = BTreeMap::new();
        let mut postgres = String::new();
        for service in SERVICES {
            let said = self.add_database(service, archive)?;
            postgres = said.version;
            databases.insert(service.to_owned(), said.database);
        }
        archive.add(ROLES, &mut OUR_ROLES.as_bytes())?;
        let missing = self.add_uploads(archive)?;
        self.verify(archive, &databases)?;
        Ok(Manifest {
            format: if missing.is_empty() {
                COMPLETE
            } else {
                PARTIAL
            },
            name: String::new(),
            made_at: render_timestamp(clock::now()),
            project: self.swarm.name.clone(),
            verified: true,
            postgres,
            applications: self.applications()?,
            databases,
            parts: archive.parts.clone(),
            missing,
        })
    }

    fn add_redis(&self, archive: &mut Archive) -> anyhow::Result<()> {
        let container = self.swarm.container_of("redis")?;
        let script = scripts::SAVE_REDIS.text();
        let exec = ["exec", &container, "sh", "-c", script];
        let pipe = self.swarm.docker.docker().args(exec).pipe()?;
        add(archive, REDIS, pipe).map(drop)
    }

    fn add_database(&self, service: &str, archive: &mut Archive) -> anyhow::Result<Said> {
        let socket = format!("{}_postgres_socket:/var/run/postgresql", self.swarm.name);
        let tool = self.tool(scripts::DUMP, &["--user", "postgres", "--volume", &socket]);
        let pipe = tool.arg(service).start(|_| Ok(()))?;
        let said = manifest::parse_said(&add(archive, &dump_name(service), pipe)?);
        said.warnings.iter().for_each(|warning| say!("  {warning}"));
        if !said.is_complete {
            bail!("PostgreSQL could not dump the database of {service}; what it says is above");
        }
        Ok(said)
    }

    /// What is in a bucket stays there; returns what is missing, and why.
    fn add_uploads(&self, archive: &mut Archive) -> anyhow::Result<BTreeMap<String, String>> {
        let value = |key: &str| self.swarm.docker.values().text(key);
        let bucket = value("UPLOADS_S3_BUCKET");
        if !bucket.is_empty() {
            let endpoint = value("UPLOADS_S3_ENDPOINT");
            let why = format!("they are in the bucket {bucket} at {endpoint}");
            return Ok([("uploads".to_owned(), why)].into());
        }
        let volume = format!("{}_glitchtip_uploads:/volume:ro", self.swarm.name);
        let tool = self.tool(
            scripts::SAVE_VOLUME,
            &["--user", "root", "--volume", &volume],
        );
        add(archive, UPLOADS, tool.arg("at-work").start(|_| Ok(()))?)?;
        if archive.size(&[UPLOADS]) < END.len() as u64 {
            bail!("the uploads could not be read");
        }
        Ok(BTreeMap::new())
    }

    /// Restores it once into a server that nobody else reaches, and compares what came back.
    fn verify(
        &self,
        archive: &mut Archive,
        databases: &BTreeMap<String, Database>,
    ) -> anyhow::Result<()> {
        let scratch = ["--user", "postgres", "--volume", "/var/lib/postgresql/data"];
        let tool = self.tool(scripts::VERIFY, &scratch);
        let parts = archive.parts.keys().filter(|name| *name != REDIS);
        let parts: Vec<String> = parts.cloned().collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let mut meter = Meter::of("verifying", archive.size(&parts));
        let pipe = tool.start(|stdin| archive.send_tar(&parts, stdin, &mut meter));
        let restored = pipe.and_then(scripts::read);
        let restored = restored.context("the test restore failed; no file was kept")?;
        meter.finish();
        let found = manifest::parse_restored(&restored);
        let found = found.context("the test restore did not come to its end; no file was kept")?;
        check(databases, &found)
            .context("the test restore shows other data than was saved; no file was kept")
    }

    fn applications(&self) -> anyhow::Result<BTreeMap<String, Application>> {
        let docker = &self.swarm.docker;
        let mut applications = BTreeMap::new();
        for (name, key, service) in APPLICATIONS {
            let image = self.image(service);
            let images = docker.images([image])?;
            // An image that is not here tells no version.
            let asked = Tool::new(docker, (&self.swarm.name, image), scripts::VERSION, &[]).text();
            let known = asked.map(|text| manifest::parse_known(&text));
            let application = Application {
                image: docker.values().text(key),
                image_id: images.get(image).cloned().unwrap_or_default(),
                version: known.unwrap_or_default().version,
            };
            applications.insert(name.to_owned(), application);
        }
        Ok(applications)
    }

    /// A script in PostgreSQL's image.
    fn tool(&self, script: Script, more: &[&str]) -> Tool<'_> {
        let mut options: Vec<String> = more.iter().map(|it| (*it).to_owned()).collect();
        for variable in ENVIRONMENT {
            options.extend(["--env".to_owned(), variable.to_owned()]);
        }
        let image = self.image("postgres");
        let docker = &self.swarm.docker;
        Tool::new(docker, (&self.swarm.name, image), script, &options)
    }

    fn image(&self, service: &str) -> &str {
        let service = self.release.stack.service(service);
        let image = service.and_then(|it| it["image"].as_str());
        image.unwrap_or_default()
    }
}

/// Adds what a container prints, and returns what it says.
fn add(archive: &mut Archive, name: &str, mut pipe: Pipe) -> anyhow::Result<String> {
    let doing = || format!("saving {name}");
    pipe.write(|_| Ok(())).with_context(doing)?;
    archive.add(name, &mut pipe.stdout()?)?;
    pipe.finish().with_context(doing)
}
