//! A deployment of what the checkout and the env file say: labels, images, secrets, configs, and the rollout.

use std::time::Duration;

use anyhow::bail;

use super::logins::finish_rotation;
use super::release::{Rollout, roll_back};
use crate::checks::finding::Level;
use crate::checks::production::machines::{BUCKET, Preflight};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::images::Pull;
use crate::swarm::lock::{Left, SwarmLock};
use crate::swarm::nodes::{Node, missing_labels};
use crate::swarm::release::Release;
use crate::swarm::settings::Database;
use crate::system::clock;
use crate::terminal::text::render_timestamp;
use crate::terminal::{self, say};

/// How long a node may take to pull the images that it lacks.
const PULL_TIMEOUT: Duration = Duration::from_secs(1800);

/// How it is deployed.
pub struct How {
    pub pull: Pull,
    /// How long the services may take.
    pub timeout: Duration,
    /// A failure within this time after the update belongs to it.
    pub watch: Duration,
    /// The id of the node whose engine is asked.
    pub here: String,
}

/// What came of it.
pub enum Deployed {
    New(Release),
    /// It runs already, as this release.
    Already(Release),
}

/// Deploys a plan, and finishes a rotation that was killed. `lock` is on the same stack.
///
/// # Errors
/// When it does not work: the release before runs again then, where there is one.
pub fn deploy(swarm: &Swarm, lock: &SwarmLock, plan: Plan, how: &How) -> anyhow::Result<Deployed> {
    let deployed = bring(swarm, lock, plan, how)?;
    let (Deployed::New(release) | Deployed::Already(release)) = &deployed;
    finish_rotation(swarm, release)?;
    Ok(deployed)
}

/// Makes a plan run. What is there and right already stays; `lock` is on the same stack.
///
/// # Errors
/// As [`deploy`].
pub fn bring(
    swarm: &Swarm,
    lock: &SwarmLock,
    mut plan: Plan,
    how: &How,
) -> anyhow::Result<Deployed> {
    let nodes = swarm.nodes()?;
    let mut releases = swarm.releases()?.into_iter();
    let previous = releases.next();
    if previous.is_none() {
        swarm.check_volumes()?;
    }
    let database = Database::of(swarm.docker.values())?;
    let missing = missing_labels(&nodes, database)?;
    swarm.fetch(&plan.images(), how.pull)?;
    let pinned = plan.pin(swarm, nodes.len())?;
    swarm.tag_pinned(&pinned)?;

    let release = next_release(swarm, &plan, previous.as_ref());
    if let Some(previous) = previous.as_ref().filter(|it| it.is_same_as(&release))
        && lock.left == Left::Nothing
        && swarm.is_well(&release.stack)?
        // What runs well may be something else than what was recorded. Given again, the same restarts nothing.
        && roll_back(swarm, previous, how.timeout).is_ok()
    {
        return Ok(Deployed::Already(previous.clone()));
    }

    check_before(swarm, &plan, (&nodes, previous.as_ref()), how)?;
    for (node, label) in missing {
        swarm.label(node, &label)?;
        say!("gave {} the label {label}", node.hostname());
    }
    let made = swarm.create_all(&plan)?;
    if !made.is_empty() {
        say!("created in the swarm: {}", made.join(", "));
    }
    let rollout = Rollout {
        swarm,
        release: &release,
        previous: previous.as_ref(),
        order: &plan.order,
        timeout: how.timeout,
        watch: how.watch,
        here: &how.here,
    };
    rollout.carry_out()?;
    Ok(Deployed::New(release))
}

/// Nothing is made before all is known that would stop it.
fn check_before(
    swarm: &Swarm,
    plan: &Plan,
    (nodes, previous): (&[Node], Option<&Release>),
    how: &How,
) -> anyhow::Result<()> {
    say!("checking machines, names and bucket");
    let preflight = Preflight {
        swarm,
        plan,
        nodes,
        here: &how.here,
        patience: PULL_TIMEOUT,
    };
    let mut errors = Vec::new();
    for finding in preflight.check()? {
        // What runs already goes on without its bucket for a while; what is written stays on the disk until then.
        let can_wait = finding.check == BUCKET && previous.is_some();
        match finding.level {
            Level::Error if !can_wait => errors.push(finding.problem),
            Level::Good => {}
            Level::Warning | Level::Error => terminal::say_warning(&finding.problem),
        }
    }
    match errors.as_slice() {
        [] => Ok(()),
        [only] => bail!(Problem {
            what: format!("{}; nothing was changed", only.what),
            ..only.clone()
        }),
        [all @ .., last] => {
            all.iter().for_each(terminal::say_error);
            bail!(Problem {
                what: format!("{}; nothing was changed", last.what),
                ..last.clone()
            })
        }
    }
}

fn next_release(swarm: &Swarm, plan: &Plan, previous: Option<&Release>) -> Release {
    Release {
        number: previous.map_or(1, |it| it.number + 1),
        at: render_timestamp(clock::now()),
        by: swarm.owner(),
        stack: plan.stack.clone(),
        jobs: plan.jobs.clone(),
        mark: None,
    }
}
