//! `verify`: proves that events arrive, by sending some and reading them back. What it sends goes to a
//! website and a project of their own; the site's statistics see none of it.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};

use crate::apps::glitchtip::{self, GlitchTip, Login};
use crate::apps::umami::{self, Event, Umami};
use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::diagnosis;
use crate::docker::inspect::Container;
use crate::docker::{self, Docker, Running};
use crate::env::dialect::Secret;
use crate::stack::desired::Config;
use crate::system::{self, Lock};
use crate::terminal;
use crate::verification::report::{Report, Step, StepResult, explain_stuck};

/// How long an accepted error may take to appear; a healthy worker needs 2 to 5 s (5.2).
const WORKER_PATIENCE: Duration = Duration::from_secs(10);

/// How long a stored event may take to appear in Umami; it is there at once (3.1.0).
const UMAMI_PATIENCE: Duration = Duration::from_secs(2);

/// Writes to Redis, and counts what waits: each queue is a list, in 5.2 (`celery`) as in 6.x (`vt:q:…`).
const REDIS_SCRIPT: &str = "redis.call('set', 'xtask:verify', '1', 'ex', 10) \
    local waiting = 0 \
    for _, key in ipairs(redis.call('keys', '*')) do \
        if redis.call('type', key).ok == 'list' then waiting = waiting + redis.call('llen', key) end \
    end \
    return waiting";

/// Proves that a database takes writes, and leaves nothing.
const WRITE: &str = "begin; create table xtask_verify (); rollback";

pub fn run(project: &Checkout, docker: &Docker, options: &cli::Verify) -> anyhow::Result<Outcome> {
    // Two at once would remove each other's events.
    let _lock = Lock::acquire(project)?;
    check(project, docker, options.json)
}

