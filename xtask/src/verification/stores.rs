//! PostgreSQL and Redis, asked inside their containers.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};

use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::docker::invocation::{Running, stderr_of};

/// Writes to Redis, and counts what waits: each queue is a list, in 5.2 (`celery`) as in 6.x (`vt:q:…`).
const REDIS_SCRIPT: &str = "redis.call('set', 'xtask:verify', '1', 'ex', 10) \
    local waiting = 0 \
    for _, key in ipairs(redis.call('keys', '*')) do \
        if redis.call('type', key).ok == 'list' then waiting = waiting + redis.call('llen', key) end \
    end \
    return waiting";

/// Proves that a database takes writes, and leaves nothing.
const WRITE: &str = "begin; create table xtask_verify (); rollback";

/// The containers as they were at the start.
pub struct Services<'a> {
    pub docker: &'a Docker,
    pub containers: BTreeMap<String, Container>,
}

impl Services<'_> {
    pub fn runs(&self, service: &str) -> bool {
        self.containers
            .get(service)
            .is_some_and(|container| container.state.status == "running")
    }

    /// The health of what runs, else what it does instead.
    pub fn state(&self, service: &str) -> &str {
        let Some(container) = self.containers.get(service) else {
            return "absent";
        };
        let health = container
            .state
            .health
            .as_ref()
            .filter(|_| self.runs(service));
        health.map_or(&container.state.status, |health| &health.status)
    }

    /// Starts a command in the container of a service that runs.
    fn exec(&self, service: &str, command: &[&str]) -> anyhow::Result<Running<'_>> {
        let Some(container) = self.containers.get(service).filter(|_| self.runs(service)) else {
            bail!(
                "{service} is {}; `cargo xtask up` starts it",
                self.state(service)
            );
        };
        let exec = ["exec", &container.id, "timeout", "5"];
        self.docker.docker().args(exec).args(command).start()
    }

    /// Proves that each database takes writes of the role that owns it.
    pub fn write_to(&self, databases: &[(&str, String)]) -> anyhow::Result<()> {
        let write = |(role, database): &(&str, String)| {
            let psql = [
                "psql",
                "--no-psqlrc",
                "--quiet",
                "--username",
                role,
                "--dbname",
                database,
                "--command",
                WRITE,
            ];
            self.exec("postgres", &psql)
        };
        let writes = databases
            .iter()
            .map(write)
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (running, (_, database)) in writes.into_iter().zip(databases) {
            running
                .finish()
                .map_err(|error| anyhow!("{database}: {}", stderr_of(&error).trim()))?;
        }
        Ok(())
    }

    /// How many tasks wait in Redis, which also has to take a write.
    pub fn count_waiting(&self) -> anyhow::Result<u64> {
        let answer = self
            .exec("redis", &["redis-cli", "eval", REDIS_SCRIPT, "0"])?
            .finish()?;
        // redis-cli ends well with an error of Redis, too.
        answer
            .trim()
            .parse()
            .map_err(|_| anyhow!("Redis answers {}", answer.trim()))
    }
}
