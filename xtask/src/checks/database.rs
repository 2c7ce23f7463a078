//! A PostgreSQL of somebody else's: whether it answers, and has what the stack and its backups take. Only
//! looks.

use super::Scene;
use super::finding::Finding;
use crate::problem::Problem;
use crate::stack::database::Server;

const CHECK: &str = "database";

/// What GlitchTip's versions need.
const OLDEST: u32 = 14;
const OLDEST_FOR_GLITCHTIP_7: u32 = 15;

/// The pools of Umami, of GlitchTip's web service and of its worker, ten each.
const CONNECTIONS: u32 = 30;

/// What a dump locks for each day of events that GlitchTip keeps: it has about 19 partitions for a day, with
/// four indexes each (6.2.6).
const LOCKS_A_DAY: u32 = 95;

/// What the server says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    /// The major version.
    version: u32,
    /// That of TLS; empty where the connection has none.
    tls: String,
    max_connections: u32,
    /// Connections that are kept for administrators, or that others have.
    taken: u32,
    max_locks: u32,
    /// Processes that locks are counted for.
    processes: u32,
}

const LOOK: &str = "\
    select 'version', current_setting('server_version_num')::integer / 10000 || '' union all \
    select 'tls', version from pg_stat_ssl where pid = pg_backend_pid() and ssl union all \
    select 'max_connections', current_setting('max_connections') union all \
    select 'taken', count(*) + current_setting('superuser_reserved_connections')::integer \
        + coalesce(current_setting('reserved_connections', true), '0')::integer || '' from pg_stat_activity \
        where backend_type = 'client backend' and usename not in ('umami', 'glitchtip') \
        and pid <> pg_backend_pid() union all \
    select 'max_locks', current_setting('max_locks_per_transaction') union all \
    select 'processes', sum(setting::integer) || '' from pg_settings where name in ('max_connections', \
        'max_prepared_transactions', 'autovacuum_max_workers', 'max_worker_processes', 'max_wal_senders')";

/// Looks at the server, if there is one that is not the stack's own. `image_major` is PostgreSQL's version in
/// the image whose client programs are used.
pub fn check(scene: &Scene, image_major: Option<u32>) -> Vec<Finding> {
    let Some(server) = scene.config.shared_server() else {
        return Vec::new();
    };
    if image_major.is_none() {
        return vec![Finding::good(
            CHECK,
            "not checked yet: the images have not been pulled",
        )];
    }
    let answer = match server.ask(scene.docker, LOOK) {
        Ok(answer) => answer,
        Err(error) => return vec![unreachable(&error)],
    };
    let facts = Facts::parse(&answer);
    let values = scene.docker.values();
    let retention = values
        .text("GLITCHTIP_RETENTION_DAYS")
        .parse()
        .unwrap_or(90);
    let glitchtip = scene.config.services.get("glitchtip-web");
    let is_7 = glitchtip.is_some_and(|it| it.image.contains(":7"));
    let oldest = if is_7 { OLDEST_FOR_GLITCHTIP_7 } else { OLDEST };
    vec![
        facts.check_version(&server, oldest, image_major),
        facts.check_tls(&server),
        facts.check_connections(&server),
        facts.check_locks(&server, retention),
    ]
}

/// The words of psql say which of the settings it is.
fn unreachable(error: &anyhow::Error) -> Finding {
    let hint = "correct POSTGRES_HOST, POSTGRES_PORT, POSTGRES_SSLMODE, POSTGRES_USER, POSTGRES_PASSWORD, \
                POSTGRES_DB or DIRECTUS_NETWORK in deploy/analytics/.env, or start that server";
    Finding::error(CHECK, Problem::new(Problem::of(error).what).hint(hint))
}

impl Facts {
    fn parse(answer: &str) -> Facts {
        let mut facts = Facts::default();
        for (name, value) in answer.lines().filter_map(|line| line.split_once('|')) {
            let number = value.parse().unwrap_or_default();
            match name {
                "version" => facts.version = number,
                "tls" => value.clone_into(&mut facts.tls),
                "max_connections" => facts.max_connections = number,
                "taken" => facts.taken = number,
                "max_locks" => facts.max_locks = number,
                "processes" => facts.processes = number,
                _ => {}
            }
        }
        facts
    }

    fn check_version(&self, server: &Server, oldest: u32, image_major: Option<u32>) -> Finding {
        let (host, version) = (&server.host, self.version);
        if version < oldest {
            let what =
                format!("{host} is PostgreSQL {version}, and GlitchTip needs {oldest} or newer");
            let hint = "set POSTGRES_HOST in deploy/analytics/.env to a newer server";
            return Finding::error(CHECK, Problem::new(what).hint(hint));
        }
        if image_major.is_some_and(|image| image < version) {
            let what = format!(
                "{host} is PostgreSQL {version}, which the older programs of POSTGRES_IMAGE cannot back up"
            );
            let hint =
                format!("set POSTGRES_IMAGE=postgres:{version}-alpine in deploy/analytics/.env");
            return Finding::warning(CHECK, Problem::new(what).hint(hint));
        }
        Finding::good(CHECK, format!("{host} answers: PostgreSQL {version}"))
    }

