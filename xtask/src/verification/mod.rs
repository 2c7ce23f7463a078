//! Proofs that events arrive: a chain of steps for each component. Must never touch a website or project
//! but its own, nor send a secret to what was not proven to be this stack.

mod chain;
mod glitchtip;
pub mod ours;
pub mod production;
pub mod public;
pub mod report;
pub mod stores;
mod umami;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::apps::deployment::Deployment;
use crate::apps::umami::Umami;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::env::settings::{Registration, Settings};
use crate::problem::Problem;
use crate::stack;
use crate::stack::desired::Config;
use crate::stack::published::Endpoint;
use crate::system::random;
use chain::{Chain, seconds_since, wait_for};
use glitchtip::Surroundings;
use public::PublicWay;
use report::{Report, Step, Stuck};
use stores::{Scheduler, Stores, Tasks};

/// How long an accepted error may take to appear; a healthy worker needs 2 to 5 s (5.2).
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a scheduler may be without its lock. It takes it again each second, but one that has found the
/// lock of the worker before it tries only every 5 s, also when that one's has expired meanwhile (6.2.6).
const SCHEDULER_PATIENCE: Duration = Duration::from_secs(8);

/// What is to be proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The stack, at the addresses at which this machine publishes it.
    Here,
    /// Also the public addresses.
    Public,
}

/// Sends a page view, an event and an error, reads them back and removes them. The caller holds the lock:
/// two at once would remove each other's events.
///
/// # Errors
/// When there is nothing to ask: no engine, no configuration. A step that fails is part of the report.
pub fn verify(checkout: &Checkout, docker: &Docker, scope: Scope) -> anyhow::Result<Report> {
    let begin = Instant::now();
    docker.check_engine()?;
    let config = stack::read_config(docker)?;
    let containers = docker.containers(&config.name)?;
    let settings = &docker.settings();
    let expected = Expected::of(settings, Deployment::Here)?;

    let verification = Verification {
        checkout,
        docker,
        config: &config,
        containers: &containers,
        settings,
        expected: &expected,
        scope,
    };
    let steps = verification.take_steps()?;
    Ok(Report::new(steps, seconds_since(begin)))
}

/// Everything that one run looks at.
struct Verification<'a> {
    checkout: &'a Checkout,
    docker: &'a Docker,
    config: &'a Config,
    containers: &'a BTreeMap<String, Container>,
    settings: &'a Settings,
    expected: &'a Expected,
    scope: Scope,
}

impl Verification<'_> {
    fn take_steps(&self) -> anyhow::Result<Vec<Step>> {
        let stores = Stores::new(self.settings, self.docker, self.config, self.containers);
        let mut postgres = Chain::new("postgres");
        let writes = postgres.begin("takes writes of both applications", || {
            stores.check_writes()
        });
        let mut redis = Chain::new("redis");
        let answers = redis.begin("takes writes", || stores.count_tasks());

        let worker = worker_of(self.config);
        let can_store = stores.runs(worker) && writes.is_some();
        let patience = if can_store {
            WORKER_PATIENCE
        } else {
            Duration::ZERO
        };
        let (umami, mut glitchtip) = self.ask_applications(&stores, patience)?;

        let tasks = redis.then(answers, "has a worker for every task", |_| {
            check_queue(&stores, &glitchtip)
        });
        note_failed_tasks(&mut redis, tasks);
        check_scheduler(&mut glitchtip.chain, &stores, worker);
        if glitchtip.is_stuck {
            let stuck = Stuck {
                worker,
                state: stores.state(worker),
                takes_writes: writes.is_some(),
                waiting: stores.count_tasks().ok().map(|tasks| tasks.waiting),
                seconds: patience.as_secs(),
            };
            let claim = glitchtip::SHOWS_THE_ERROR;
            glitchtip.chain.explain(claim, stuck.explain());
        }
        let chains = [postgres, redis, umami, glitchtip.chain];
        Ok(chains.into_iter().flat_map(Chain::into_steps).collect())
    }

    /// Both at once: they wait on different things.
    fn ask_applications(
        &self,
        stores: &Stores,
        patience: Duration,
    ) -> anyhow::Result<(Chain, glitchtip::Outcome)> {
        let (checkout, containers) = (self.checkout, self.containers);
        let values = self.docker.values();
        let (settings, expected, scope) = (self.settings, self.expected, self.scope);
        let endpoint = |service| Endpoint::of(self.config, containers, service);
        let umami = endpoint("umami");
        let way = PublicWay::new(self.docker, containers.get("umami"));
        let around = Surroundings {
            stores,
            patience,
            public: (scope == Scope::Public).then_some(&way),
        };
        thread::scope(|threads| {
            let umami = threads.spawn(|| {
                // Docker cannot be shared between threads.
                let docker = Docker::with(checkout, Arc::clone(values))?;
                let stores = Stores::new(settings, &docker, self.config, containers);
                let way = PublicWay::new(&docker, containers.get("umami"));
                let public = (scope == Scope::Public).then_some(&umami);
                let public = public.and_then(|endpoint| endpoint.as_ref().ok());
                let public = public.map(|endpoint| public_umami(expected, &way, endpoint));
                anyhow::Ok(umami::verify(
                    umami.clone(),
                    public.as_ref(),
                    expected,
                    &stores,
                ))
            });
            let glitchtip = glitchtip::verify(endpoint("glitchtip-web"), expected, &around);
            let umami = umami.join();
            let umami = umami.expect("a step ends in a result, never in a panic");
            Ok((umami?, glitchtip))
        })
    }
}

