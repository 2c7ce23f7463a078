//! Accounts, `connect` and `verify` on a real engine, from the stand-in images.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::checkout::{Checkout, GlitchTip, Run};
use crate::http::agent;
use crate::stranger::Stranger;

const VERIFICATION_SITE: &str = "ca5cade0-7e57-4e57-8e57-ca5cade07e57";

/// What must never get to anybody else, and must never be printed.
pub const SECRETS: [&str; 3] = [
    "UMAMI_ADMIN_PASSWORD",
    "GLITCHTIP_ADMIN_PASSWORD",
    "GLITCHTIP_API_TOKEN",
];

#[test]
#[ignore = "starts containers"]
fn from_no_account_to_an_event_that_arrives() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    // One hostname that leads nowhere, one that leads here.
    set(&checkout, "UMAMI_HOSTNAME", "nowhere.test");
    let domain = format!("http://127.0.0.1:{}", checkout.glitchtip_port);
    set(&checkout, "GLITCHTIP_DOMAIN", &domain);

    let (up, answers) = while_probing(&checkout, || checkout.xtask(&["up"]));
    let up = up
        .success()
        .says("both passwords are in deploy/analytics/.env")
        .says("cargo xtask verify");
    assert_eq!(
        answers,
        [401],
        "each answer to admin/umami, from the first one on"
    );
    names_no_secret(&checkout, &[&up.stdout, &up.stderr]);

    connect_prints_what_leads_here(&checkout);
    verify_passes_and_leaves_nothing(&checkout);
    // The site's own statistics have seen nothing.
    let events = checkout.sql("umami_db", "select count(*) from website_event");
    assert_eq!(events, "0");
    dead_letters_are_noted_and_wait_for_nobody(&checkout);
    accounts_are_opened_once(&checkout);
    a_password_of_the_users_own_stays(&checkout);
}

#[track_caller]
fn connect_prints_what_leads_here(checkout: &Checkout) {
    let env = checkout
        .xtask(&["connect", "--format", "env"])
        .success()
        .says("nowhere.test does not resolve");
    let site = checkout.variable("UMAMI_WEBSITE_ID");
    let lines: Vec<&str> = env.stdout.lines().collect();
    let script = format!(
        "UMAMI_SCRIPT_URL=http://localhost:{}/script.js",
        checkout.umami_port
    );
    assert_eq!(lines[..2], [script, format!("UMAMI_WEBSITE_ID={site}")]);
    let dsn = lines[2].strip_prefix("SENTRY_DSN=http://").unwrap();
    let host = format!("@127.0.0.1:{}/", checkout.glitchtip_port);
    assert!(dsn.contains(&host), "{dsn}");

    let text = checkout.xtask(&["connect"]).success().stdout;
    let snippet = format!("data-website-id=\"{site}\"");
    assert!(text.contains(&snippet) && text.contains(dsn), "{text}");
    let json = checkout.xtask(&["connect", "--format", "json"]).success();
    let parsed: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(parsed["glitchtip"]["project"], "website");
    names_no_secret(checkout, &[&env.stdout, &text, &json.stdout]);
}

#[track_caller]
fn verify_passes_and_leaves_nothing(checkout: &Checkout) {
    let before = left_behind(checkout);
    for _ in 0..2 {
        let report = checkout.xtask(&["verify", "--json"]).success().stdout;
        let parsed: Value = serde_json::from_str(&report).unwrap();
        assert_eq!(parsed["version"], 1);
        let steps = parsed["steps"].as_array().unwrap();
        let passed = |step: &Value| step["result"] == "passed" && step["problem"].is_null();
        assert!(steps.len() > 20 && steps.iter().all(passed), "{report}");
        names_no_secret(checkout, &[&report]);
    }
    // What is deleted is hidden at once, and gone when the worker has done it.
    wait_until(|| left_behind(checkout) == before);
}

/// Everything that a test event or a login could leave: rows of both applications, and sessions.
fn left_behind(checkout: &Checkout) -> [String; 3] {
    let umami = "select (select count(*) from website_event), (select count(*) from session),
        (select count(*) from event_data), (select count(*) from website)";
    let glitchtip = "select (select count(*) from issue_events_issue),
        (select count(*) from issue_events_issueevent)";
    let exec = ["exec", "--no-TTY", "redis", "redis-cli", "--scan"];
    let sessions = checkout.compose(&[&exec[..], &["--pattern", "*session*"]].concat());
    [
        checkout.sql("umami_db", umami),
        checkout.sql("glitchtip_db", glitchtip),
        sessions.success().stdout,
    ]
}

