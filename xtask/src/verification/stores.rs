//! PostgreSQL and Redis, asked inside their containers, or beside a PostgreSQL that is somebody else's: what
//! only this stack can know. Must never leave
//! anything behind in them.

use std::collections::BTreeMap;

use anyhow::{Context, anyhow, bail};

use crate::docker::Docker;
use crate::docker::inspect::Container;
use crate::docker::invocation::{Running, stderr_of};
use crate::env::settings::Settings;
use crate::env::values::{Secret, Setting};
use crate::problem::Problem;
use crate::stack::database::Server;
use crate::stack::desired::Config;

/// Writes to Redis, and counts: every queue is a list, in 5.2 (`celery`) as in 6.x (`vt:q:…`). What has
/// failed for good and what a worker has in hand are lists too (6.2.6), and wait for nobody.
const COUNT_TASKS: &str = "redis.call('set', 'xtask:verify', '1', 'ex', 10) \
    local waiting, failed = 0, 0 \
    for _, key in ipairs(redis.call('keys', '*')) do \
        if redis.call('type', key).ok == 'list' then \
            local length = redis.call('llen', key) \
            if key:find(':q:failed$') then failed = failed + length \
            elseif not key:find(':processing:') then waiting = waiting + length end \
        end \
    end \
    return waiting .. ' ' .. failed";

/// Counts the keys with ARGV[1] in their names, and deletes them.
const TAKE_MARKS: &str = "local marks = redis.call('keys', '*' .. ARGV[1] .. '*') \
    for _, key in ipairs(marks) do redis.call('unlink', key) end \
    return #marks";

/// Prints the clients of Redis, and whether vtasks' scheduler holds its lock, which lives for 15 s and is
/// renewed each second (3.1.0). Until vtasks 2.0 the lock's name had no braces.
const LOOK_AT_SCHEDULER: &str = "redis-cli client list && echo && redis-cli exists \
    '{vt}:scheduler:vtasks_scheduler_lock' vt:scheduler:vtasks_scheduler_lock";

/// Proves that a database takes writes, and leaves nothing.
const WRITE: &str = "begin; create table xtask_verify (); rollback";

/// The containers as they were at the start.
pub struct Stores<'a> {
    docker: &'a Docker,
    containers: &'a BTreeMap<String, Container>,
    umami: Login,
    glitchtip: Login,
    /// Where PostgreSQL is no service of the stack.
    server: Option<Server>,
}

/// An application's way into its database.
struct Login {
    role: &'static str,
    database: String,
    password: Setting<Secret>,
}

/// The tasks in GlitchTip's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tasks {
    pub waiting: u64,
    /// Dead letters: tasks that were tried and given up; nobody takes them again.
    pub failed: u64,
}