fn public_umami<'a>(expected: &Expected, way: &'a PublicWay, endpoint: &Endpoint) -> Umami<'a> {
    let url = expected.public_umami.clone();
    let url = url.unwrap_or_else(|| endpoint.url_at(&expected.umami_hostname));
    Umami {
        transport: way.transport(&url),
        url,
    }
}

/// 5.2's scheduler leaves no trace to look at, so there is a step only where there is something to see.
fn check_scheduler(chain: &mut Chain, stores: &Stores, worker: &str) {
    let scheduler = wait_for(SCHEDULER_PATIENCE, || {
        let scheduler = stores.scheduler()?;
        Ok((scheduler != Scheduler::Dead).then_some(scheduler))
    });
    let is_alive = match scheduler {
        Ok(Some(Scheduler::Alive)) => true,
        Ok(None) => false,
        // A Redis that does not answer has a step of its own.
        _ => return,
    };
    chain.begin("has a scheduler that works", || {
        if is_alive {
            return Ok(());
        }
        let problem = Problem::new(format!(
            "{worker} takes tasks, but its scheduler is dead: no alerts, no retention, no new partitions"
        ));
        bail!(problem.hint(format!("restart it with `cargo xtask restart {worker}`")))
    });
}

/// The service that runs GlitchTip's tasks: the web service where there is no other (7.x).
fn worker_of(config: &Config) -> &'static str {
    if config.services.contains_key("glitchtip-worker") {
        "glitchtip-worker"
    } else {
        "glitchtip-web"
    }
}

fn check_queue(stores: &Stores, glitchtip: &glitchtip::Outcome) -> anyhow::Result<Tasks> {
    let tasks = stores.count_tasks()?;
    if glitchtip.is_stuck && tasks.waiting > 0 {
        bail!("tasks that wait: {}", tasks.waiting);
    }
    Ok(tasks)
}

fn note_failed_tasks(chain: &mut Chain, tasks: Option<Tasks>) {
    if let Some(Tasks {
        failed: failed @ 1..,
        ..
    }) = tasks
    {
        chain.note(format!(
            "tasks that failed for good and stay in Redis as dead letters: {failed}"
        ));
    }
}

/// What the accounts' scripts were told.
struct Expected {
    umami_password: String,
    umami_hostname: String,
    /// Umami's public address, if it has one.
    public_umami: Option<String>,
    website_id: String,
    email: String,
    glitchtip_password: String,
    glitchtip_project: String,
    /// A token of GlitchTip that may read organizations, projects and events.
    token: String,
    signup_is_wanted: bool,
    deployment: Deployment,
}

impl Expected {
    fn of(settings: &Settings, deployment: Deployment) -> anyhow::Result<Expected> {
        let (umami, glitchtip) = (&settings.umami, &settings.glitchtip);
        Ok(Expected {
            umami_password: umami.admin_password.get()?.expose().to_owned(),
            umami_hostname: umami.hostname.clone(),
            public_umami: public::parse_umami_url(&umami.url)?,
            website_id: umami.website_id.get()?.clone(),
            email: settings.admin_email.clone(),
            glitchtip_password: glitchtip.admin_password.get()?.expose().to_owned(),
            glitchtip_project: glitchtip.project.clone(),
            token: glitchtip.api_token.get()?.expose().to_owned(),
            signup_is_wanted: glitchtip.registration == Registration::Open,
            deployment,
        })
    }
}

fn start_it(error: &anyhow::Error) -> anyhow::Error {
    Problem::of(error)
        .hint("`cargo xtask status` shows what runs, `cargo xtask up` starts what does not")
        .into()
}

/// 32 hexadecimal digits, as an event id has them.
fn new_marker() -> String {
    random::uuid().replace('-', "")
}
