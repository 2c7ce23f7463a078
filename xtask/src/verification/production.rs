//! Production: events in through the edge of each node, by the public names, and back out; and nothing secret
//! in the open.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::chain::{Chain, seconds_since};
use super::glitchtip::{exchange, find_target};
use super::report::{Report, Step};
use super::umami::{check_shipped_login, check_shown, check_website, log_in};
use super::{Expected, new_marker};
use crate::apps::deployment::Deployment;
use crate::apps::glitchtip::{GlitchTip, Reader};
use crate::apps::umami::Event;
use crate::env::settings::Settings;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::edge::EdgeWay;
use crate::swarm::settings::Edge;
use crate::swarm::stackfile::StackFile;

/// How long an accepted error may take to appear: the worker may be on another node, and restarting.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a page view, an event and an error through every edge, reads them back and removes them. The caller
/// holds the lock. `stack` is what runs, `here` the id of the node whose engine is asked.
///
/// # Errors
/// When there is nothing to ask. A step that fails is part of the report.
pub fn verify(swarm: &Swarm, stack: &StackFile, here: &str) -> anyhow::Result<Report> {
    let begin = Instant::now();
    let values = swarm.docker.values();
    let expected = Expected::of(&Settings::of(values), Deployment::Production)?;
    let edge = Edge::of(values);
    let service = stack.service("umami").context("the stack has no umami")?;
    let image = service["image"].as_str().unwrap_or_default();
    let ways = EdgeWay::all(swarm, &edge, image, here)?;

    let mut steps: Vec<Step> = Vec::new();
    for way in &ways {
        steps.extend(verify_umami(way, &expected).into_steps());
        steps.extend(verify_glitchtip(way, &expected).into_steps());
    }
    steps.extend(verify_swarm(swarm, ways.len()).into_steps());
    Ok(Report::new(steps, seconds_since(begin)))
}

fn verify_umami(way: &EdgeWay, expected: &Expected) -> Chain {
    let mut chain = Chain::new("umami");
    let umami = way.umami();
    let path = format!("/xtask-verify/{}", new_marker());
    let event = |event_name: Option<&str>| Event {
        url_path: path.clone(),
        event_name: event_name.map(str::to_owned),
    };
    let (page_view, custom) = (event(None), event(Some("xtask-verify")));

    let answers = chain.begin("answers at its public address", || umami.check_answers());
    chain.note(format!("{} through {}", umami.url, way.node));
    chain.then(answers, "refuses the default login", |()| {
        check_shipped_login(&umami)
    });
    let token = chain.then(answers, "logs the administrator in", |()| {
        log_in(&umami, expected)
    });
    let reader = token.as_ref().map(|token| (&umami, token));
    chain.then(reader, "stores a page view and shows it", |it| {
        umami.send_event(&page_view)?;
        check_shown(it, &page_view)
    });
    chain.then(reader, "stores a custom event and shows it", |it| {
        umami.send_event(&custom)?;
        check_shown(it, &custom)
    });
    chain.then(token.as_ref(), "removes the test events", |token| {
        umami.reset(token)
    });
    chain.then(reader, "has the website of UMAMI_WEBSITE_ID", |it| {
        check_website(it, expected)
    });
    chain
}

fn verify_glitchtip(way: &EdgeWay, expected: &Expected) -> Chain {
    let mut chain = Chain::new("glitchtip");
    let glitchtip = way.glitchtip();
    let reader = Reader {
        glitchtip: &glitchtip,
        token: &expected.token,
    };
    let answers = chain.begin("answers at its public address", || {
        glitchtip.check_answers()
    });
    chain.note(format!("{} through {}", glitchtip.url, way.node));
    let claim = "has a DSN for the website, and one for test errors";
    let target = chain.then(answers, claim, |()| find_target(&reader, expected));
    let with_target = target.as_ref().map(|target| (&reader, target));
    exchange(&mut chain, with_target, expected, PATIENCE);
    chain.then(answers, "keeps /metrics and /admin inside", |()| {
        check_inside(&glitchtip)
    });
    chain
}

fn check_inside(glitchtip: &GlitchTip) -> anyhow::Result<()> {
    for path in ["/metrics", "/admin/"] {
        let status = glitchtip.status_of(path)?;
        if status != 404 {
            bail!(
                Problem::new(format!("{path} answers {status} to anyone"))
                    .hint("deploy the committed deploy/production/Caddyfile: `git checkout -- deploy/production/Caddyfile`")
            );
        }
    }
    Ok(())
}

fn verify_swarm(swarm: &Swarm, edges: usize) -> Chain {
    let mut chain = Chain::new("swarm");
    chain.begin("has an edge that takes requests", || {
        if edges == 0 {
            bail!(
                Problem::new("no node with an edge is ready")
                    .hint("`cargo xtask production status` shows the state of each node")
            );
        }
        Ok(())
    });
    chain.begin("shows no secret in its services", || {
        let shown = swarm.services_as_shown()?;
        if swarm.docker.values().is_told_by(&shown) {
            bail!(
                Problem::new("`docker service inspect` shows a secret of deploy/production/.env")
                    .hint("take it out of the environment in deploy/production/stack.yml")
            );
        }
        Ok(())
    });
    chain
}
