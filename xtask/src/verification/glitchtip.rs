//! GlitchTip: an error in, through the queue and the worker, and back out.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::chain::{Chain, wait_until};
use super::{Expected, new_marker, with_remedy};
use crate::apps::glitchtip::{self, GlitchTip, Login};

/// Returns also whether an error was accepted and did not appear.
pub fn verify(glitchtip: &GlitchTip, expected: &Expected, patience: Duration) -> (Chain, bool) {
    let mut chain = Chain::new("glitchtip");
    chain.step("answers", || {
        glitchtip
            .check_answers()
            .map_err(|error| with_remedy(&error))
    });
    let (organization, dsn) =
        chain.step("has a DSN for the website, and one for test errors", || {
            let projects = glitchtip.projects()?;
            let gone = "a project is gone; `cargo xtask restart glitchtip-web` makes it again";
            glitchtip
                .dsn(glitchtip::find_site(&projects, &expected.glitchtip_project).context(gone)?)?;
            let verification = glitchtip::find_verification(&projects).context(gone)?;
            Ok((
                verification.organization.slug.clone(),
                glitchtip.dsn(verification)?,
            ))
        });
    let event_id = new_marker();
    chain.step("accepts an error at its DSN", || {
        glitchtip.send_error(&dsn, &event_id)
    });
    let accepted = Instant::now();
    chain.check("is closed for sign-up, unless .env opens it", || {
        if glitchtip.is_open_for_signup()? && !expected.signup_is_wanted {
            bail!("anyone who reaches GlitchTip can make an account; `cargo xtask restart glitchtip-web` closes it");
        }
        Ok(())
    });
    chain.check("lets the administrator in", || {
        match glitchtip.log_in(&expected.email, &expected.glitchtip_password)? {
            Login::Accepted => Ok(()),
            Login::Throttled => bail!("too many wrong passwords lately; repeat in 5 minutes"),
            Login::Refused => bail!(
                "GlitchTip refuses ADMIN_EMAIL with GLITCHTIP_ADMIN_PASSWORD; if you changed them in GlitchTip, \
             set both in deploy/analytics/.env to what they are now"
            ),
        }
    });
    let mut stuck = false;
    chain.step("shows the error, stored by its worker", || {
        let left = patience.saturating_sub(accepted.elapsed());
        match wait_until(left, || glitchtip.has_stored(&organization, &event_id))? {
            true => Ok(()),
            false => {
                stuck = true;
                bail!("stuck at the worker")
            }
        }
    });
    (chain, stuck)
}