#[track_caller]
fn dead_letters_are_noted_and_wait_for_nobody(checkout: &Checkout) {
    for key in ["{vt}:q:failed", "{vt}:processing:gone-1"] {
        redis(checkout, &["lpush", key, "one"]);
    }
    let verify = checkout.xtask(&["verify"]).success();
    let note = "tasks that failed for good and stay in Redis as dead letters: 1";
    assert!(verify.stdout.contains(note), "{}", verify.stdout);
    redis(
        checkout,
        &["del", "{vt}:q:failed", "{vt}:processing:gone-1"],
    );
}

#[track_caller]
fn accounts_are_opened_once(checkout: &Checkout) {
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
    assert_eq!(counts(checkout), ["2|1", "1|2|2|1|1|1"]);
    for _ in 0..4 {
        open_accounts(checkout);
    }
    let after_five_starts = counts(checkout);
    assert_eq!(after_five_starts, ["2|1", "1|2|2|1|1|1"]);
}

/// A password that was changed in the application stays, and verify says what it needs.
#[track_caller]
fn a_password_of_the_users_own_stays(checkout: &Checkout) {
    let (password, old) = ("changed by the user", checkout.variable(SECRETS[0]));
    let login = log_in(checkout, &old).1;
    let bearer = format!("Bearer {}", login["token"].as_str().unwrap());
    let change = json!({"currentPassword": old, "newPassword": password});
    assert_eq!(post(checkout, "/api/me/password", &bearer, &change).0, 200);
    let hash = "update users_user set password = 'pbkdf2_sha256$1$salt$bm8gcGFzc3dvcmQ='";
    checkout.sql("glitchtip_db", hash);
    open_accounts(checkout);
    assert_eq!(
        log_in(checkout, password).0,
        200,
        "the user's password was replaced"
    );
    let is_kept = "select password like '%bm8gcGFzc3dvcmQ=' from users_user";
    assert_eq!(checkout.sql("glitchtip_db", is_kept), "t");

    let verify = checkout.xtask(&["verify"]).code(1);
    let refused = "Umami refuses admin with UMAMI_ADMIN_PASSWORD";
    assert_fails(&verify, "umami", refused);
    let refused = "GlitchTip refuses ADMIN_EMAIL with GLITCHTIP_ADMIN_PASSWORD";
    assert_fails(&verify, "glitchtip", refused);
    assert!(
        verify.stdout.contains("2 of 23 steps failed"),
        "{}",
        verify.stdout
    );
    let page_views = checkout.sql("umami_db", "select count(*) from website_event");
    assert_eq!(page_views, "0", "without a login the page view stays");

    checkout.replace(".env", &old, &format!("'{password}'"));
    let verify = checkout.xtask(&["verify"]).code(1);
    assert!(
        verify.stdout.contains("1 of 23 steps failed"),
        "{}",
        verify.stdout
    );
}

#[test]
#[ignore = "starts containers"]
fn verify_leaves_nothing_behind_in_glitchtip_5_either() {
    let checkout = Checkout::with_glitchtip(GlitchTip::V5);
    checkout.xtask(&["up"]).success();
    verify_passes_and_leaves_nothing(&checkout);
    let verify = checkout.xtask(&["verify"]).success();
    assert!(!verify.stdout.contains("scheduler"), "{}", verify.stdout);
}

#[test]
#[ignore = "starts containers"]
fn a_lost_event_is_traced_to_the_hop_that_lost_it() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();

    a_missing_website_is_named(&checkout);
    a_worker_that_does_not_work_is_named(&checkout);
    a_store_that_does_not_work_is_named(&checkout);

    let stop = ["stop", "--timeout", "1", "umami", "glitchtip-web"];
    checkout.compose(&stop).success();
    let lost = checkout.xtask(&["verify"]).code(1);
    assert_fails(&lost, "umami", "umami is not running (exited)");
    assert_fails(&lost, "glitchtip", "glitchtip-web is not running (exited)");
    checkout
        .xtask(&["connect"])
        .code(1)
        .says("start it with `cargo xtask up`");
}

