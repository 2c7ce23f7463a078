//! Umami: a page view and an event in, and back out.

use std::time::Duration;

use anyhow::{Context, bail};

use super::chain::{Chain, wait_until};
use super::{Expected, new_marker, with_remedy};
use crate::apps::umami::{self, Event, Umami};
use crate::system::clock;

/// How long a stored event may take to appear in Umami; it is there at once (3.1.0).
const UMAMI_PATIENCE: Duration = Duration::from_secs(2);

pub fn verify(umami: &Umami, expected: &Expected) -> Chain {
    let mut chain = Chain::new("umami");
    chain.step("answers, and hands out the tracker", || {
        umami.check_answers().map_err(|error| with_remedy(&error))
    });
    chain.check("refuses the login that it was shipped with", || match umami
        .log_in(umami::ADMIN, umami::SHIPPED_PASSWORD)?
    {
        Some(_) => bail!("anyone can log in as admin/umami; change that password in Umami at once"),
        None => Ok(()),
    });
    let token = chain.step("lets the administrator in", || {
        umami.log_in(umami::ADMIN, &expected.umami_password)?.context(
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
        chain.step(claim, || {
            let event = Event {
                url_path: url_path.clone(),
                event_name,
            };
            umami.send(&event)?;
            // An hour each way for clocks that differ, as those of virtual machines do.
            let now = clock::now() * 1000;
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
    chain.step("removes the test events", || umami.reset(&token));
    chain.step("has the website that connect names", || {
        umami.website(&token, &expected.website_id)?.context(
            "the website with UMAMI_WEBSITE_ID is gone, and with it every event that is sent to it; \
             `cargo xtask restart umami` makes it again",
        )?;
        Ok(())
    });
    chain
}
