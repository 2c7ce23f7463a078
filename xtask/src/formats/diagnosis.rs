//! Known failures: what they look like, their one cause and their one remedy, as a table.
//!
//! A rule only reads what an engine or a service said; where none matches, nothing is explained.
//! The words are those recorded in the tests below.

use std::borrow::Cow;
use std::fmt::Write;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    /// The engine: of a container that it could not start, or through Compose.
    Engine,
    /// The service itself: its log and its last health check.
    Service,
    /// PostgreSQL's log, of the time in which the service ran.
    Database,
}
use Speaker::{Database, Engine, Service};

/// A failure that can be told from its words. `{name}` in `seen` stands for a word of what was said,
/// elsewhere for that word or for a name in [`Facts::names`].
pub struct Rule {
    seen: &'static [(Speaker, &'static str)],
    cause: &'static str,
    remedy: &'static str,
}

/// What is known of one failure; texts are without secrets.
#[derive(Debug, Default)]
pub struct Facts {
    /// The service; empty where Compose failed as a whole.
    pub service: String,
    pub engine: String,
    pub log: String,
    pub database_log: String,
    /// What the rules may name: `limit`, `limit_variable`, `image`, `image_variable`, `port_variable`, …
    pub names: Vec<(&'static str, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    pub cause: String,
    pub remedy: String,
    /// The line that says so.
    pub evidence: String,
}

/// What the engine says of a container whose processes it killed for memory; `OOMKilled` is all it has.
pub const OUT_OF_MEMORY: &str = "OOMKilled: true";

/// The first that matches explains: what is more specific stands further up.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    Rule {
        seen: &[(Engine, OUT_OF_MEMORY)],
        cause: "{service} needs more memory than its limit of {limit}",
        remedy: "set {limit_variable} in deploy/analytics/.env to a higher value, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "Minimum memory limit allowed is {minimum}")],
        cause: "the memory limit of {service} is below the {minimum} that the engine takes",
        remedy: "set {limit_variable} in deploy/analytics/.env to a higher value, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Service, "could not resize shared memory segment"), (Database, "could not resize shared memory segment")],
        cause: "PostgreSQL has not enough shared memory (/dev/shm)",
        remedy: "set a larger `shm_size` for postgres in deploy/analytics/docker-compose.yml, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "no space left on device"), (Service, "No space left on device"), (Database, "No space left on device"), (Service, "Short write while writing to the AOF file")],
        cause: "the disk or volume that {service} writes to is full",
        remedy: "`docker image prune` and `docker builder prune` free what nothing uses; `docker system df` says what takes the rest. Never prune volumes: the data is in them",
    },
    Rule {
        seen: &[
            (Engine, ":{port} failed: port is already allocated"),
            (Engine, ":{port}: bind: address already in use"),
            (Engine, "Ports are not available: exposing port TCP {address}:{port} "),
        ],
        cause: "port {port} of this machine was taken in the meantime by {holder}",
        remedy: "stop that, or set {port_variable} in deploy/analytics/.env to a free port, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "bind: cannot assign requested address")],
        cause: "BIND_ADDRESS in deploy/analytics/.env is no address of this machine",
        remedy: "set BIND_ADDRESS to an address that `ip address` shows, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "no matching manifest for {architecture} in"), (Service, "exec format error"), (Engine, "exec format error")],
        cause: "the image {image} is made for another processor architecture than the engine's",
        remedy: "remove it with `docker image rm {image}`, set {image_variable} in deploy/analytics/.env to an image that has this architecture, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "toomanyrequests"), (Engine, "429 Too Many Requests")],
        cause: "the registry answers no more requests from this address for now (rate limit)",
        remedy: "`docker login` with a free account has a limit of its own; or wait an hour; then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "certificate has expired or is not yet valid: current time {time} is")],
        cause: "the registry's certificate is not valid at the engine's time, {time}",
        remedy: "compare with `date --utc`: if the clock is wrong set it (restart Docker Desktop or Colima), then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "x509: {reason}"), (Engine, "tls: failed to verify certificate")],
        cause: "the engine does not trust the certificate of the registry, or of a proxy that answers for it",
        remedy: "add the proxy's certificate to those that the engine's machine trusts, restart the engine, then `cargo xtask up`",
    },
    Rule {
        seen: &[
            (Engine, "lookup {registry} on"), (Engine, "lookup {registry}: no such host"), (Engine, "://{registry}/v2/\": dial tcp"),
            (Engine, "https://{registry}/v2/\": net/http"), (Engine, "https://{registry}/v2/\": context deadline exceeded"),
        ],
        cause: "the engine does not reach the registry {registry}: no network, no name service, or a proxy it does not know",
        remedy: "see what `docker pull {image}` says once the network is there; without one, bring the image with `docker save` and `docker load`",
    },
    Rule {
        seen: &[
            (Engine, "manifest unknown"), (Engine, "manifest for {name} not found"), (Engine, "pull access denied for {name}"),
            (Engine, "denied: denied"), (Engine, ": unauthorized"), (Engine, "failed to resolve reference \"{name}\": {same_name}: not found"),
        ],
        cause: "the registry has no image {image} for you",
        remedy: "correct {image_variable} in deploy/analytics/.env (without it, the default is used), then `cargo xtask up`; credentials that have expired do this too: `docker logout`",
    },
    Rule {
        seen: &[(Engine, "Pool overlaps with other one on this address space"), (Engine, "non-overlapping IPv4 address pool")],
        cause: "the engine has no free range of addresses for the stack's network",
        remedy: "`docker network prune` removes networks that nothing uses; then `cargo xtask up`",
    },
    Rule {
        seen: &[(Engine, "The container name \"/{name}\" is already in use"), (Engine, "network {name} was found but has incorrect label")],
        cause: "something that is not this project has the name {name}",
        remedy: "`cargo xtask doctor` says what it is and how to free the name",
    },
    Rule {
        seen: &[(Engine, "Cannot connect to the Docker daemon"), (Engine, "error during connect")],
        cause: "the engine stopped answering",
        remedy: "`cargo xtask doctor --fix` starts it; then `cargo xtask up`",
    },
    Rule {
        seen: &[
            (Service, "initialized by PostgreSQL version {from}, which is not compatible with this version {to} "),
            (Service, "there appears to be PostgreSQL data in:"),
        ],
        cause: "the data was made by PostgreSQL {from}, and {image} is another major version, which cannot read it; nothing is lost",
        remedy: "set {image_variable} in deploy/analytics/.env back to PostgreSQL {from}, then `cargo xtask up`; deploy/analytics/README.md says how to move to another major version",
    },
    Rule {
        seen: &[(Service, "\" exists but is not empty"), (Service, "could not access the server configuration file")],
        cause: "PostgreSQL's volume holds something that is no complete database: its very first start was cut off",
        remedy: "if there has never been any data in it, `cargo xtask clean` and `cargo xtask up` begin anew; else `cargo xtask restore` a backup",
    },
    Rule {
        seen: &[(Service, "password authentication failed for user \"{role}\""), (Service, "Authentication failed against database server, the provided database credentials for `{role}`"), (Database, "password authentication failed for user \"{role}\"")],
        cause: "PostgreSQL refuses the password of the role {role}: {service} was started with another one than .env has now",
        remedy: "`cargo xtask restart` sets PostgreSQL's passwords to what .env says, and starts everything with them",
    },
    Rule {
        seen: &[(Service, "role \"{role}\" does not exist"), (Database, "role \"{role}\" does not exist")],
        cause: "the role {role} is not in PostgreSQL's data: the volume was made with another POSTGRES_USER",
        remedy: "set POSTGRES_USER in deploy/analytics/.env back to what it was on the first start, then `cargo xtask up`",
    },
    Rule {
        seen: &[(Service, "database \"{database}\" does not exist"), (Service, "Database `{database}` does not exist"), (Database, "database \"{database}\" does not exist")],
        cause: "PostgreSQL has no database {database}",
        remedy: "`cargo xtask restart` creates the databases that .env names; one that was renamed keeps its rows under the old name",
    },
    Rule {
        seen: &[(Service, "permission denied for {object}"), (Service, "was denied access on the database"), (Database, "permission denied for {object}")],
        cause: "the database does not belong to the role of {service}",
        remedy: "`cargo xtask restart` gives each application its own database",
    },
    Rule {
        seen: &[
            (Service, "Migration name: {migration}"), (Service, "The `{migration}` migration failed"),
            (Service, "Applying {migration}...Traceback"),
        ],
        cause: "the migration {migration} of {image} failed; it was not applied, and the application was not started",
        remedy: "set {image_variable} in deploy/analytics/.env back to the version that ran before and `cargo xtask restore` the backup of that time; the application's maintainers want to know the message",
    },
    Rule {
        seen: &[
            (Service, "could not translate host name \"{name}\""), (Service, "getaddrinfo ENOTFOUND {name}"), (Service, "getaddrinfo EAI_AGAIN {name}"),
            (Service, "failed to resolve host '{name}'"), (Service, "Name or service not known"),
        ],
        cause: "{service} finds no address for the name {name}: it is not on the stack's network, or what it asks for does not run",
        remedy: "`cargo xtask restart` makes the containers and their network connections anew",
    },
    Rule {
        seen: &[(Service, "Can't reach database server at `{server}`"), (Service, "connection to server at \"{server}\" (")],
        cause: "{service} does not reach the database at {server}: postgres does not run, or a firewall drops what containers send each other",
        remedy: "`cargo xtask status` says whether postgres runs; if it does, `sudo systemctl restart docker` makes the engine's firewall rules anew",
    },
    Rule {
        seen: &[(Service, "Read-only file system"), (Database, "Read-only file system")],
        cause: "{service} may not write where it must: its volume or file system is mounted read-only",
        remedy: "take a `:ro` out of deploy/analytics/docker-compose.override.yml; without one, the disk went read-only after an error (`sudo dmesg`)",
    },
    Rule {
        seen: &[(Service, "{file}: Permission denied"), (Service, "[Errno 13] Permission denied")],
        cause: "{service} may not open a file of its volume or of this checkout: it belongs to somebody else",
        remedy: "`chmod a+r deploy/analytics/*.sql deploy/analytics/*.py` lets the containers read the checkout's files; a volume's owner is put right by the image, unless an override changes `user`",
    },
];

