//! The rules for single values: what is wrong with which, and what to write in its place.
//!
//! Must never quote a value: most of them are secrets.

use super::Severity::{self, Refused, Stops, Warning};
use crate::env::grammar::{
    Address, has_reserved_domain, is_address, is_count, is_email_address, is_email_url,
    is_hostname, is_image_name, is_project_name, is_url_safe, is_uuid, parse_bool, parse_memory,
    parse_port,
};

/// A rule for the value of each of some variables.
pub struct Rule {
    pub keys: &'static [&'static str],
    pub severity: Severity,
    pub is_broken: fn(&str) -> bool,
    /// What is wrong, behind the variable's name.
    pub what: &'static str,
    pub hint: &'static str,
}

const MEMORY: &[&str] = &[
    "POSTGRES_MEMORY",
    "REDIS_MEMORY",
    "UMAMI_MEMORY",
    "GLITCHTIP_MEMORY",
    "GLITCHTIP_WORKER_MEMORY",
];

/// The applications' databases.
pub const DATABASES: &[&str] = &["UMAMI_DATABASE", "GLITCHTIP_DATABASE"];

/// Tried on Compose 2.26, Engine 26 and GlitchTip 5.2 (2026-11-25) unless a row says otherwise. Values that
/// are empty or a placeholder are not held to them.
pub const RULES: &[Rule] = &[
    Rule {
        keys: &["COMPOSE_PROJECT_NAME"],
        severity: Refused,
        is_broken: |value| !is_project_name(value),
        what: "is not a project name that Compose accepts",
        hint: "use lower-case letters, digits, - and _, and begin with a letter or a digit",
    },
    Rule {
        keys: &["UMAMI_PORT", "GLITCHTIP_PORT"],
        severity: Refused,
        is_broken: |value| parse_port(value).is_none(),
        what: "is not a port from 1 to 65535",
        hint: "write a number alone, such as 3001",
    },
    Rule {
        keys: &["BIND_ADDRESS"],
        severity: Refused,
        is_broken: |value| !is_address(value),
        what: "is not an IP address that Compose accepts",
        hint: "write 127.0.0.1, or an IPv6 address in brackets: [::1]",
    },
    Rule {
        keys: MEMORY,
        severity: Refused,
        is_broken: |value| parse_memory(value).is_none(),
        what: "is not a memory size that Compose accepts",
        hint: "write it as 512M or 1G",
    },
    Rule {
        keys: MEMORY,
        severity: Stops,
        is_broken: |value| {
            parse_memory(value).is_some_and(|bytes| bytes > 0.0 && bytes < 6_291_456.0)
        },
        what: "is less than 6M, the smallest limit that Docker accepts",
        hint: "write it with its unit, as 512M or 1G",
    },
    Rule {
        keys: &[
            "POSTGRES_IMAGE",
            "REDIS_IMAGE",
            "UMAMI_IMAGE",
            "GLITCHTIP_IMAGE",
        ],
        severity: Stops,
        is_broken: |value| !is_image_name(value),
        what: "is not the name of an image",
        hint: "write it as postgres:15-alpine or registry.example.com/postgres:15-alpine",
    },
    // init-db.sql makes these two for the applications; PostgreSQL keeps pg_ for its own roles.
    Rule {
        keys: &["POSTGRES_USER"],
        severity: Stops,
        is_broken: |value| {
            matches!(value, "umami" | "glitchtip" | "public" | "none") || value.starts_with("pg_")
        },
        what: "is a name that PostgreSQL or an application has for its own role",
        hint: "use another name, such as analytics_admin",
    },
    Rule {
        keys: &["POSTGRES_HOST"],
        severity: Stops,
        is_broken: |value| !is_hostname(value),
        what: "is not the name or IPv4 address of a server",
        hint: "write the name alone, such as directus-db, and the port as POSTGRES_PORT",
    },
    Rule {
        keys: &["POSTGRES_PORT"],
        severity: Stops,
        is_broken: |value| parse_port(value).is_none(),
        what: "is not a port from 1 to 65535",
        hint: "write a number alone, such as 5432",
    },
    // Umami, GlitchTip and libpq know no others in common that say what they do.
    Rule {
        keys: &["POSTGRES_SSLMODE"],
        severity: Stops,
        is_broken: |value| !matches!(value, "disable" | "require"),
        what: "is neither require nor disable",
        hint: "write require, which encrypts, or disable, for a server on the same machine",
    },
    // NAMEDATALEN - 1; PostgreSQL cuts off the rest.
    Rule {
        keys: &[
            "POSTGRES_USER",
            "POSTGRES_DB",
            "UMAMI_DATABASE",
            "GLITCHTIP_DATABASE",
        ],
        severity: Stops,
        is_broken: |value| value.len() > 63,
        what: "is longer than PostgreSQL's 63 bytes",
        hint: "use a shorter name",
    },
    // `restore` calls its own databases as the stack's, with up to 15 bytes behind it.
    Rule {
        keys: DATABASES,
        severity: Stops,
        is_broken: |value| value.len() > 48 && value.len() <= 63,
        what: "is longer than 48 bytes, which leaves `restore` no room for the names of its own databases",
        hint: "use a shorter name; if the stack has data, run `cargo xtask backup` before, and restore \
               that file afterwards",
    },
    Rule {
        keys: DATABASES,
        severity: Stops,
        is_broken: |value| value.ends_with("_restore"),
        what: "ends in _restore, as the databases that `restore` makes and deletes",
        hint: "use another name, such as umami_db or glitchtip_db",
    },
    Rule {
        keys: DATABASES,
        severity: Stops,
        is_broken: |value| matches!(value, "postgres" | "template0" | "template1"),
        what: "is a database of PostgreSQL itself, and cannot be an application's",
        hint: "use another name, such as umami_db or glitchtip_db",
    },
    Rule {
        keys: &[
            "UMAMI_DATABASE",
            "UMAMI_DATABASE_PASSWORD",
            "GLITCHTIP_DATABASE",
            "GLITCHTIP_DATABASE_PASSWORD",
        ],
        severity: Stops,
        is_broken: |value| !is_url_safe(value),
        what: "has characters that break the database's URL",
        hint: "use letters, digits and - . _ ~ alone",
    },
    // Umami 3.1 looks at version and variant too.
    Rule {
        keys: &["UMAMI_WEBSITE_ID"],
        severity: Stops,
        is_broken: |value| !is_uuid(value),
        what: "is not a UUID of RFC 9562, and Umami accepts no event for it",
        hint: "empty the value, then run `cargo xtask setup`, which makes one",
    },
    // umami-accounts.sql has this one; whatever it holds is deleted by `verify`.
    Rule {
        keys: &["UMAMI_WEBSITE_ID"],
        severity: Stops,
        is_broken: |value| value.eq_ignore_ascii_case("ca5cade0-7e57-4e57-8e57-ca5cade07e57"),
        what: "is the id of the website for test events, which `cargo xtask verify` empties",
        hint: "empty the value, then run `cargo xtask setup`, which makes one",
    },
    // The accounts script takes it for no password at all.
    Rule {
        keys: &["UMAMI_ADMIN_PASSWORD"],
        severity: Warning,
        is_broken: |value| value == "umami",
        what: "is the password that Umami ships, so nobody can log in with it",
        hint: "empty the value, run `cargo xtask setup`, which makes one, then `cargo xtask up`",
    },
    Rule {
        keys: &["UMAMI_HOSTNAME", "SITE_DOMAIN"],
        severity: Warning,
        is_broken: |value| !is_hostname(value),
        what: "is not a host name",
        hint: "write the name alone, without scheme, port and path: analytics.local",
    },
    Rule {
        keys: &["UMAMI_URL"],
        severity: Stops,
        is_broken: |value| !Address::of(value.trim()).is_some_and(|it| it.has_host()),
        what: "is not the address of a website",
        hint: "write it as https://analytics.example.com",
    },
    // django-environ takes such a value for the name of another variable.
    Rule {
        keys: &["GLITCHTIP_SECRET_KEY"],
        severity: Stops,
        is_broken: |value| value.starts_with('$'),
        what: "begins with $, which GlitchTip takes for the name of another variable",
        hint: "empty the value, then run `cargo xtask setup`, which makes a new one",
    },
    Rule {
        keys: &["GLITCHTIP_FROM_EMAIL"],
        severity: Stops,
        is_broken: |value| value.starts_with('$'),
        what: "begins with $, which GlitchTip takes for the name of another variable",
        hint: "write it as errors@example.com",
    },
    Rule {
        keys: &["GLITCHTIP_DOMAIN"],
        severity: Stops,
        is_broken: |value| Address::of(value).is_none(),
        what: "has no scheme, and GlitchTip does not start",
        hint: "write it as http://errors.local:3002 or https://errors.example.com",
    },
    Rule {
        keys: &["GLITCHTIP_DOMAIN"],
        severity: Stops,
        is_broken: |value| Address::of(value).is_some_and(|it| !it.has_host()),
        what: "has no valid host name, or a port that is not a number from 1 to 65535",
        hint: "write it as http://errors.local:3002 or https://errors.example.com",
    },
    Rule {
        keys: &["GLITCHTIP_DOMAIN"],
        severity: Warning,
        is_broken: |value| Address::of(value).is_some_and(|it| it.rest == "/"),
        what: "ends with a slash, so every DSN will have two",
        hint: "remove the slash at its end",
    },
    Rule {
        keys: &["GLITCHTIP_DOMAIN"],
        severity: Warning,
        is_broken: |value| {
            Address::of(value).is_some_and(|it| !it.rest.is_empty() && it.rest != "/")
        },
        what: "has something behind the host name and port, where GlitchTip expects nothing",
        hint: "write it as http://errors.local:3002 or https://errors.example.com",
    },
    Rule {
        keys: &["GLITCHTIP_EMAIL_URL"],
        severity: Stops,
        is_broken: |value| !is_email_url(value),
        what: "is not a mail server's URL, and GlitchTip does not start",
        hint: "write it as smtp+tls://user:password@smtp.example.com:587, or as consolemail:// for none",
    },
    Rule {
        keys: &["GLITCHTIP_FROM_EMAIL"],
        severity: Warning,
        is_broken: |value| !value.contains('@'),
        what: "is not an e-mail address",
        hint: "write it as errors@example.com",
    },
    Rule {
        keys: &["ADMIN_EMAIL"],
        severity: Stops,
        is_broken: |value| !is_email_address(value),
        what: "is not an e-mail address",
        hint: "write it as name@example.com",
    },
    Rule {
        keys: &["ADMIN_EMAIL"],
        severity: Stops,
        is_broken: has_reserved_domain,
        what: "is at a reserved domain, for which GlitchTip's pages answer 500",
        hint: "use an address at a real domain; no mail needs to arrive there",
    },
    Rule {
        keys: &["GLITCHTIP_RETENTION_DAYS"],
        severity: Stops,
        is_broken: |value| !is_count(value, 36_500),
        what: "is not a number of days from 1 to 36500, and GlitchTip does not start or keeps nothing",
        hint: "write a number alone, such as 90",
    },
    Rule {
        keys: &["GLITCHTIP_WORKER_CONCURRENCY"],
        severity: Stops,
        is_broken: |value| !is_count(value, 1000),
        what: "is not a number of tasks from 1 to 1000",
        hint: "write a number alone, such as 4",
    },
    // Python's names for levels, of which GlitchTip 6 takes no other.
    Rule {
        keys: &["GLITCHTIP_WORKER_LOG_LEVEL"],
        severity: Stops,
        is_broken: |value| !matches!(value, "DEBUG" | "INFO" | "WARNING" | "ERROR" | "CRITICAL"),
        what: "is not a level of Python's logging, and GlitchTip's worker does not start",
        hint: "write WARNING, or one of DEBUG, INFO, ERROR and CRITICAL",
    },
    // The columns of GlitchTip 5.2.
    Rule {
        keys: &["GLITCHTIP_PROJECT"],
        severity: Stops,
        is_broken: |value| value.chars().count() > 64,
        what: "is longer than the 64 characters that GlitchTip accepts",
        hint: "use a shorter name",
    },
    Rule {
        keys: &["GLITCHTIP_ORGANIZATION"],
        severity: Stops,
        is_broken: |value| value.chars().count() > 200,
        what: "is longer than the 200 characters that GlitchTip accepts",
        hint: "use a shorter name",
    },
    // glitchtip-accounts.py finds a project by its name or slug.
    Rule {
        keys: &["GLITCHTIP_PROJECT"],
        severity: Stops,
        is_broken: |value| value.trim().to_lowercase().replace([' ', '_'], "-") == "xtask-verify",
        what: "is the project for test errors, which `cargo xtask verify` deletes",
        hint: "use another name, such as website",
    },
    Rule {
        keys: &["GLITCHTIP_WORKER_POOL"],
        severity: Warning,
        is_broken: |value| !matches!(value, "threads" | "prefork"),
        what: "is neither threads nor prefork",
        hint: "write threads",
    },
    Rule {
        keys: &["GLITCHTIP_USER_REGISTRATION"],
        severity: Warning,
        is_broken: |value| parse_bool(value).is_none(),
        what: "is neither True nor False; GlitchTip takes it for False",
        hint: "write True or False",
    },
    // glitchtip-accounts.py makes no token of another length.
    Rule {
        keys: &["GLITCHTIP_API_TOKEN"],
        severity: Warning,
        is_broken: |value| {
            !(32..=64).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_alphanumeric())
        },
        what: "is not 32 to 64 letters and digits, so `cargo xtask verify` cannot read events",
        hint: "empty the value, then run `cargo xtask setup`, which makes one",
    },
    // The scripts that open the accounts take every such value for one that nobody replaced.
    Rule {
        keys: &[
            "UMAMI_ADMIN_PASSWORD",
            "UMAMI_WEBSITE_ID",
            "GLITCHTIP_ADMIN_PASSWORD",
            "GLITCHTIP_API_TOKEN",
        ],
        severity: Warning,
        is_broken: |value| value.starts_with("change_this"),
        what: "begins with change_this, so the stack takes it for a placeholder",
        hint: "choose a value with another beginning",
    },
];
