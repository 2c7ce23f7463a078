//! What can stop `up`, looked at before anything is started. Must change nothing.

use anyhow::bail;

use super::finding::Level;
use super::{Scene, check_before_start};
use crate::checkout::Checkout;
use crate::docker::Docker;
use crate::stack::desired::Config;
use crate::terminal::{say_error, say_warning};

/// Looks at what can stop `up`, and says what is not good.
///
/// # Errors
/// When something would stop it; all of that has been said.
pub fn check(checkout: &Checkout, docker: &Docker, config: &Config) -> anyhow::Result<()> {
    let scene = Scene::read(checkout, docker, config)?;
    let mut errors = 0;
    for finding in check_before_start(&scene)? {
        match finding.level {
            Level::Good => {}
            Level::Warning => say_warning(&finding.problem),
            Level::Error => {
                say_error(&finding.problem);
                errors += 1;
            }
        }
    }
    match errors {
        0 => Ok(()),
        1 => bail!("nothing was started, because of the error above"),
        count => bail!("nothing was started, because of the {count} errors above"),
    }
}
