//! `setup`: completes `.env` from its template.

use crate::checkout::Checkout;
use crate::commands::Outcome;
use crate::operations::env_file::{self, EnvFile};
use crate::system::lock::Lock;
use crate::terminal::say;

pub fn run(checkout: &Checkout) -> anyhow::Result<Outcome> {
    // What a killed run left behind may be removed when no other runs.
    let _lock = Lock::acquire(&checkout.lock_file())?;
    if env_file::ensure(checkout)? == EnvFile::Unchanged {
        say!(
            "already complete: {}",
            checkout.display(&checkout.env_file())
        );
    }
    Ok(Outcome::Done)
}
