//! What the engine has for the stack, against what the stack may take. Must never look itself.

use super::data::Probe;
use super::finding::Finding;
use crate::docker::engine::Info;
use crate::problem::Problem;
use crate::stack::desired::{Config, Role};
use crate::terminal::text::render_bytes;

/// The four images take about 2 GiB (measured 2026-11-22 on Umami 3.1, GlitchTip 5.2); data comes on top.
const NEEDED_DISK: u64 = 3 << 30;

/// Memory, whether its limits hold, and the disk.
pub fn check(info: &Info, config: &Config, probe: Option<&Probe>) -> Vec<Finding> {
    let mut findings = vec![check_memory(info, config)];
    if !info.memory_limit {
        let problem = Problem::new("the engine does not enforce memory limits").hint(
            "enable the memory controller: add `cgroup_enable=memory` to the kernel's command line, or \
             use cgroup v2 for a rootless engine",
        );
        findings.push(Finding::warning("memory", problem));
    }
    findings.push(check_disk(probe));
    findings
}

fn check_memory(info: &Info, config: &Config) -> Finding {
    let sum = |role: Role| -> u64 {
        let services = config
            .services
            .iter()
            .filter(|(name, _)| config.role(name) == role);
        services.map(|(_, service)| service.memory_limit()).sum()
    };
    // Before the applications start, their migrations run in their place.
    let needed = sum(Role::LongRunning).max(sum(Role::OneShot));
    let what = format!(
        "the engine has {}, the limits add up to {}",
        render_bytes(info.mem_total),
        render_bytes(needed)
    );
    if info.mem_total >= needed {
        return Finding::good("memory", what);
    }
    let problem = Problem::new(what).hint(
        "give the engine's machine more memory (Docker Desktop: Settings, Resources; Colima: \
         `colima start --memory 4`), or lower the limits in deploy/analytics/.env",
    );
    Finding::warning("memory", problem)
}

fn check_disk(probe: Option<&Probe>) -> Finding {
    let Some(free) = probe.and_then(|probe| probe.free) else {
        return Finding::good("disk", "not checked yet: the images have not been pulled");
    };
    let what = format!("the engine has {} left", render_bytes(free));
    if free >= NEEDED_DISK {
        return Finding::good("disk", what);
    }
    let problem = Problem::new(what).hint(
        "`docker image prune` and `docker builder prune` free what nothing uses; never prune volumes",
    );
    Finding::warning("disk", problem)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const ROOMY: &str = "data: 15\npostgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n\
                         Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                         overlay 264212084 21212792 74073096 23% /\n";
    const CONFIG: &str = "name: a\nservices:\n  a: {mem_limit: '1073741824', \
                          depends_on: {m: {condition: service_completed_successfully}}}\n  \
                          b: {mem_limit: '1073741824'}\n  m: {mem_limit: '536870912'}\n";

    /// The levels of all findings on an engine with this much memory.
    fn levels(memory: u64, limits: &str, df: &str) -> Vec<Level> {
        let json = format!(
            r#"{{"ServerVersion":"26","OperatingSystem":"x","Architecture":"x86_64","MemTotal":{memory},"MemoryLimit":{limits}}}"#
        );
        let info = Info::parse(&json).unwrap();
        let config = Config::parse(CONFIG).unwrap();
        let findings = check(&info, &config, Some(&Probe::parse(df)));
        findings.iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn the_engine_is_compared_with_what_the_stack_may_take() {
        use Level::{Good, Warning};
        assert_eq!(levels(2 << 30, "true", ROOMY), [Good, Good]);
        let tight = levels((2 << 30) - 1, "false", ROOMY);
        assert_eq!(tight, [Warning, Warning, Good]);
        let full = ROOMY.replace("74073096", "74073");
        assert_eq!(levels(4 << 30, "true", &full), [Good, Warning]);
    }
}
