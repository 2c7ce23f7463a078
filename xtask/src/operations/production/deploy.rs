//! A deployment of what the checkout and the env file say: labels, images, secrets, configs, and the rollout.

use std::time::Duration;

use super::release::{Rollout, roll_back};
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::images::Pull;
use crate::swarm::lock::{Left, SwarmLock};
use crate::swarm::nodes::missing_labels;
use crate::swarm::release::Release;
use crate::swarm::settings::Database;
use crate::system::clock;
use crate::terminal::say;
use crate::terminal::text::render_timestamp;

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

/// Deploys a plan. What is there and right already stays; `lock` is on the same stack.
///
/// # Errors
/// When it does not work: the release before runs again then, where there is one.
pub fn deploy(
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
    for (node, label) in missing_labels(&nodes, database)? {
        swarm.label(node, &label)?;
        say!("gave {} the label {label}", node.hostname());
    }
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

fn next_release(swarm: &Swarm, plan: &Plan, previous: Option<&Release>) -> Release {
    Release {
        number: previous.map_or(1, |it| it.number + 1),
        at: render_timestamp(clock::now()),
        by: swarm.owner(),
        stack: plan.stack.clone(),
        jobs: plan.jobs.clone(),
    }
}
