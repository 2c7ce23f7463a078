//! What the values of the env file will break. Must never quote one: most of them are secrets.

use super::finding::Finding;
use crate::checkout::Checkout;
use crate::env::rules::{Severity, Violation};
use crate::env::settings;
use crate::env::values::Values;
use crate::problem::Problem;
use crate::stack::desired::Config;

/// Looks at every value; without a configuration where Compose refuses it.
pub fn check(checkout: &Checkout, values: &Values, config: Option<&Config>) -> Vec<Finding> {
    let glitchtip = config.and_then(|config| config.services.get("glitchtip-web"));
    let port = glitchtip.and_then(|service| service.ports.first());

    let port = port.and_then(|port| port.published.parse().ok());
    let violations = settings::check(values, port).into_iter();
    let name = checkout.display(&checkout.env_file());
    violations.map(|it| finding(&name, it)).collect()
}

fn finding(name: &str, violation: Violation) -> Finding {
    let Violation { severity, problem } = violation;
    let what = format!("{name}, {}", problem.what);
    let problem = Problem { what, ..problem };
    match severity {
        Severity::Warning => Finding::warning(".env", problem),
        Severity::Stops | Severity::Refused => Finding::error(".env", problem),
    }
}
