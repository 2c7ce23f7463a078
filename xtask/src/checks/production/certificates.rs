//! The certificates that each edge presents for the public names: there, and renewed in time. Only looks.

use crate::checks::finding::Finding;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::edge::{Certificate, EdgeWay};
use crate::swarm::release::Release;
use crate::swarm::settings::{Edge, Tls};
use crate::system::clock;
use crate::terminal::text::{render_duration, render_timestamp};

const CHECK: &str = "certificates";

const HINT: &str = "check that the name leads to this node and that port 80 is open; `cargo xtask production logs edge` \
                    says what the authority answered";

/// Caddy (2.11) renews when a third of a certificate's time is left, which is 30 days of 90. Half of that later it
/// has failed for days.
const RENEWAL_IS_LATE: u64 = 6;
const LATE_AT_MOST: u64 = 14 * 86_400;

pub fn check(swarm: &Swarm, release: &Release, here: &str) -> Vec<Finding> {
    let edge = Edge::of(swarm.docker.values());
    if edge.tls == Tls::Off {
        return Vec::new();
    }
    let image = release
        .stack
        .service(release.stack.database())
        .map(|it| &it["image"]);
    let image = image.and_then(|it| it.as_str()).unwrap_or_default();
    let asked = EdgeWay::all(swarm, &edge, image, here).and_then(|ways| {
        let mut findings = Vec::new();
        for way in &ways {
            let certificates = way.certificates(image)?;
            let names = [&edge.umami, &edge.glitchtip];
            findings.extend(names.map(|name| judge(name, &way.node, &certificates, clock::now())));
        }
        Ok(findings)
    });
    asked.unwrap_or_else(|error| vec![Finding::error(CHECK, Problem::of(&error))])
}

fn judge(name: &str, node: &str, certificates: &[Certificate], now: u64) -> Finding {
    let Some(found) = certificates.iter().find(|it| it.name == name) else {
        let problem = Problem::new(format!("the edge of {node} presents none for {name}"));
        return Finding::error(CHECK, problem.hint(HINT));
    };
    let left = found.end.saturating_sub(now);
    let what = format!("that of {name} on {node}");
    if left == 0 {
        let at = render_timestamp(found.end);
        let problem = Problem::new(format!("{what} has been invalid since {at}"));
        return Finding::error(CHECK, problem.hint(HINT));
    }
    let late = found.end.saturating_sub(found.begin) / RENEWAL_IS_LATE;
    let what = format!("{what} is valid for another {}", render_duration(left));
    if left < late.min(LATE_AT_MOST) {
        let problem = Problem::new(format!("{what}, and has not been renewed"));
        return Finding::warning(CHECK, problem.hint(HINT));
    }
    Finding::good(CHECK, what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::finding::Level;

    const DAY: u64 = 86_400;

    #[test]
    fn a_certificate_is_missing_invalid_late_or_well() {
        #[track_caller]
        fn check(days: Option<(u64, u64)>, level: Level, what: &str) {
            let now = 1000 * DAY;
            let certificate = days.map(|(lifetime, left)| Certificate {
                name: "a.example.com".to_owned(),
                begin: now + left * DAY - lifetime * DAY,
                end: now + left * DAY,
            });
            let certificates: Vec<_> = certificate.into_iter().collect();
            let found = judge("a.example.com", "n1", &certificates, now);
            assert_eq!(found.level, level, "{found:?}");
            assert!(found.problem.what.contains(what), "{found:?}");
        }
        check(
            None,
            Level::Error,
            "the edge of n1 presents none for a.example.com",
        );
        check(Some((90, 0)), Level::Error, "has been invalid since");
        check(
            Some((90, 13)),
            Level::Warning,
            "another 13 d 0 h, and has not been renewed",
        );
        check(Some((90, 15)), Level::Good, "is valid for another 15 d");
        // Short-lived ones are renewed just in time.
        check(Some((6, 2)), Level::Good, "is valid for another 2 d");
    }
}