impl<'a> Stores<'a> {
    pub fn new(
        settings: &Settings,
        docker: &'a Docker,
        config: &Config,
        containers: &'a BTreeMap<String, Container>,
    ) -> Stores<'a> {
        let (umami, glitchtip) = (&settings.umami, &settings.glitchtip);
        Stores {
            docker,
            containers,
            umami: Login {
                role: "umami",
                database: umami.database.clone(),
                password: umami.database_password.clone(),
            },
            glitchtip: Login {
                role: "glitchtip",
                database: glitchtip.database.clone(),
                password: glitchtip.database_password.clone(),
            },
            server: config.shared_server(),
        }
    }

    pub fn runs(&self, service: &str) -> bool {
        let container = self.containers.get(service);
        container.is_some_and(|container| container.state.status == "running")
    }

    /// The health of what runs, else what it does instead.
    pub fn state(&self, service: &str) -> &str {
        let Some(container) = self.containers.get(service) else {
            return "absent";
        };
        let health = container.state.health.as_ref();
        let health = health.filter(|_| self.runs(service));
        health.map_or(&container.state.status, |health| &health.status)
    }

    /// Proves that each database takes writes of the role that owns it.
    pub fn check_writes(&self) -> anyhow::Result<()> {
        let logins = [&self.umami, &self.glitchtip];
        let write = |login| self.psql(login, WRITE);
        let writes: anyhow::Result<Vec<_>> = logins.map(write).into_iter().collect();
        for (running, login) in writes?.into_iter().zip(logins) {
            let (written, database) = (running.finish(), &login.database);
            written.map_err(|error| anyhow!("{database}: {}", stderr_of(&error).trim()))?;
        }
        Ok(())
    }

    /// How many page views of this path Umami has stored.
    pub fn count_page_views(&self, url_path: &str) -> anyhow::Result<u64> {
        let count = format!("select count(*) from website_event where url_path = '{url_path}'");
        let answer = self.psql(&self.umami, &count)?.finish()?;
        parse_count(&answer).context("counting page views in PostgreSQL")
    }

    /// Removes the page views of this path, which nobody else sends.
    pub fn remove_page_views(&self, url_path: &str) -> anyhow::Result<()> {
        let remove = format!("delete from website_event where url_path = '{url_path}'");
        let removed = self.psql(&self.umami, &remove)?.finish();
        removed.map(drop).context("removing test events")
    }

    /// How many tasks there are in Redis, which also has to take a write.
    pub fn count_tasks(&self) -> anyhow::Result<Tasks> {
        let answer = self.redis(&["eval", COUNT_TASKS, "0"])?;
        // redis-cli also succeeds with an error of Redis.
        let counts = answer.trim().split_once(' ');
        let parsed = counts.and_then(|(waiting, failed)| {
            Some(Tasks {
                waiting: waiting.parse().ok()?,
                failed: failed.parse().ok()?,
            })
        });
        parsed.with_context(|| format!("Redis answers {}", answer.trim()))
    }

    /// Whether Redis had a key with this text in its name; it has none any more.
    pub fn take_mark(&self, text: &str) -> anyhow::Result<bool> {
        let answer = self.redis(&["eval", TAKE_MARKS, "0", text])?;
        let marks = parse_count(&answer);
        Ok(marks.with_context(|| format!("Redis answers {}", answer.trim()))? > 0)
    }

    /// What the queue's workers and the scheduler's lock say of the scheduler.
    pub fn scheduler(&self) -> anyhow::Result<Scheduler> {
        let exec = ["sh", "-c", LOOK_AT_SCHEDULER];
        Ok(Scheduler::parse(&self.exec("redis", &exec)?.finish()?))
    }

    fn redis(&self, command: &[&str]) -> anyhow::Result<String> {
        let command = [&["redis-cli"], command].concat();
        self.exec("redis", &command)?.finish()
    }

    fn psql(&self, login: &Login, statement: &str) -> anyhow::Result<Running<'_>> {
        let options = ["--no-psqlrc", "--quiet", "--tuples-only", "--no-align"];
        let command = [
            &["psql"],
            options.as_slice(),
            &["--username", login.role, "--dbname", &login.database],
            &["--command", statement],
        ]
        .concat();
        match &self.server {
            None => self.exec("postgres", &command),
            Some(server) => {
                let password = login.password.get()?.expose();
                server.client(self.docker, password, &command)?.start()
            }
        }
    }

    /// Starts a command in the container of a service that runs.
    fn exec(&self, service: &str, command: &[&str]) -> anyhow::Result<Running<'_>> {
        let container = self.containers.get(service);
        let Some(container) = container.filter(|_| self.runs(service)) else {
            let problem = Problem::new(format!("{service} is {}", self.state(service)));
            bail!(problem.hint("start it with `cargo xtask up`"));
        };
        let exec = ["exec", &container.id, "timeout", "5"];
        self.docker.docker().args(exec).args(command).start()
    }
}

/// The scheduler of GlitchTip's worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheduler {
    Alive,
    /// A worker waits for tasks, and its scheduler makes none.
    Dead,
    /// A part of the worker that leaves no trace in Redis (Celery's, to 5.2), or no worker waits.
    NotSeen,
}

impl Scheduler {
    /// Reads the clients of Redis, an empty line, and how many locks there are.
    fn parse(text: &str) -> Scheduler {
        let (clients, locks) = text.rsplit_once("\n\n").unwrap_or((text, ""));
        // Only vtasks waits with BLMOVE and BLMPOP; Celery does with BRPOP.
        let is_vtasks = clients.lines().any(|client| client.contains(" cmd=blm"));
        match (is_vtasks, parse_count(locks)) {
            (false, _) => Scheduler::NotSeen,
            (true, Some(1..)) => Scheduler::Alive,
            (true, _) => Scheduler::Dead,
        }
    }
}

fn parse_count(answer: &str) -> Option<u64> {
    answer.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scheduler_is_judged_only_where_a_worker_of_its_kind_waits() {
        #[track_caller]
        fn check(command: &str, locks: &str, expected: Scheduler) {
            let clients = format!(
                "id=3 addr=127.0.0.1:52555 name= cmd=client|list user=default\n\
                 id=4 addr=172.18.0.5:42 name= age=8 idle=1 cmd={command} user=default\n"
            );
            assert_eq!(Scheduler::parse(&format!("{clients}\n{locks}\n")), expected);
        }
        check("blmove", "1", Scheduler::Alive);
        check("blmpop", "2", Scheduler::Alive);
        check("blmove", "0", Scheduler::Dead);
        check("brpop", "0", Scheduler::NotSeen);
        check("brpop", "1", Scheduler::NotSeen);
        check("get", "0", Scheduler::NotSeen);
    }
}
