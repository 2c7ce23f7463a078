//! Which stores can be used: each is started and judged by itself, so that a broken one keeps nobody from
//! the others. Must never start a store on an empty volume: that would make new data in the place of what is
//! gone.

use super::stores::{POSTGRES, Stores};
use super::{probe, scripts};
use crate::problem::Problem;
use crate::stack::Stack;
use crate::stack::desired::Access;
use crate::stack::not_ready::NotReady;
use crate::stack::readiness::{self, Progress, Reason};
use crate::stack::wait::Ended;
use crate::system::clock;
use crate::terminal;

/// What can be done with the data of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Usable,
    /// There is none, for this reason.
    Nothing(String),
    /// It is there, and cannot be used, for this reason.
    Broken(String),
}

/// The stores as they are once everything that starts was started.
#[derive(Debug)]
pub struct Opened {
    pub postgres: Condition,
    pub redis: Condition,
    pub uploads: Condition,
    /// What did not run before.
    pub started: Vec<&'static str>,
}

impl Condition {
    /// Why it cannot be used.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Condition::Usable => None,
            Condition::Nothing(reason) | Condition::Broken(reason) => Some(reason),
        }
    }

    pub fn is_broken(&self) -> bool {
        matches!(self, Condition::Broken(_))
    }
}

impl Opened {
    /// When everything runs.
    pub fn all(started: Vec<&'static str>) -> Opened {
        Opened {
            postgres: Condition::Usable,
            redis: Condition::Usable,
            uploads: Condition::Usable,
            started,
        }
    }

    fn condition(&self, service: &str) -> &Condition {
        match service {
            "redis" => &self.redis,
            _ => &self.postgres,
        }
    }

    fn condition_mut(&mut self, service: &str) -> &mut Condition {
        match service {
            "redis" => &mut self.redis,
            _ => &mut self.postgres,
        }
    }
}

impl Stores<'_> {
    /// Starts PostgreSQL and Redis as far as they do not run, each by itself, and says why one does not
    /// start.
    ///
    /// # Errors
    /// When it is not a store that is broken, but the engine or the configuration; after Ctrl-C.
    pub fn open(&self) -> anyhow::Result<Opened> {
        let stack = Stack::read(&self.session.docker)?;
        let mut opened = self.look(&stack)?;
        let is_wanted = |service: &&str| {
            *opened.condition(service) == Condition::Usable && !stack.are_ready(&[*service])
        };
        let services: Vec<&str> = self
            .present(&["postgres", "redis"])
            .into_iter()
            .filter(is_wanted)
            .collect();
        let stopped = services.iter().filter(|it| !runs(&stack, it));
        opened.started = stopped.copied().collect();

        // One that has crashed for long is started ever more rarely; started anew it shows itself at once.
        let looping = services.iter().filter(|it| is_looping(&stack, it));
        self.stop(&looping.copied().collect::<Vec<_>>())?;
        self.start_each(&mut opened, services)?;
        if self.server.is_some() {
            self.ensure_postgres()?;
            self.check_server()?;
        } else if opened.postgres == Condition::Usable {
            self.ensure_roles()?;
        }
        Ok(opened)
    }

    /// Starts stores; leaves out one that fails, and goes on with the others.
    fn start_each(&self, opened: &mut Opened, mut services: Vec<&str>) -> anyhow::Result<()> {
        while !services.is_empty() {
            let stack = Stack::read(&self.session.docker)?;
            let Err(error) = self.start(&stack, &services) else {
                return Ok(());
            };

            let failed = failed_services(&error);
            let error = self.explain(error);
            if failed.is_empty() {
                return Err(error);
            }
            for (service, reason) in failed {
                services.retain(|it| *it != service);
                let reason = format!("{service} does not start: {reason}");
                *opened.condition_mut(&service) = Condition::Broken(reason);
            }
        }
        Ok(())
    }

    /// Lets postgres-init make roles and databases; where it cannot, what is there is used as it is.
    fn ensure_roles(&self) -> anyhow::Result<()> {
        let stack = Stack::read(&self.session.docker)?;
        if stack.are_ready(&POSTGRES) {
            return Ok(());
        }
        let Err(error) = self.start(&stack, &POSTGRES) else {
            return Ok(());
        };
        let is_about_services = error.is::<NotReady>();
        let error = self.explain(error);
        if !is_about_services {
            return Err(error);
        }
        let what = error.context("the databases are used as they are");
        terminal::say_warning(&Problem::of(&what));
        Ok(())
    }

    /// Looks at the volumes, without starting anything.
    fn look(&self, stack: &Stack) -> anyhow::Result<Opened> {
        let mut opened = Opened::all(Vec::new());
        for (key, condition) in [
            ("postgres_data", &mut opened.postgres),
            ("redis_data", &mut opened.redis),
            ("glitchtip_uploads", &mut opened.uploads),
        ] {
            if self.volumes().any(|it| it == key) && !self.has_volume(key)? {
                let volume = self.volume(key)?;
                *condition = Condition::Nothing(format!("there is no volume {volume}"));
            }
        }
        let is_own = self.server.is_none();
        if is_own && opened.postgres == Condition::Usable && !stack.are_ready(&["postgres"]) {
            opened.postgres = self.probe()?;
        }
        if let Some(reason) = opened.postgres.reason() {
            let problem = Problem::new(format!("PostgreSQL cannot be used: {reason}"));
            terminal::say_warning(&problem);
        }
        Ok(opened)
    }

    /// Looks at PostgreSQL's files.
    fn probe(&self) -> anyhow::Result<Condition> {
        let data = self.postgres_data(Access::Read)?;
        let options = [&["--user".to_owned(), "root".to_owned()], &data.options[..]].concat();
        let image = self.postgres_image();
        let tool = self.tool(image, scripts::PROBE, &options).arg(&data.mount);
        let volume = self.volume("postgres_data")?;
        probe::parse(&tool.text()?).judge(volume, image, &data.mount)
    }
}

/// Whether a service has a container that is not at rest.
fn runs(stack: &Stack, service: &str) -> bool {
    let container = stack.observed.get(service);
    container.is_some_and(|it| ["running", "restarting"].contains(&&*it.state.status))
}

/// Whether the engine starts a service again and again.
fn is_looping(stack: &Stack, service: &str) -> bool {
    stack.observed.get(service).is_some_and(|container| {
        let role = stack.desired.role(service);
        let progress = readiness::progress(container, role, None, clock::now());
        container.state.status == "restarting"
            || matches!(progress, Progress::Failed(Reason::CrashLoop(..)))
    })
}

/// The services that an error says have failed, each with why; none when it is not about services.
fn failed_services(error: &anyhow::Error) -> Vec<(String, String)> {
    let Some(not_ready) = error.downcast_ref::<NotReady>() else {
        return Vec::new();
    };
    let rows = not_ready.rows.iter();
    let of = |(service, progress): &(String, Progress)| (service.clone(), progress.to_string());
    match not_ready.ended {
        Ended::ServiceFailed => rows.map(of).collect(),
        Ended::TimedOut => {
            let slow = |(service, progress)| {
                let seconds = not_ready.timeout;
                (service, format!("still {progress} after {seconds} s"))
            };
            rows.map(of).map(slow).collect()
        }
        Ended::Ready | Ended::StarterFailed | Ended::Interrupted => Vec::new(),
    }
}
