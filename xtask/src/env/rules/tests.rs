//! Which values break a rule, and which do not.

use super::super::dialect;
use super::*;

const TEMPLATE: &str = include_str!("../../../../deploy/analytics/.env.example");

fn check_text(text: &str) -> Vec<Violation> {
    let reading = dialect::read(text, &|_| None).unwrap();
    check(&reading, &Template::parse(TEMPLATE).unwrap(), None)
}

/// A line that breaks one rule, how bad that is, and what is said of it.
const BROKEN: &[(&str, Severity, &str)] = &[
    (
        "COMPOSE_PROJECT_NAME=My-Stack",
        Refused,
        "is not a project name",
    ),
    ("COMPOSE_PROJECT_NAME=-x", Refused, "is not a project name"),
    ("COMPOSE_PROJECT_NAME=_x", Refused, "is not a project name"),
    ("COMPOSE_PROJECT_NAME=a.b", Refused, "is not a project name"),
    ("UMAMI_PORT=70000", Refused, "is not a port"),
    ("UMAMI_PORT=65536", Refused, "is not a port"),
    ("UMAMI_PORT=0", Refused, "is not a port"),
    ("UMAMI_PORT=+3001", Refused, "is not a port"),
    ("UMAMI_PORT='3001 '", Refused, "is not a port"),
    ("UMAMI_PORT=3001-3003", Refused, "is not a port"),
    ("GLITCHTIP_PORT=http", Refused, "is not a port"),
    ("GLITCHTIP_PORT=127.0.0.1:3002", Refused, "is not a port"),
    ("UMAMI_PORT=3002", Stops, "is the port of both"),
    (
        "GLITCHTIP_PORT=3001\nGLITCHTIP_DOMAIN=http://a:3001",
        Stops,
        "is the port of both",
    ),
    ("BIND_ADDRESS=localhost", Refused, "is not an IP address"),
    ("BIND_ADDRESS=::1", Refused, "is not an IP address"),
    ("BIND_ADDRESS=256.1.1.1", Refused, "is not an IP address"),
    ("BIND_ADDRESS=127.0.0.1/8", Refused, "is not an IP address"),
    (
        "BIND_ADDRESS=[fe80::1%eth0]",
        Refused,
        "is not an IP address",
    ),
    ("POSTGRES_MEMORY=lots", Refused, "is not a memory size"),
    ("POSTGRES_MEMORY=.5G", Refused, "is not a memory size"),
    ("POSTGRES_MEMORY=1e3M", Refused, "is not a memory size"),
    ("REDIS_MEMORY=-1", Refused, "is not a memory size"),
    ("REDIS_MEMORY=512Q", Refused, "is not a memory size"),
    ("UMAMI_MEMORY=1,5G", Refused, "is not a memory size"),
    ("UMAMI_MEMORY='5 12M'", Refused, "is not a memory size"),
    ("UMAMI_MEMORY=1.M", Refused, "is not a memory size"),
    ("UMAMI_MEMORY=1Bi", Refused, "is not a memory size"),
    ("UMAMI_MEMORY=٣M", Refused, "is not a memory size"),
    ("GLITCHTIP_MEMORY=512", Stops, "is less than 6M"),
    ("GLITCHTIP_WORKER_MEMORY=4k", Stops, "is less than 6M"),
    (
        "POSTGRES_IMAGE='postgres 15'",
        Stops,
        "is not the name of an image",
    ),
    (
        "UMAMI_IMAGE=https://ghcr.io/umami:3",
        Stops,
        "is not the name of an image",
    ),
    ("REDIS_IMAGE=Redis:7", Stops, "is not the name of an image"),
    (
        "REDIS_IMAGE=redis:7:8",
        Stops,
        "is not the name of an image",
    ),
    ("REDIS_IMAGE=redis:", Stops, "is not the name of an image"),
    ("REDIS_IMAGE=/redis", Stops, "is not the name of an image"),
    ("REDIS_IMAGE=redis-:7", Stops, "is not the name of an image"),
    (
        "REDIS_IMAGE=a___b/redis",
        Stops,
        "is not the name of an image",
    ),
    (
        "REDIS_IMAGE=redis:7@sha256:00",
        Stops,
        "is not the name of an image",
    ),
    (
        "REDIS_IMAGE=registry.example.com:x/redis",
        Stops,
        "is not the name of an image",
    ),
    (
        "REDIS_IMAGE='redis:7,8'",
        Stops,
        "is not the name of an image",
    ),
    (
        "POSTGRES_HOST=postgres://db:5432",
        Stops,
        "is not the name or IPv4 address",
    ),
    ("POSTGRES_HOST=db:5432", Stops, "is not the name"),
    (
        "POSTGRES_HOST=db\nPOSTGRES_PORT=http",
        Stops,
        "is not a port",
    ),
    (
        "POSTGRES_HOST=db\nPOSTGRES_SSLMODE=verify-full",
        Stops,
        "neither require nor disable",
    ),
    ("POSTGRES_PORT=5433", Stops, "without POSTGRES_HOST"),
    ("POSTGRES_SSLMODE=require", Stops, "without POSTGRES_HOST"),
    ("POSTGRES_USER=umami", Stops, "has for its own role"),
    ("POSTGRES_USER=pg_admin", Stops, "has for its own role"),
    ("POSTGRES_USER=public", Stops, "has for its own role"),
    ("UMAMI_DATABASE=my?db", Stops, "break the database's URL"),
    (
        "UMAMI_DATABASE_PASSWORD=a/b",
        Stops,
        "break the database's URL",
    ),
    (
        "GLITCHTIP_DATABASE_PASSWORD='p%40ss'",
        Stops,
        "break the database's URL",
    ),
    (
        "GLITCHTIP_DATABASE_PASSWORD='#1'",
        Stops,
        "break the database's URL",
    ),
    (
        "UMAMI_DATABASE_PASSWORD=pässword",
        Stops,
        "break the database's URL",
    ),
    (
        "GLITCHTIP_DATABASE=umami_db",
        Stops,
        "is the database of both",
    ),
    (
        "POSTGRES_DB=a23456789_123456789_123456789_123456789_123456789_123456789_1234",
        Stops,
        "63 bytes",
    ),
    (
        "UMAMI_DATABASE=a23456789_123456789_123456789_123456789_123456789",
        Stops,
        "longer than 48 bytes",
    ),
    (
        "GLITCHTIP_DATABASE=umami_db_restore",
        Stops,
        "ends in _restore",
    ),
    (
        "UMAMI_DATABASE=glitchtip_db_before_restore",
        Stops,
        "ends in _restore",
    ),
    (
        "UMAMI_DATABASE=template1",
        Stops,
        "a database of PostgreSQL itself",
    ),
    (
        "POSTGRES_HOST=db\nPOSTGRES_DB=umami_db",
        Stops,
        "is an application's database too",
    ),
    ("UMAMI_WEBSITE_ID=my-site", Stops, "is not a UUID"),
    (
        "UMAMI_WEBSITE_ID=0d6f9a5e1c2b4d3e8f7a6b5c4d3e2f1a",
        Stops,
        "is not a UUID",
    ),
    (
        "UMAMI_WEBSITE_ID={0d6f9a5e-1c2b-4d3e-8f7a-6b5c4d3e2f1a}",
        Stops,
        "is not a UUID",
    ),
    (
        "UMAMI_WEBSITE_ID=0d6f9a5e-1c2b-4d3e-8f7a-6b5c4d3e2f1g",
        Stops,
        "is not a UUID",
    ),
    // Version 1 with a variant that there is not, and two without a version.
    (
        "UMAMI_WEBSITE_ID=11111111-1111-1111-1111-111111111111",
        Stops,
        "is not a UUID",
    ),
    (
        "UMAMI_WEBSITE_ID=00000000-0000-0000-0000-000000000000",
        Stops,
        "is not a UUID",
    ),
    (
        "UMAMI_WEBSITE_ID=0d6f9a5e-1c2b-0d3e-8f7a-6b5c4d3e2f1a",
        Stops,
        "is not a UUID",
    ),
    (
        "UMAMI_WEBSITE_ID=CA5CADE0-7e57-4e57-8e57-ca5cade07e57",
        Stops,
        "the website for test events",
    ),
    (
        "UMAMI_ADMIN_PASSWORD=umami",
        Warning,
        "the password that Umami ships",
    ),
    (
        "UMAMI_URL=analytics.example.com",
        Stops,
        "is not the address",
    ),
    (
        "UMAMI_URL=https://analytics.example.com:99999",
        Stops,
        "is not the address",
    ),
    (
        "UMAMI_URL=https://me:secret@analytics.example.com",
        Stops,
        "is not the address",
    ),
    (
        "UMAMI_URL='https://a b.example'",
        Stops,
        "is not the address",
    ),
    ("UMAMI_URL=https://", Stops, "is not the address"),
    (
        "UMAMI_HOSTNAME=http://analytics.local",
        Warning,
        "is not a host name",
    ),
    (
        "UMAMI_HOSTNAME=analytics.local:3001",
        Warning,
        "is not a host name",
    ),
    ("SITE_DOMAIN=sbozh.me/", Warning, "is not a host name"),
    ("GLITCHTIP_SECRET_KEY='$abc'", Stops, "begins with $"),
    ("GLITCHTIP_FROM_EMAIL='$abc@x.me'", Stops, "begins with $"),
    (
        "GLITCHTIP_FROM_EMAIL=errors",
        Warning,
        "is not an e-mail address",
    ),
    ("GLITCHTIP_DOMAIN=errors.local:3002", Stops, "has no scheme"),
    (
        "GLITCHTIP_DOMAIN=ftp://errors.local:3002",
        Stops,
        "has no scheme",
    ),
    (
        "GLITCHTIP_DOMAIN=http://errors.local:port",
        Stops,
        "has no valid host name, or a port",
    ),
    (
        "GLITCHTIP_DOMAIN=https://:3002",
        Stops,
        "has no valid host name, or a port",
    ),
    (
        "GLITCHTIP_DOMAIN='http://errors local:3002'",
        Stops,
        "has no valid host name, or a port",
    ),
    (
        "GLITCHTIP_DOMAIN=http://me:pw@errors.local:3002",
        Stops,
        "has no valid host name, or a port",
    ),
    (
        "GLITCHTIP_DOMAIN=http://errors.local:3002/",
        Warning,
        "ends with a slash",
    ),
    (
        "GLITCHTIP_DOMAIN=https://a.example/errors",
        Warning,
        "behind the host name",
    ),
    (
        "GLITCHTIP_DOMAIN=http://errors.local:3005",
        Warning,
        "leads to port 3005",
    ),
    (
        "GLITCHTIP_DOMAIN=http://errors.local",
        Warning,
        "leads to port 80",
    ),
    (
        "GLITCHTIP_PORT=13002",
        Warning,
        "GLITCHTIP_DOMAIN leads to port 3002 by default",
    ),
    (
        "GLITCHTIP_DOMAIN=\nGLITCHTIP_PORT=13002",
        Warning,
        "by default",
    ),
    (
        "GLITCHTIP_EMAIL_URL=smtp.example.com:25",
        Stops,
        "is not a mail server's URL",
    ),
    (
        "GLITCHTIP_EMAIL_URL=mailto://x",
        Stops,
        "is not a mail server's URL",
    ),
    (
        "GLITCHTIP_EMAIL_URL=smtp://u:p@",
        Stops,
        "is not a mail server's URL",
    ),
    (
        "GLITCHTIP_EMAIL_URL=smtp://mail:smtp",
        Stops,
        "is not a mail server's URL",
    ),
    (
        "GLITCHTIP_EMAIL_URL='smtp://u:a#b@mail:25'",
        Stops,
        "is not a mail server's URL",
    ),
    ("ADMIN_EMAIL=admin", Stops, "is not an e-mail address"),
    ("ADMIN_EMAIL=admin@site", Stops, "is not an e-mail address"),
    (
        "ADMIN_EMAIL='Me <me@site.me>'",
        Stops,
        "is not an e-mail address",
    ),
    (
        "ADMIN_EMAIL=a@b.me,c@d.me",
        Stops,
        "is not an e-mail address",
    ),
    ("ADMIN_EMAIL=admin@Site.Local", Stops, "reserved domain"),
    ("ADMIN_EMAIL=admin@x.home.arpa", Stops, "reserved domain"),
    ("ADMIN_EMAIL=admin@x.onion", Stops, "reserved domain"),
    (
        "GLITCHTIP_RETENTION_DAYS=ninety",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_RETENTION_DAYS=0",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_RETENTION_DAYS=-1",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_RETENTION_DAYS=90d",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_RETENTION_DAYS=1.5",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_RETENTION_DAYS=999999",
        Stops,
        "is not a number of days",
    ),
    (
        "GLITCHTIP_WORKER_CONCURRENCY=many",
        Stops,
        "is not a number of tasks",
    ),
    (
        "GLITCHTIP_WORKER_POOL=fork",
        Warning,
        "neither threads nor prefork",
    ),
    (
        "GLITCHTIP_USER_REGISTRATION=open",
        Warning,
        "neither True nor False",
    ),
    (
        "GLITCHTIP_WORKER_LOG_LEVEL=loud",
        Stops,
        "is not a level of Python's logging",
    ),
    (
        "GLITCHTIP_WORKER_LOG_LEVEL=info",
        Stops,
        "is not a level of Python's logging",
    ),
    (
        "GLITCHTIP_PROJECT=a23456789_123456789_123456789_123456789_123456789_123456789_12345",
        Stops,
        "longer than the 64 characters",
    ),
    (
        "GLITCHTIP_PROJECT='Xtask verify'",
        Stops,
        "the project for test errors",
    ),
    ("GLITCHTIP_API_TOKEN=short", Warning, "32 to 64"),
    (
        "UMAMI_ADMIN_PASSWORD=change_this_is_Mine",
        Warning,
        "takes it for a placeholder",
    ),
    ("POSTGRES_PASSWORD=a$b", Warning, "has a $"),
    ("POSTGRES_PASSWORD=$b", Refused, "is empty, because"),
    (
        "UMAMI_APP_SECRET=change_this_random_32_char_string",
        Warning,
        "placeholder",
    ),
    ("SITE_NAME=change_this", Warning, "placeholder"),
    (
        "COMPOSE_FILE=other.yml",
        Warning,
        "changes how Docker itself works",
    ),
    (
        "COMPOSE_PROFILES=x",
        Warning,
        "changes how Docker itself works",
    ),
    (
        "COMPOSE_DISABLE_ENV_FILE=1",
        Warning,
        "changes how Docker itself works",
    ),
    (
        "DOCKER_DEFAULT_PLATFORM=linux/arm64",
        Warning,
        "changes how Docker itself works",
    ),
    ("POSTGRES_PASSWORD='a'b\n", Warning, "without a value"),
];