/// The first rule that knows the failure.
pub fn explain(facts: &Facts) -> Option<Explanation> {
    let log = |text: &str| own_lines(text, &facts.service);
    let said = [(Engine, facts.engine.clone()), (Service, facts.log.clone()), (Database, log(&facts.database_log))];
    RULES.iter().find_map(|rule| {
        let (words, evidence) = rule.seen.iter().find_map(|(speaker, pattern)| {
            let (_, text) = said.iter().find(|(who, _)| who == speaker)?;
            text.lines().rev().find_map(|line| Some((find(pattern, line)?, line)))
        })?;
        let mut names: Vec<(&str, &str)> =
            vec![("service", if facts.service.is_empty() { "the stack" } else { &facts.service })];
        names.extend(words);
        names.extend(facts.names.iter().map(|(name, value)| (*name, value.as_str())));
        let fill =
            |text| fill(text, |name| names.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()));
        Some(Explanation { cause: fill(rule.cause), remedy: fill(rule.remedy), evidence: evidence.trim().to_owned() })
    })
}

/// The lines of PostgreSQL's log that may be about a service: those that name no role, or its own.
fn own_lines(log: &str, service: &str) -> String {
    let is_foreign = |line: &&str| {
        let role = line.split_once("user \"").and_then(|(_, rest)| rest.split_once('"'));
        role.is_some_and(|(role, _)| matches!(role, "umami" | "glitchtip") && !service.starts_with(role))
    };
    log.lines().filter(|line| !is_foreign(line)).map(|line| format!("{line}\n")).collect()
}

