//! `verify`: proves that events arrive, by sending some and reading them back.

use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::docker::Docker;
use crate::system::lock::Lock;
use crate::verification::{self, Scope};
use crate::{cli, diagnosis, stack, terminal};

pub fn run(checkout: &Checkout, options: &cli::Verify) -> anyhow::Result<Outcome> {
    // Two at once would remove each other's events.
    let _lock = Lock::acquire(&checkout.lock_file())?;
    let docker = Docker::new(checkout)?;
    let scope = if options.public {
        Scope::Public
    } else {
        Scope::Here
    };
    let report = verification::verify(checkout, &docker, scope)?;

    terminal::print(&if options.json {
        report.render_json()?
    } else {
        report.render()
    })?;
    if !report.passed {
        diagnosis::explain_failed(&docker, &stack::read_config(&docker)?)?;
    }
    Ok(Outcome::from(report.passed))
}