#[track_caller]
fn a_missing_website_is_named(checkout: &Checkout) {
    let delete = |site: &str| {
        let delete = format!("delete from website where website_id = '{site}'");
        checkout.sql("umami_db", &delete);
        checkout.xtask(&["verify"]).code(1)
    };
    let lost = delete(&checkout.variable("UMAMI_WEBSITE_ID"));
    assert_fails(&lost, "umami", "the website with UMAMI_WEBSITE_ID is gone");
    let lost = delete(VERIFICATION_SITE);
    let gone = "the website that holds test events is gone";
    assert_fails(&lost, "umami", gone);
    open_accounts(checkout);
    checkout.xtask(&["verify"]).success();
}

#[track_caller]
fn a_worker_that_does_not_work_is_named(checkout: &Checkout) {
    let verify = checkout.xtask(&["verify"]).success();
    assert!(
        verify.stdout.contains("has a scheduler that works"),
        "{}",
        verify.stdout
    );
    // One that has found the lock of another tries again after 5 s only, which is no death.
    let lock = "{vt}:scheduler:vtasks_scheduler_lock";
    redis(checkout, &["set", lock, "a worker before it", "px", "1200"]);
    checkout.xtask(&["verify"]).success();

    checkout.compose(&["pause", "glitchtip-worker"]).success();
    // Its lock lives for 15 s.
    wait_until(|| redis(checkout, &["exists", lock]) == "0");
    let lost = checkout.xtask(&["verify"]).code(1);
    assert_fails(&lost, "glitchtip", "but its scheduler is dead");
    checkout.compose(&["unpause", "glitchtip-worker"]).success();

    let stop = ["stop", "--timeout", "1", "glitchtip-worker"];
    checkout.compose(&stop).success();
    let lost = checkout.xtask(&["verify"]).code(1);
    let stuck = "stuck at the worker: glitchtip-worker is exited";
    assert_fails(&lost, "glitchtip", stuck);
    assert_fails(&lost, "redis", "tasks that wait: ");

    // A configuration without a worker of its own has another service for it.
    let with_worker = checkout.read("docker-compose.override.yml");
    let (before, after) = with_worker.split_once("  glitchtip-worker:\n").unwrap();
    let rest = after.split_once("\nnetworks:").unwrap().1;
    let without = format!("{before}  glitchtip-worker: !reset null\nnetworks:{rest}");
    checkout.write("docker-compose.override.yml", &without);
    let lost = checkout.xtask(&["verify"]).code(1);
    assert_fails(&lost, "glitchtip", "stuck at the worker: glitchtip-web");
    assert!(!lost.stdout.contains("glitchtip-worker"), "{}", lost.stdout);
    checkout.write("docker-compose.override.yml", &with_worker);

    checkout.compose(&["start", "glitchtip-worker"]).success();
    // The errors that waited are stored now, before the next one, and removed with it.
    checkout.xtask(&["verify"]).success();
}

#[track_caller]
fn a_store_that_does_not_work_is_named(checkout: &Checkout) {
    let stop = ["stop", "--timeout", "1", "redis"];
    checkout.compose(&stop).success();
    let lost = checkout.xtask(&["verify"]).code(1);
    assert_fails(&lost, "redis", "redis is exited");
    assert_fails(&lost, "glitchtip", "lost between GlitchTip and Redis");
    checkout.compose(&["start", "redis"]).success();

    let read_only = "alter system set default_transaction_read_only = on";
    checkout.sql("postgres", read_only);
    checkout.sql("postgres", "select pg_reload_conf()");
    let lost = checkout.xtask(&["verify"]).code(1);
    assert_fails(&lost, "postgres", "read-only transaction");
    assert_fails(&lost, "umami", "lost between Umami and PostgreSQL");
    assert_fails(&lost, "glitchtip", "lost between the worker and PostgreSQL");
}

