//! A deployment of what the checkout and the env file say: labels, images, secrets, configs, and the rollout.

use std::time::Duration;

use anyhow::bail;

use super::logins::finish_rotation;
use super::release::{Rollout, roll_back};
use crate::checks::finding::{Finding, Level};
use crate::checks::production::machines::{BUCKET, Preflight};
use crate::checks::production::{check_authority, check_before};
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::images::Pull;
use crate::swarm::lock::{Left, SwarmLock};
use crate::swarm::nodes::missing_labels;
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

    say!("checking machines, names and bucket");
    let preflight = Preflight {
        swarm,
        plan: &plan,
        nodes: &nodes,
        here: &how.here,
        patience: PULL_TIMEOUT,
    };
    let mut findings = preflight.check()?;
    findings.extend(check_authority(swarm.docker.values(), &nodes));
    judge(findings, previous.as_ref())?;
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

/// Looks for what would stop a deployment, and makes nothing of it. `here` is the id of the node whose engine is asked.
///
/// # Errors
/// With that.
pub fn check(swarm: &Swarm, here: &str) -> anyhow::Result<()> {
    let previous = swarm.releases()?.into_iter().next();
    if previous.is_none() {
        swarm.check_volumes()?;
    }
    say!("checking machines, names and bucket");
    let nodes = swarm.nodes()?;
    let mut findings = check_before(swarm, swarm.plan()?, &nodes, here)?;
    findings.extend(check_authority(swarm.docker.values(), &nodes));
    judge(findings, previous.as_ref())
}

/// Nothing is made before all is known that would stop it.
fn judge(findings: Vec<Finding>, previous: Option<&Release>) -> anyhow::Result<()> {
    let mut errors = Vec::new();
    for finding in findings {
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
