//! `production deploy`: from whatever runs to what the checkout and the env file say, or back.

use std::time::Duration;

use crate::checkout::Checkout;
use crate::cli;
use crate::commands::Outcome;
use crate::operations::production::deploy::{Deployed, How, check, deploy};
use crate::swarm::Swarm;
use crate::swarm::files::Plan;
use crate::swarm::images::Pull;
use crate::swarm::nodes::{Label, Node, missing_labels};
use crate::swarm::preview::Preview;
use crate::swarm::settings::{Database, Edge};
use crate::terminal::text::render_table;
use crate::terminal::{self, say};

pub fn run(checkout: &Checkout, options: &cli::ProductionDeploy) -> anyhow::Result<Outcome> {
    let swarm = Swarm::of(checkout)?;
    let here = swarm.check()?;
    let plan = swarm.plan()?;
    let nodes = swarm.nodes()?;
    let labels = missing_labels(&nodes, Database::of(swarm.docker.values())?)?;
    if options.dry_run {
        return rehearse(&swarm, plan, &labels, &here);
    }

    let lock = swarm.lock("deploy")?;
    let pull = if options.pull {
        Pull::Newer
    } else {
        Pull::Missing
    };
    let how = How {
        pull,
        timeout: Duration::from_secs(options.wait.timeout),
        watch: Duration::from_secs(options.watch.seconds),
        here,
    };
    match deploy(&swarm, &lock, plan, &how)? {
        Deployed::Already(release) => {
            say!("already up to date: release {} runs", release.number);
            Ok(Outcome::Done)
        }
        Deployed::New(release) => {
            say!("deployed: release {} runs", release.number);
            welcome(&swarm)
        }
    }
}

/// Says what would be done, and what would stop it.
fn rehearse(
    swarm: &Swarm,
    mut plan: Plan,
    labels: &[(&Node, Label)],
    here: &str,
) -> anyhow::Result<Outcome> {
    let preview = Preview::of(swarm, &mut plan, labels)?;
    terminal::print(&preview.render())?;
    if !preview.is_nothing() {
        check(swarm, here)?;
    }
    Ok(Outcome::Done)
}

fn welcome(swarm: &Swarm) -> anyhow::Result<Outcome> {
    let edge = Edge::of(swarm.docker.values());
    let urls = [("umami", &edge.umami), ("glitchtip", &edge.glitchtip)];
    let rows = urls.map(|(name, host)| vec![name.to_owned(), edge.url(host)]);
    terminal::print(&render_table(&rows))?;
    let email = swarm.docker.values().text("ADMIN_EMAIL");
    say!(
        "log in to Umami as admin, to GlitchTip as {email}; both passwords are in deploy/production/.env"
    );
    Ok(Outcome::Done)
}