#[test]
#[ignore = "starts containers"]
fn a_stack_that_does_not_run_sends_nothing_to_whoever_listens() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let ports = [checkout.umami_port, checkout.glitchtip_port];
    let addresses = ports.map(|port| [format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
    let listen = |address: &String| Stranger::listen(address);
    let strangers: Vec<Stranger> = addresses.iter().flatten().map(listen).collect();

    let verify = checkout.xtask(&["verify"]).code(1);
    assert_fails(&verify, "umami", "umami is not running (not created)");
    assert_fails(&verify, "glitchtip", "glitchtip-web is not running");
    checkout.xtask(&["verify", "--public"]).code(1);
    checkout
        .xtask(&["connect"])
        .code(1)
        .says("umami is not running (not created)\n  hint: start it with `cargo xtask up`");
    for stranger in strangers {
        assert_eq!(stranger.received(), [] as [String; 0]);
    }
}

#[test]
#[ignore = "starts containers"]
fn only_the_published_address_is_asked() {
    let checkout = Checkout::with_stack();
    // Umami on the one address of localhost, GlitchTip on the other; strangers on the rest.
    let (umami, glitchtip) = (checkout.umami_port, checkout.glitchtip_port);
    checkout.replace(
        "docker-compose.override.yml",
        &format!("127.0.0.1:{umami}:3000"),
        &format!("[::1]:{umami}:3000"),
    );
    let at_umami = Stranger::listen(&format!("127.0.0.1:{umami}"));
    let at_glitchtip = Stranger::listen(&format!("[::1]:{glitchtip}"));

    let url = format!("http://[::1]:{umami}");
    let up = checkout.xtask(&["up"]).success();
    assert!(up.stdout.contains(&url), "{}", up.stdout);
    checkout.xtask(&["verify"]).success();
    let connect = checkout.xtask(&["connect", "--format", "json"]).success();
    let connect: Value = serde_json::from_str(&connect.stdout).unwrap();
    assert_eq!(connect["umami"]["url"], url);
    let status = checkout.xtask(&["status"]).success().stdout;
    assert!(status.contains(&url), "{status}");

    let shown = connect["glitchtip"]["url"].as_str().unwrap();
    let health = agent(5).get(format!("{shown}/_health/")).call().unwrap();
    assert_eq!(health.status(), 200);
    for stranger in [at_umami, at_glitchtip] {
        assert_eq!(stranger.received(), [] as [String; 0]);
    }
}

/// As with an engine on another machine, whose addresses mean something else here.
#[test]
#[cfg(unix)]
#[ignore = "starts containers"]
fn what_answers_in_our_place_gets_no_secret() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let secrets = SECRETS.map(|key| checkout.variable(key));
    let strangers = [(); 2].map(|()| Stranger::listen("127.0.0.1:0"));
    let [umami, glitchtip] = &strangers;
    let path = checkout.docker_that_moves_ports(&[
        (checkout.umami_port, umami.address.port()),
        (checkout.glitchtip_port, glitchtip.address.port()),
    ]);
    let xtask = |arguments: &[&str]| {
        let mut command = checkout.xtask_command(arguments);
        Run::of(command.env("PATH", &path))
    };

    let verify = xtask(&["verify"]).code(1);
    assert_fails(&verify, "umami", "is not the umami of this stack");
    let not_ours = "is not the glitchtip-web of this stack";
    assert_fails(&verify, "glitchtip", not_ours);
    xtask(&["connect"])
        .code(1)
        .says("is not the umami of this stack; no password was sent to it");
    for stranger in &strangers {
        assert!(!stranger.received().is_empty());
        stranger.knows_none_of(&secrets);
    }
}

/// Sets a variable in `.env`.
pub fn set(checkout: &Checkout, key: &str, value: &str) {
    let text = checkout.read(".env");
    let others = text
        .lines()
        .filter(|line| !line.starts_with(&format!("{key}=")));
    let text: String = others.map(|line| format!("{line}\n")).collect();
    checkout.write(".env", &format!("{text}{key}={value}\n"));
}

#[track_caller]
fn redis(checkout: &Checkout, command: &[&str]) -> String {
    let exec = ["exec", "--no-TTY", "redis", "redis-cli"];
    let answer = checkout.compose(&[&exec[..], command].concat());
    answer.success().stdout.trim().to_owned()
}

#[track_caller]
pub fn wait_until(mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not become so");
        thread::sleep(Duration::from_millis(200));
    }
}

#[track_caller]
fn names_no_secret(checkout: &Checkout, outputs: &[&String]) {
    for secret in SECRETS.map(|key| checkout.variable(key)) {
        for output in outputs {
            assert!(!output.contains(&secret), "a secret was printed");
        }
    }
}

/// Asserts that some step of `component` has failed with `why` below it.
#[track_caller]
pub fn assert_fails(verify: &Run, component: &str, why: &str) {
    let lines: Vec<&str> = verify.stdout.lines().collect();
    let is_it = |pair: &[&str]| {
        let mut words = pair[0].split_whitespace();
        let is_its_failure = (words.next(), words.next()) == (Some("FAILED"), Some(component));
        is_its_failure && pair[1].contains(why)
    };
    assert!(
        lines.windows(2).any(is_it),
        "no step of {component} fails with {why:?}:\n{}",
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