/// The same for a command that has the lock already.
pub fn check(project: &Checkout, docker: &Docker, json: bool) -> anyhow::Result<Outcome> {
    let begin = Instant::now();
    let config = docker.start_config()?;
    docker.check_engine()?;
    let config = Config::parse(&config.finish()?)?;
    let services = Services {
        docker,
        containers: docker.containers(&config.name)?,
    };
    let settings = Settings::read(project)?;
    let umami = Umami {
        url: config.endpoint("umami")?,
    };
    let glitchtip = GlitchTip {
        url: config.endpoint("glitchtip-web")?,
        token: project.setting("GLITCHTIP_API_TOKEN")?,
    };

    let mut postgres = Walk::new("postgres");
    postgres.step("takes writes of both applications", || {
        services.write_to(&settings.databases)
    });
    let mut redis = Walk::new("redis");
    redis.step("takes writes", || services.count_waiting().map(drop));
    let can_store = services.runs("glitchtip-worker") && !postgres.is_broken;
    let patience = if can_store {
        WORKER_PATIENCE
    } else {
        Duration::ZERO
    };
    let (umami, (mut glitchtip, stuck)) = thread::scope(|scope| {
        let umami = scope.spawn(|| verify_umami(&umami, &settings));
        let glitchtip = verify_glitchtip(&glitchtip, &settings, patience);
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
        step.detail = Some(explain_stuck(
            worker,
            !postgres.is_broken,
            waiting,
            patience.as_secs(),
        ));
    }

    let steps = [postgres, redis, umami, glitchtip]
        .into_iter()
        .flat_map(|walk| walk.steps)
        .collect();
    let report = Report::new(steps, seconds_since(begin));
    terminal::print(&match json {
        true => format!("{}\n", serde_json::to_string_pretty(&report)?),
        false => report.render(),
    })?;
    if !report.passed {
        diagnosis::print_failed(docker, &config, &services.containers)?;
    }
    Ok(if report.passed {
        Outcome::Done
    } else {
        Outcome::NotDone
    })
}

/// What the accounts' scripts were told.
struct Settings {
    umami_password: String,
    website_id: String,
    email: String,
    glitchtip_password: String,
    glitchtip_project: String,
    signup_is_wanted: bool,
    /// Each database with the role that owns it.
    databases: [(&'static str, String); 2],
}

impl Settings {
    fn read(project: &Checkout) -> anyhow::Result<Settings> {
        Ok(Settings {
            umami_password: project.setting("UMAMI_ADMIN_PASSWORD")?,
            website_id: project.setting("UMAMI_WEBSITE_ID")?,
            email: project.setting("ADMIN_EMAIL")?,
            glitchtip_password: project.setting("GLITCHTIP_ADMIN_PASSWORD")?,
            glitchtip_project: project.setting("GLITCHTIP_PROJECT")?,
            signup_is_wanted: project
                .setting("GLITCHTIP_USER_REGISTRATION")?
                .eq_ignore_ascii_case("true"),
            databases: [
                ("umami", project.setting("UMAMI_DATABASE")?),
                ("glitchtip", project.setting("GLITCHTIP_DATABASE")?),
            ],
        })
    }
}

/// Steps that build on each other: after one has failed, the rest is not tried.
struct Walk {
    part: &'static str,
    is_broken: bool,
    steps: Vec<Step>,
}

impl Walk {
    fn new(part: &'static str) -> Walk {
        Walk {
            part,
            is_broken: false,
            steps: Vec::new(),
        }
    }

    /// Takes a step that the following ones need. One that is not tried yields the default.
    fn step<T: Default>(
        &mut self,
        claim: &'static str,
        attempt: impl FnOnce() -> anyhow::Result<T>,
    ) -> T {
        let begin = Instant::now();
        let outcome = if self.is_broken {
            None
        } else {
            Some(attempt())
        };
        let (result, detail, value) = match outcome {
            None => (StepResult::Skipped, None, T::default()),
            Some(Ok(value)) => (StepResult::Passed, None, value),
            Some(Err(error)) => (
                StepResult::Failed,
                Some(docker::stderr_of(&error).trim().to_owned()),
                T::default(),
            ),
        };
        self.is_broken |= result == StepResult::Failed;
        self.steps.push(Step {
            part: self.part,
            claim,
            result,
            detail,
            seconds: seconds_since(begin),
        });
        value
    }

    /// Takes a step that stands beside the others: it needs the first one alone, and none needs it.
    fn check(&mut self, claim: &'static str, attempt: impl FnOnce() -> anyhow::Result<()>) {
        let answers = self
            .steps
            .first()
            .is_none_or(|first| first.result == StepResult::Passed);
        let was_broken = std::mem::replace(&mut self.is_broken, !answers);
        self.step(claim, attempt);
        self.is_broken = was_broken;
    }
}

/// The containers as they were at the start.
struct Services<'a> {
    docker: &'a Docker,
    containers: BTreeMap<String, Container>,
}

impl Services<'_> {
    fn runs(&self, service: &str) -> bool {
        self.containers
            .get(service)
            .is_some_and(|container| container.state.status == "running")
    }

    /// The health of what runs, else what it does instead.
    fn state(&self, service: &str) -> &str {
        let Some(container) = self.containers.get(service) else {
            return "absent";
        };
        let health = container
            .state
            .health
            .as_ref()
            .filter(|_| self.runs(service));
        health.map_or(&container.state.status, |health| &health.status)
    }

    /// Starts a command in the container of a service that runs.
    fn exec(&self, service: &str, command: &[&str]) -> anyhow::Result<Running<'_>> {
        let Some(container) = self.containers.get(service).filter(|_| self.runs(service)) else {
            bail!(
                "{service} is {}; `cargo xtask up` starts it",
                self.state(service)
            );
        };
        self.docker.start(
            self.docker
                .docker()
                .args(["exec", &container.id, "timeout", "5"])
                .args(command),
        )
    }

    /// Proves that each database takes writes of the role that owns it.
    fn write_to(&self, databases: &[(&str, String)]) -> anyhow::Result<()> {
        let write = |(role, database): &(&str, String)| {
            let psql = [
                "psql",
                "--no-psqlrc",
                "--quiet",
                "--username",
                role,
                "--dbname",
                database,
                "--command",
                WRITE,
            ];
            self.exec("postgres", &psql)
        };
        let writes = databases
            .iter()
            .map(write)
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (running, (_, database)) in writes.into_iter().zip(databases) {
            running
                .finish()
                .map_err(|error| anyhow!("{database}: {}", docker::stderr_of(&error).trim()))?;
        }
        Ok(())
    }

    /// How many tasks wait in Redis, which also has to take a write.
    fn count_waiting(&self) -> anyhow::Result<u64> {
        let answer = self
            .exec("redis", &["redis-cli", "eval", REDIS_SCRIPT, "0"])?
            .finish()?;
        // redis-cli ends well with an error of Redis, too.
        answer
            .trim()
            .parse()
            .map_err(|_| anyhow!("Redis answers {}", answer.trim()))
    }
}

