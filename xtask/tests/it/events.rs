//! Accounts, `connect` and `verify` on a real engine, from the stand-in images.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checkout::{Checkout, Run};
use crate::http::agent;

const VERIFICATION_SITE: &str = "ca5cade0-7e57-4e57-8e57-ca5cade07e57";

#[test]
#[ignore = "starts containers"]
fn from_no_account_to_an_event_that_arrives() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    // One hostname that leads nowhere, one that leads here.
    checkout.replace(
        ".env",
        "UMAMI_HOSTNAME=analytics.local",
        "UMAMI_HOSTNAME=analytics.invalid",
    );
    let domain = format!("http://127.0.0.1:{}", checkout.glitchtip_port);
    checkout.replace(
        ".env",
        "GLITCHTIP_DOMAIN=http://errors.local:3002",
        &format!("GLITCHTIP_DOMAIN={domain}"),
    );
    let secrets = [
        "UMAMI_ADMIN_PASSWORD",
        "GLITCHTIP_ADMIN_PASSWORD",
        "GLITCHTIP_API_TOKEN",
    ];
    let secrets = secrets.map(|key| checkout.variable(key));

    let (up, answers) = while_probing(&checkout, || checkout.xtask(&["up"]));
    let up = up
        .success()
        .says("the passwords are in deploy/analytics/.env")
        .says("cargo xtask verify");
    assert_eq!(
        answers,
        [401],
        "each answer to admin/umami, from the first one on"
    );

    let env = checkout
        .xtask(&["connect", "--format", "env"])
        .success()
        .says("analytics.invalid does not resolve");
    let site = checkout.variable("UMAMI_WEBSITE_ID");
    let lines: Vec<&str> = env.stdout.lines().collect();
    let script = format!(
        "UMAMI_SCRIPT_URL=http://localhost:{}/script.js",
        checkout.umami_port
    );
    assert_eq!(lines[..2], [script, format!("UMAMI_WEBSITE_ID={site}")]);
    let dsn = lines[2].strip_prefix("SENTRY_DSN=http://").unwrap();
    assert!(
        dsn.contains(&format!("@127.0.0.1:{}/", checkout.glitchtip_port)),
        "{dsn}"
    );
    let text = checkout.xtask(&["connect"]).success().stdout;
    assert!(
        text.contains(&format!("data-website-id=\"{site}\"")) && text.contains(dsn),
        "{text}"
    );
    let json = checkout
        .xtask(&["connect", "--format", "json"])
        .success()
        .stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["glitchtip"]["project"], "website");

    let report = checkout.xtask(&["verify", "--json"]).success().stdout;
    let parsed: Value = serde_json::from_str(&report).unwrap();
    assert!(parsed["seconds"].as_f64().unwrap() < 8.0, "{report}");
    let steps = parsed["steps"].as_array().unwrap();
    assert!(
        steps.len() > 10 && steps.iter().all(|step| step["result"] == "passed"),
        "{report}"
    );
    for secret in &secrets {
        for output in [&up.stderr, &up.stdout, &env.stdout, &text, &report] {
            assert!(!output.contains(secret.as_str()), "a secret was printed");
        }
    }
    // The site's own statistics have seen nothing, and the test page view is gone again.
    assert_eq!(
        checkout.sql("umami_db", "select count(*) from website_event"),
        "0"
    );

    let counts = |checkout: &Checkout| {
        let umami = "select (select count(*) from website), (select count(*) from \"user\")";
        let glitchtip = "select (select count(*) from organizations_ext_organization),
            (select count(*) from projects_project), (select count(*) from projects_projectkey),
            (select count(*) from teams_team), (select count(*) from users_user),
            (select count(*) from api_tokens_apitoken)";
        [
            checkout.sql("umami_db", umami),
            checkout.sql("glitchtip_db", glitchtip),
        ]
    };
    assert_eq!(counts(&checkout), ["2|1", "1|2|2|1|1|1"]);
    for _ in 0..4 {
        open_accounts(&checkout);
    }
    assert_eq!(
        counts(&checkout),
        ["2|1", "1|2|2|1|1|1"],
        "after five starts"
    );

    // A password that was changed in the application stays, and verify says what it needs.
    let password = "changed by the user";
    let login = log_in(&checkout, &secrets[0]).1;
    let bearer = format!("Bearer {}", login["token"].as_str().unwrap());
    let change = json!({"currentPassword": secrets[0], "newPassword": password});
    assert_eq!(post(&checkout, "/api/me/password", &bearer, &change).0, 200);
    let hash = "update users_user set password = 'pbkdf2_sha256$1$salt$bm8gcGFzc3dvcmQ='";
    checkout.sql("glitchtip_db", hash);
    open_accounts(&checkout);
    assert_eq!(
        log_in(&checkout, password).0,
        200,
        "the user's password was replaced"
    );
    assert_eq!(
        checkout.sql(
            "glitchtip_db",
            "select password like '%bm8gcGFzc3dvcmQ=' from users_user"
        ),
        "t"
    );
    let verify = checkout.xtask(&["verify"]).code(1);
    assert_fails(
        &verify,
        "umami",
        "set UMAMI_ADMIN_PASSWORD in deploy/analytics/.env to it",
    );
    assert_fails(
        &verify,
        "glitchtip",
        "GlitchTip refuses ADMIN_EMAIL with GLITCHTIP_ADMIN_PASSWORD",
    );
    assert!(
        verify.stdout.contains("2 of 16 steps failed"),
        "{}",
        verify.stdout
    );
    checkout.replace(".env", &secrets[0], &format!("'{password}'"));
    let verify = checkout.xtask(&["verify"]).code(1);
    assert!(
        verify.stdout.contains("1 of 16 steps failed\n"),
        "{}",
        verify.stdout
    );
}

