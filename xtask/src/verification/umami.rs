//! Umami: a page view and an event in, and back out.

use std::time::Duration;

use anyhow::{Context, bail};

use super::chain::{Chain, wait_for};
use super::stores::Stores;
use super::{Expected, new_marker, ours, start_it};
use crate::apps::http::Direct;
use crate::apps::umami::{self, Event, Token, Umami};
use crate::problem::Problem;
use crate::stack::published::Endpoint;
use crate::system::clock;

/// How long a stored event may take to appear in Umami; it is there at once (3.1.0).
const PATIENCE: Duration = Duration::from_secs(2);

/// `public` is Umami at its public address, if that is to be proven too.
pub fn verify(
    endpoint: Result<Endpoint, Problem>,
    public: Option<&Umami>,
    expected: &Expected,
    stores: &Stores,
) -> Chain {
    let mut chain = Chain::new("umami");
    let marker = new_marker();
    let page_view = Event {
        url_path: format!("/xtask-verify/{marker}"),
        event_name: None,
    };
    let custom = Event {
        url_path: page_view.url_path.clone(),
        event_name: Some(format!("xtask-verify-{marker}")),
    };

    let umami = chain.begin("runs, and its port is published", || {
        Ok(Umami {
            url: endpoint?.url(),
            transport: &Direct,
        })
    });
    let ours = prove(&mut chain, umami.as_ref(), stores, &page_view);
    if let Some(public) = public {
        verify_public(&mut chain, public, stores, &page_view);
    }
    chain.then(ours, "refuses the default login", |it| {
        check_shipped_login(it)
    });
    let token = chain.then(ours, "logs the administrator in", |it| log_in(it, expected));
    let reader = ours.zip(token.as_ref());
    chain.then(reader, "shows the page view", |it| {
        check_shown(it, &page_view)
    });
    chain.then(reader, "stores a custom event and shows it", |it| {
        it.0.send_event(&custom)?;
        check_shown(it, &custom)
    });
    chain.then(ours, "removes the test events", |it| match &token {
        Some(token) => it.reset(token),
        None => stores.remove_page_views(&page_view.url_path),
    });
    chain.then(reader, "has the website that connect prints", |it| {
        check_website(it, expected)
    });
    chain
}

/// Nothing secret may be sent before these steps have passed.
fn prove<'a>(
    chain: &mut Chain,
    umami: Option<&'a Umami<'a>>,
    stores: &Stores,
    page_view: &Event,
) -> Option<&'a Umami<'a>> {
    let answers = chain.then(umami, "answers, and serves the tracking script", |it| {
        it.check_answers().map_err(|error| start_it(&error))?;
        Ok(it)
    });
    chain.then(
        answers,
        "stores a page view in this stack's database",
        |it| {
            ours::prove_umami(it, stores, page_view)?;
            Ok(it)
        },
    )
}

fn verify_public(chain: &mut Chain, public: &Umami, stores: &Stores, page_view: &Event) {
    let answers = chain.then(Some(public), "answers at its public address", |it| {
        it.check_answers().map(|()| it)
    });
    chain.note(public.url.clone());
    chain.then(answers, "is reached at its public address", |it| {
        ours::prove_umami(it, stores, page_view)
    });
}

pub(super) fn check_shipped_login(umami: &Umami) -> anyhow::Result<()> {
    if umami
        .log_in(umami::ADMIN, umami::SHIPPED_PASSWORD)?
        .is_some()
    {
        bail!(
            Problem::new("anyone can log in as admin with the password umami")
                .hint("change that password in Umami at once")
        );
    }
    Ok(())
}

pub(super) fn log_in(umami: &Umami, expected: &Expected) -> anyhow::Result<Token> {
    let token = umami.log_in(umami::ADMIN, &expected.umami_password)?;
    token.with_context(|| {
        Problem::new("Umami refuses admin with UMAMI_ADMIN_PASSWORD, so nothing can be read back")
            .hint(format!(
                "if you changed the password in Umami, set UMAMI_ADMIN_PASSWORD in {} to it",
                expected.deployment.env_file()
            ))
    })
}

pub(super) fn check_shown((umami, token): (&Umami, &Token), event: &Event) -> anyhow::Result<()> {
    // An hour each way for clocks that differ, as those of virtual machines do.
    let now = clock::now() * 1000;
    let look = || {
        let events = umami.events(token, now - 3_600_000, now + 3_600_000)?;
        Ok(events.contains(event).then_some(()))
    };
    wait_for(PATIENCE, look)?.context("lost in Umami: it answered 200 and stored nothing")
}

pub(super) fn check_website(
    (umami, token): (&Umami, &Token),
    expected: &Expected,
) -> anyhow::Result<()> {
    let name = umami.website(token, &expected.website_id)?;
    name.map(drop).with_context(|| {
        Problem::new(
            "the website with UMAMI_WEBSITE_ID is gone, and with it every event that is sent to it",
        )
        .hint(format!(
            "make it again with {}",
            expected.deployment.prepare_again("umami")
        ))
    })
}