    fn check_tls(&self, server: &Server) -> Finding {
        let host = &server.host;
        if !self.tls.is_empty() {
            return Finding::good(
                CHECK,
                format!("connections to {host} are encrypted: {}", self.tls),
            );
        }
        if server.is_beside() {
            let what = format!("connections to {host} are not encrypted, and stay on this machine");
            return Finding::good(CHECK, what);
        }
        let what = format!("connections to {host} are not encrypted");
        let hint =
            "set POSTGRES_SSLMODE=require in deploy/analytics/.env, then `cargo xtask restart`";
        Finding::warning(CHECK, Problem::new(what).hint(hint))
    }

    fn check_connections(&self, server: &Server) -> Finding {
        let free = self.max_connections.saturating_sub(self.taken);
        let what = format!(
            "{free} of {} connections to {} are free for this stack, which takes up to {CONNECTIONS}",
            self.max_connections, server.host
        );
        if free >= CONNECTIONS {
            return Finding::good(CHECK, what);
        }
        let needed = self.max_connections + CONNECTIONS - free;
        let hint = format!("ask for max_connections = {needed} on that server");
        Finding::warning(CHECK, Problem::new(what).hint(hint))
    }

    /// With its default of 64, and 100 connections, a server of PostgreSQL 15 had room for 12,000 locks:
    /// half more than it promises (tried 2026-11-25).
    fn check_locks(&self, server: &Server, retention: u32) -> Finding {
        let room = |max_locks: u32| u64::from(max_locks) * u64::from(self.processes) * 3 / 2;
        let needed = u64::from(retention) * u64::from(LOCKS_A_DAY);
        let what = format!(
            "a backup of {retention} days of events locks about {needed} tables and indexes at once, \
             and {} has room for {}",
            server.host,
            room(self.max_locks)
        );
        if room(self.max_locks) >= needed {
            return Finding::good(CHECK, what);
        }
        let enough = (1..).map(|it| it * 64).find(|it| room(*it) >= needed);
        let hint = format!(
            "ask for max_locks_per_transaction = {} on that server, which takes a restart; or lower \
             GLITCHTIP_RETENTION_DAYS",
            enough.unwrap_or(u32::MAX)
        );
        Finding::warning(CHECK, Problem::new(what).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level::{self, Error, Good, Warning};
    use super::*;
    use crate::stack::desired::Config;

    const ANSWER: &str =
        "version|15\ntls|TLSv1.3\nmax_connections|100\ntaken|8\nmax_locks|64\nprocesses|121\n";

    fn server(network: &str) -> Server {
        let yaml = format!(
            "name: x\nservices: {{postgres-init: {{environment: {{PGHOST: db}}, networks: {{n: null}}}}}}\n\
             networks: {{n: {{name: n, external: {network}}}}}"
        );
        Config::parse(&yaml).unwrap().shared_server().unwrap()
    }

    #[track_caller]
    fn check(finding: &Finding, level: Level, words: &str) {
        let text = format!("{:?}", finding.problem);
        assert!(
            finding.level == level && text.contains(words),
            "{finding:?}"
        );
    }

    #[test]
    fn a_server_that_has_what_it_takes_is_good() {
        let (facts, server) = (Facts::parse(ANSWER), server("false"));
        check(
            &facts.check_version(&server, 14, Some(15)),
            Good,
            "PostgreSQL 15",
        );
        check(&facts.check_tls(&server), Good, "TLSv1.3");
        check(&facts.check_connections(&server), Good, "92 of 100");
        check(&facts.check_locks(&server, 90), Good, "room for 11616");
    }

    #[test]
    fn what_a_server_lacks_is_said_with_the_setting_to_ask_for() {
        let server = server("false");
        let small = ANSWER
            .replace("100", "20")
            .replace("121", "41")
            .replace("TLSv1.3", "");
        let facts = Facts::parse(&small);
        check(
            &facts.check_connections(&server),
            Warning,
            "max_connections = 38",
        );
        check(
            &facts.check_locks(&server, 90),
            Warning,
            "max_locks_per_transaction = 192",
        );
        check(
            &facts.check_tls(&server),
            Warning,
            "POSTGRES_SSLMODE=require",
        );
        check(
            &facts.check_version(&server, 16, None),
            Error,
            "needs 16 or newer",
        );
        check(
            &facts.check_version(&server, 14, Some(14)),
            Warning,
            "POSTGRES_IMAGE=postgres:15-alpine",
        );
    }

    #[test]
    fn what_stays_in_a_network_of_this_machine_need_not_be_encrypted() {
        let facts = Facts::parse(&ANSWER.replace("TLSv1.3", ""));
        check(
            &facts.check_tls(&server("true")),
            Good,
            "stay on this machine",
        );
    }
}
