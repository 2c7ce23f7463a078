//! `production deploy`: from whatever runs to what the checkout and the env file say, or back.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::release::Rollout;
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::images::Pull;
use crate::swarm::nodes;
use crate::swarm::preview::Preview;
use crate::swarm::release::Release;
use crate::swarm::settings::Edge;
use crate::system::clock;
use crate::terminal::text::render_timestamp;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionDeploy) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    let mut plan = swarm.plan()?;
    let nodes = swarm.nodes()?;
    let missing = nodes::missing_labels(&nodes)?;
    if options.dry_run {
        let preview = Preview::of(&swarm, &mut plan, &missing)?;
        terminal::print(&preview.render())?;
        return Ok(Outcome::Done);
    }

    let _lock = swarm.lock("deploy")?;
    for (node, label) in missing {
        swarm.label(node, label)?;
        say!("gave {} the label {label}=true", node.hostname());
    }
    let pull = if options.pull {
        Pull::Newer
    } else {
        Pull::Missing
    };
    swarm.fetch(&plan.images(), pull)?;
    let pinned = plan.pin(&swarm, nodes.len())?;
    swarm.tag_pinned(&pinned)?;
    let releases = swarm.releases()?;
    let release = next_release(&swarm, &plan, releases.first());
    let previous = releases.first();
    if previous.is_some_and(|it| it.is_same_as(&release)) && swarm.is_well(&release.stack)? {
        say!("already up to date: release {} runs", release.number - 1);
        return Ok(Outcome::Done);
    }

    let made = swarm.create_all(&plan)?;
    if !made.is_empty() {
        say!("created in the swarm: {}", made.join(", "));
    }
    let rollout = Rollout {
        swarm: &swarm,
        release: &release,
        previous,
        order: &plan.order,
        timeout: Duration::from_secs(options.wait.timeout),
        here: &here,
    };
    rollout.carry_out()?;

    welcome(&swarm, &release)
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

fn welcome(swarm: &Swarm, release: &Release) -> anyhow::Result<Outcome> {
    let edge = Edge::of(swarm.docker.values());
    say!("deployed: release {} runs", release.number);
    let urls = [("umami", &edge.umami), ("glitchtip", &edge.glitchtip)];
    let rows = urls.map(|(name, host)| vec![name.to_owned(), edge.url(host)]);
    terminal::print(&terminal::text::render_table(&rows))?;
    say!(
        "log in as admin to Umami and as ADMIN_EMAIL to GlitchTip; the passwords are in deploy/production/.env"
    );
    Ok(Outcome::Done)
}