fn verify_umami(umami: &Umami, settings: &Settings) -> Walk {
    let mut walk = Walk::new("umami");
    walk.step("answers, and hands out the tracker", || {
        umami.check_answers().map_err(|error| with_remedy(&error))
    });
    walk.check("refuses the login that it was shipped with", || match umami
        .log_in(umami::ADMIN, umami::SHIPPED_PASSWORD)?
    {
        Some(_) => bail!("anyone can log in as admin/umami; change that password in Umami at once"),
        None => Ok(()),
    });
    let token = walk.step("lets the administrator in", || {
        umami.log_in(umami::ADMIN, &settings.umami_password)?.context(
            "Umami refuses admin with UMAMI_ADMIN_PASSWORD, so nothing can be read back; if you changed the \
             password in Umami, set UMAMI_ADMIN_PASSWORD in deploy/analytics/.env to it",
        )
    });
    let marker = new_marker();
    let url_path = format!("/xtask-verify/{marker}");
    for (claim, event_name) in [
        ("stores a page view and shows it", None),
        (
            "stores a custom event and shows it",
            Some(format!("xtask-verify-{marker}")),
        ),
    ] {
        walk.step(claim, || {
            let event = Event {
                url_path: url_path.clone(),
                event_name,
            };
            umami.send(&event)?;
            // An hour each way for clocks that differ, as those of virtual machines do.
            let now = system::now() * 1000;
            let is_shown = || {
                Ok(umami
                    .events(&token, now - 3_600_000, now + 3_600_000)?
                    .contains(&event))
            };
            match wait_until(UMAMI_PATIENCE, is_shown)? {
                true => Ok(()),
                false => bail!("lost in Umami: it answered 200 and stored nothing"),
            }
        });
    }
    walk.step("removes the test events", || umami.reset(&token));
    walk.step("has the website that connect names", || {
        umami.website(&token, &settings.website_id)?.context(
            "the website with UMAMI_WEBSITE_ID is gone, and with it every event that is sent to it; \
             `cargo xtask restart umami` makes it again",
        )?;
        Ok(())
    });
    walk
}

/// Returns also whether an error was accepted and did not appear.
fn verify_glitchtip(
    glitchtip: &GlitchTip,
    settings: &Settings,
    patience: Duration,
) -> (Walk, bool) {
    let mut walk = Walk::new("glitchtip");
    walk.step("answers", || {
        glitchtip
            .check_answers()
            .map_err(|error| with_remedy(&error))
    });
    let (organization, dsn) =
        walk.step("has a DSN for the website, and one for test errors", || {
            let projects = glitchtip.projects()?;
            let gone = "a project is gone; `cargo xtask restart glitchtip-web` makes it again";
            glitchtip
                .dsn(glitchtip::find_site(&projects, &settings.glitchtip_project).context(gone)?)?;
            let verification = glitchtip::find_verification(&projects).context(gone)?;
            Ok((
                verification.organization.slug.clone(),
                glitchtip.dsn(verification)?,
            ))
        });
    let event_id = new_marker();
    walk.step("accepts an error at its DSN", || {
        glitchtip.send_error(&dsn, &event_id)
    });
    let accepted = Instant::now();
    walk.check("is closed for sign-up, unless .env opens it", || {
        if glitchtip.is_open_for_signup()? && !settings.signup_is_wanted {
            bail!("anyone who reaches GlitchTip can make an account; `cargo xtask restart glitchtip-web` closes it");
        }
        Ok(())
    });
    walk.check("lets the administrator in", || {
        match glitchtip.log_in(&settings.email, &settings.glitchtip_password)? {
            Login::Accepted => Ok(()),
            Login::Throttled => bail!("too many wrong passwords lately; repeat in 5 minutes"),
            Login::Refused => bail!(
                "GlitchTip refuses ADMIN_EMAIL with GLITCHTIP_ADMIN_PASSWORD; if you changed them in GlitchTip, \
             set both in deploy/analytics/.env to what they are now"
            ),
        }
    });
    let mut stuck = false;
    walk.step("shows the error, stored by its worker", || {
        let left = patience.saturating_sub(accepted.elapsed());
        match wait_until(left, || glitchtip.has_stored(&organization, &event_id))? {
            true => Ok(()),
            false => {
                stuck = true;
                bail!("stuck at the worker")
            }
        }
    });
    (walk, stuck)
}

fn with_remedy(error: &anyhow::Error) -> anyhow::Error {
    anyhow!(
        "{error:#}; `cargo xtask status` shows what runs, `cargo xtask up` starts what does not"
    )
}

/// To the millisecond.
fn seconds_since(begin: Instant) -> f64 {
    begin.elapsed().as_millis() as f64 / 1000.0
}

/// 32 hexadecimal digits, as an event id has them.
fn new_marker() -> String {
    system::generate_secret(Secret::Uuid).replace('-', "")
}

/// Asks until the answer is yes, at least once.
fn wait_until(
    patience: Duration,
    mut ask: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if ask()? {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(100));
    }
}
