//! The proof that a deployment is served: through the edge of every node, by the public names.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::apps::umami;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::edge::EdgeWay;
use crate::swarm::settings::Edge;
use crate::swarm::stackfile::StackFile;
use crate::terminal::say;

/// An authority needs some seconds for a certificate; DNS that has just changed, more.
const PATIENCE: Duration = Duration::from_secs(90);

/// Checks both applications through every edge, and that no login is open that they ship with.
///
/// # Errors
/// What the first edge that does not serve them says after a minute and a half.
pub fn run(swarm: &Swarm, stack: &StackFile, here: &str) -> anyhow::Result<()> {
    let edge = Edge::of(swarm.docker.values());
    let service = stack.service("umami").context("the stack has no umami")?;
    let image = service["image"].as_str().unwrap_or_default();
    let ways = EdgeWay::all(swarm, &edge, image, here)?;
    if ways.is_empty() {
        bail!(
            Problem::new("no node with an edge is ready")
                .hint("`docker node ls` shows the state of each node")
        );
    }
    for way in &ways {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = check(way) {
            if Instant::now() >= deadline {
                return Err(error);
            }
            thread::sleep(Duration::from_secs(1));
        }
        say!(
            "checked the edge of {}: it serves both applications",
            way.node
        );
    }
    Ok(())
}

fn check(way: &EdgeWay) -> anyhow::Result<()> {
    way.check_answers()?;
    if way
        .umami()
        .log_in(umami::ADMIN, umami::SHIPPED_PASSWORD)?
        .is_some()
    {
        bail!(
            Problem::new("Umami takes the password that it ships with").hint(
                "set UMAMI_ADMIN_PASSWORD in deploy/production/.env to another, then deploy again"
            )
        );
    }
    Ok(())
}