#[test]
#[ignore = "starts containers"]
fn a_lost_event_is_traced_to_the_hop_that_lost_it() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let verify = || checkout.xtask(&["verify"]);

    let site = checkout.variable("UMAMI_WEBSITE_ID");
    checkout.sql(
        "umami_db",
        &format!("delete from website where website_id = '{site}'"),
    );
    assert_fails(
        &verify().code(1),
        "umami",
        "the website with UMAMI_WEBSITE_ID is gone",
    );
    checkout.sql(
        "umami_db",
        &format!("delete from website where website_id = '{VERIFICATION_SITE}'"),
    );
    assert_fails(
        &verify().code(1),
        "umami",
        "the website that holds test events is gone",
    );
    open_accounts(&checkout);
    verify().success();

    checkout
        .compose(&["stop", "--timeout", "1", "glitchtip-worker"])
        .success();
    let lost = verify().code(1);
    assert_fails(
        &lost,
        "glitchtip",
        "stuck at the worker: glitchtip-worker is exited",
    );
    assert_fails(&lost, "redis", "tasks that wait: 1");
    checkout.compose(&["start", "glitchtip-worker"]).success();
    // The error that waited is stored now, before the next one.
    verify().success();

    checkout
        .compose(&["stop", "--timeout", "1", "redis"])
        .success();
    let lost = verify().code(1);
    assert_fails(
        &lost,
        "redis",
        "redis is exited; `cargo xtask up` starts it",
    );
    assert_fails(&lost, "glitchtip", "lost between GlitchTip and Redis");
    checkout.compose(&["start", "redis"]).success();

    checkout.sql(
        "postgres",
        "alter system set default_transaction_read_only = on",
    );
    checkout.sql("postgres", "select pg_reload_conf()");
    let lost = verify().code(1);
    assert_fails(&lost, "postgres", "read-only transaction");
    assert_fails(&lost, "umami", "lost between Umami and PostgreSQL");
    assert_fails(&lost, "glitchtip", "lost between the worker and PostgreSQL");

    checkout
        .compose(&["stop", "--timeout", "1", "umami", "glitchtip-web"])
        .success();
    let lost = verify().code(1);
    for part in ["umami", "glitchtip"] {
        assert_fails(&lost, part, "nothing answers at http://localhost:");
    }
    checkout
        .xtask(&["connect"])
        .code(1)
        .says("start the stack with `cargo xtask up`");
}

/// Asserts that some step of `part` has failed with `why` below it.
#[track_caller]
fn assert_fails(verify: &Run, part: &str, why: &str) {
    let lines: Vec<&str> = verify.stdout.lines().collect();
    let is_it = |pair: &[&str]| {
        let mut words = pair[0].split_whitespace();
        (words.next(), words.next()) == (Some("FAILED"), Some(part)) && pair[1].contains(why)
    };
    assert!(
        lines.windows(2).any(is_it),
        "no step of {part} fails with {why:?}:\n{}",
        verify.stdout
    );
}

/// What each start does with the accounts.
#[track_caller]
fn open_accounts(checkout: &Checkout) {
    for service in ["umami-accounts", "glitchtip-migrate"] {
        checkout
            .compose(&["run", "--rm", "--no-deps", service])
            .success();
    }
}

/// The status of each different answer to the shipped login while `work` is done: asked ten times a
/// second, from before `work` until an answer after it.
fn while_probing(checkout: &Checkout, work: impl FnOnce() -> Run) -> (Run, Vec<u16>) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let prober = scope.spawn(|| {
            let mut answers = Vec::new();
            let mut next = Instant::now();
            loop {
                let is_last = done.load(Ordering::Relaxed);
                let answer = try_log_in(checkout, "umami").map(|(status, _)| status);
                answers.extend(answer.filter(|status| !answers.contains(status)));
                if is_last {
                    return answers;
                }
                next += Duration::from_millis(100);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let result = work();
        done.store(true, Ordering::Relaxed);
        (result, prober.join().unwrap())
    })
}

#[track_caller]
fn log_in(checkout: &Checkout, password: &str) -> (u16, Value) {
    try_log_in(checkout, password).unwrap()
}

fn try_log_in(checkout: &Checkout, password: &str) -> Option<(u16, Value)> {
    let body = json!({"username": "admin", "password": password});
    try_post(checkout, "/api/auth/login", "", &body)
}

#[track_caller]
fn post(checkout: &Checkout, path: &str, authorization: &str, body: &Value) -> (u16, Value) {
    try_post(checkout, path, authorization, body).unwrap()
}

/// `None` when nobody answers.
fn try_post(checkout: &Checkout, path: &str, auth: &str, body: &Value) -> Option<(u16, Value)> {
    let mut answer = agent(5)
        .post(format!("http://127.0.0.1:{}{path}", checkout.umami_port))
        .header("Content-Type", "application/json")
        .header("Authorization", auth)
        .send(body.to_string())
        .ok()?;
    let body = answer.body_mut().read_to_string().ok()?;
    let body = serde_json::from_str(&body).unwrap_or_default();
    Some((answer.status().as_u16(), body))
}