/// Finds `pattern` in `line`; returns what its `{name}`s stand for there.
fn find<'a>(pattern: &'static str, line: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return line.contains(pattern).then(Vec::new);
    };
    let (name, rest) = rest.split_once('}')?;
    let (literal, _) = rest.split_once('{').unwrap_or((rest, ""));
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',');
    let starts =
        if before.is_empty() { vec![0] } else { line.match_indices(before).map(|(at, _)| at + before.len()).collect() };
    starts.into_iter().find_map(|start| {
        let value = &line[start..];
        let end =
            if literal.is_empty() { value.find(ends_word).unwrap_or(value.len()) } else { value.find(literal)? };
        // A word, or what a pattern's end cuts out of one.
        let word =
            if before.is_empty() { value[..end].rsplit(ends_word).next().unwrap_or_default() } else { &value[..end] };
        if word.is_empty() || word.contains(ends_word) {
            return None;
        }
        let mut words = vec![(name, word)];
        if rest.contains('{') {
            words.extend(find(rest, &value[end..])?);
        } else if !value[end..].starts_with(rest) {
            return None;
        }
        Some(words)
    })
}

/// Puts what `value` says in the place of each `{name}`; what it does not know is said in words.
fn fill<'a>(text: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) =
        rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        let unknown = || match name {
            "from" => "of another version".into(),
            "holder" => "something else".into(),
            "limit_variable" => "its `mem_limit`".into(),
            "image_variable" => "its `image`".into(),
            _ => format!("its {}", name.replace('_', " ")).into(),
        };
        let _ = write!(filled, "{before}{}", value(name).unwrap_or_else(unknown));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests;
