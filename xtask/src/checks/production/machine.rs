//! The machine of the engine that is asked: its clock, and what only its daemon can set. Only looks.

use crate::checks::finding::Finding;
use crate::docker::engine::Info;
use crate::problem::Problem;
use crate::system::clock;
use crate::terminal::text::parse_timestamp;

/// Certificates and managers bear no more.
const CLOCK_TOLERANCE: u64 = 30;

pub fn check(info: &Info) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !info.has_no_new_privileges() {
        let what =
            "the engine lets processes of containers gain rights, which a stack cannot forbid";
        let hint = "set {\"no-new-privileges\": true} in its /etc/docker/daemon.json, then `sudo systemctl restart docker`";
        findings.push(Finding::warning("engine", Problem::new(what).hint(hint)));
    }
    let theirs = parse_timestamp(&info.system_time);
    let apart = theirs.map_or(0, |theirs| theirs.abs_diff(clock::now()));
    if apart > CLOCK_TOLERANCE {
        let what =
            format!("the clock of the engine's machine differs from this one's by {apart} s");
        let hint =
            "let both machines take their time from the network: `sudo timedatectl set-ntp true`";
        findings.push(Finding::warning("clock", Problem::new(what).hint(hint)));
    }
    if findings.is_empty() {
        let what = format!(
            "{}: its clock and its defaults are right",
            info.server_version
        );
        findings.push(Finding::good("engine", what));
    }
    findings
}