#[test]
fn every_broken_value_is_named_with_its_line_and_a_hint() {
    for (text, severity, words) in BROKEN {
        let violations = check_text(&format!("# a comment\n{text}"));
        let [violation] = &violations[..] else {
            panic!("{text:?}: {violations:?}");
        };
        assert_eq!(violation.severity, *severity, "{text:?}");
        let what = &violation.problem.what;
        assert!(what.contains(words), "{text:?}: {what}");
        let last = text.lines().count() + 1;
        assert!(
            what.starts_with("line 2: ") || what.starts_with(&format!("line {last}: ")),
            "{text:?}: {what}"
        );
        assert!(violation.problem.hint.is_some(), "{text:?}");
    }
}

#[test]
fn no_rule_quotes_a_value() {
    for (text, ..) in BROKEN {
        let value = text.split_once('=').unwrap().1.trim_matches('\'');
        let is_telling = value.len() > 7 && !value.starts_with("http") && !value.contains('\n');
        for violation in check_text(text).iter().filter(|_| is_telling) {
            assert!(!violation.problem.what.contains(value), "{violation:?}");
        }
    }
}

#[test]
fn values_that_work_break_no_rule() {
    let good = [
        "COMPOSE_PROJECT_NAME=0my_stack-2",
        "UMAMI_PORT=03001",
        "UMAMI_PORT=1\nGLITCHTIP_PORT=65535\nGLITCHTIP_DOMAIN=http://a:65535",
        "UMAMI_PORT=",
        "BIND_ADDRESS=0.0.0.0",
        "BIND_ADDRESS=[::1]",
        "POSTGRES_MEMORY=512m",
        "POSTGRES_MEMORY='512 MiB'",
        "POSTGRES_MEMORY=0.5Gi",
        "POSTGRES_MEMORY=0",
        "POSTGRES_MEMORY=6291456",
        "REDIS_IMAGE=registry.example.com:5000/a/redis_1.x--y:7-Alpine_1",
        "REDIS_IMAGE=localhost/redis",
        "REDIS_IMAGE=[::1]:5000/redis:7",
        "REDIS_IMAGE=Mirror:5000/redis",
        "REDIS_IMAGE=redis:7@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "UMAMI_DATABASE_PASSWORD=aZ09-._~",
        "POSTGRES_PASSWORD='a$b/?#'",
        "POSTGRES_PASSWORD=#s3cret",
        "POSTGRES_PASSWORD=a$$b$1",
        "POSTGRES_PASSWORD=\"a\\$b\"",
        "UMAMI_WEBSITE_ID=0D6F9A5E-1c2b-4d3e-8f7a-6b5c4d3e2f1a",
        "GLITCHTIP_DOMAIN=https://errors.example.com",
        "GLITCHTIP_DOMAIN=http://[::1]:3002",
        "GLITCHTIP_DOMAIN=http://errors.local\nGLITCHTIP_PORT=80",
        "GLITCHTIP_EMAIL_URL=smtp+tls://u%40x:p:q@h:587/?timeout=5",
        "GLITCHTIP_EMAIL_URL=smtp://h",
        "GLITCHTIP_EMAIL_URL=dummymail://",
        "GLITCHTIP_FROM_EMAIL='Errors <errors@x.me>'",
        "ADMIN_EMAIL=a.b+c@b.me",
        "ADMIN_EMAIL=me@localhost.me",
        "ADMIN_EMAIL=x\nADMIN_EMAIL=a@b.me",
        "GLITCHTIP_RETENTION_DAYS=1",
        "POSTGRES_DB=umami_db",
        "UMAMI_URL=https://analytics.example.com/umami/",
        "UMAMI_URL=http://[::1]:8080",
        "UMAMI_WEBSITE_ID=0198F9A5-1c2b-7d3e-bf7a-6b5c4d3e2f1a",
        "UMAMI_DATABASE=a23456789_123456789_123456789_123456789_12345678",
        "GLITCHTIP_WORKER_LOG_LEVEL=INFO",
        "GLITCHTIP_USER_REGISTRATION=yes",
        "MINE=$HOME\nOTHER=change_this",
        "UMAMI_HOSTNAME=my-host",
        "",
    ];
    for text in good {
        assert_eq!(check_text(text), [], "{text:?}");
    }
}

#[test]
fn the_committed_template_breaks_no_rule_but_that_of_placeholders() {
    for violation in check_text(TEMPLATE) {
        let what = &violation.problem.what;
        assert!(what.ends_with("is still a placeholder"), "{what}");
    }
}

#[test]
fn the_port_that_an_override_publishes_counts() {
    let reading = dialect::read("GLITCHTIP_DOMAIN=http://a:3005\n", &|_| None).unwrap();
    let template = Template::parse(TEMPLATE).unwrap();
    assert_eq!(check(&reading, &template, Some(3005)), []);
}

#[test]
fn every_rule_is_for_a_variable_that_the_stack_knows() {
    let template = Template::parse(TEMPLATE).unwrap();
    for key in RULES.iter().flat_map(|rule| rule.keys) {
        let is_known = template.variable(key).is_some() || *key == "COMPOSE_PROJECT_NAME";
        assert!(is_known, "{key}");
    }
}
