//! Proofs that events arrive: a chain of steps for each component. Must never touch a website or project
//! but its own, so that the site's statistics see none of it.

mod chain;
mod glitchtip;
pub mod report;
mod stores;
mod umami;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};

use crate::apps::glitchtip::GlitchTip;
use crate::apps::umami::Umami;
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::env::settings::{Registration, Settings};
use crate::problem::Problem;
use crate::stack;
use crate::stack::published::Endpoint;
use crate::system::random;
use chain::{Chain, seconds_since};
use report::{Report, explain_stuck};
use stores::Services;

/// How long an accepted error may take to appear; a healthy worker needs 2 to 5 s (5.2).
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

/// Sends a page view, an event and an error, and reads them back. The caller holds the lock: two at once
/// would remove each other's events.
///
/// # Errors
/// When there is nothing to ask: no engine, no configuration. A step that fails is part of the report.
pub fn verify(checkout: &Checkout, docker: &Docker) -> anyhow::Result<Report> {
    let begin = Instant::now();
    docker.check_engine()?;
    let config = stack::read_config(docker)?;
    let services = Services {
        docker,
        containers: docker.containers(&config.name)?,
    };
    let url =
        |service| Ok::<_, Problem>(Endpoint::of(&config, &services.containers, service)?.url());
    let expected = Expected::read(checkout)?;
    let umami = Umami { url: url("umami")? };
    let glitchtip = GlitchTip {
        url: url("glitchtip-web")?,
        token: expected.token.clone(),
    };

    let mut postgres = Chain::new("postgres");
    postgres.step("takes writes of both applications", || {
        services.write_to(&expected.databases)
    });
    let mut redis = Chain::new("redis");
    redis.step("takes writes", || services.count_waiting().map(drop));
    let can_store = services.runs("glitchtip-worker") && !postgres.is_broken;
    let patience = if can_store {
        WORKER_PATIENCE
    } else {
        Duration::ZERO
    };
    let (umami, (mut glitchtip, stuck)) = thread::scope(|scope| {
        let umami = scope.spawn(|| umami::verify(&umami, &expected));
        let glitchtip = glitchtip::verify(&glitchtip, &expected, patience);
        (
            umami
                .join()
                .expect("a step ends in a result, never in a panic"),
            glitchtip,
        )
    });
    let waiting = redis.step("has no task that nobody takes", || {
        match services.count_waiting()? {
            waiting @ 1.. if stuck => bail!("tasks that wait: {waiting}"),
            waiting => Ok(Some(waiting)),
        }
    });
    if stuck && let Some(step) = glitchtip.steps.last_mut() {
        let worker = services.state("glitchtip-worker");
        let seconds = patience.as_secs();
        step.detail = Some(explain_stuck(worker, !postgres.is_broken, waiting, seconds));
    }

    let chains = [postgres, redis, umami, glitchtip];
    let steps = chains.into_iter().flat_map(|chain| chain.steps).collect();
    Ok(Report::new(steps, seconds_since(begin)))
}

/// What the accounts' scripts were told.
struct Expected {
    umami_password: String,
    website_id: String,
    token: String,
    email: String,
    glitchtip_password: String,
    glitchtip_project: String,
    signup_is_wanted: bool,
    /// Each database with the role that owns it.
    databases: [(&'static str, String); 2],
}

impl Expected {
    fn read(checkout: &Checkout) -> anyhow::Result<Expected> {
        let settings = Settings::read(checkout)?;
        let (umami, glitchtip) = (settings.umami, settings.glitchtip);
        Ok(Expected {
            umami_password: umami.admin_password.get()?.expose().to_owned(),
            website_id: umami.website_id.get()?.clone(),
            token: glitchtip.api_token.get()?.expose().to_owned(),
            email: settings.admin_email,
            glitchtip_password: glitchtip.admin_password.get()?.expose().to_owned(),
            glitchtip_project: glitchtip.project,
            signup_is_wanted: glitchtip.registration == Registration::Open,
            databases: [("umami", umami.database), ("glitchtip", glitchtip.database)],
        })
    }
}

fn with_remedy(error: &anyhow::Error) -> anyhow::Error {
    anyhow!(
        "{error:#}; `cargo xtask status` shows what runs, `cargo xtask up` starts what does not"
    )
}

/// 32 hexadecimal digits, as an event id has them.
fn new_marker() -> String {
    random::uuid().replace('-', "")
}
