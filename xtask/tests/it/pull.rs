//! Pulls from a registry of our own, on terminals and without.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::checkout::{Checkout, Run};
use crate::registry::{IMAGES, Line, PASSWORD, Registry};
use crate::terminal::Terminal;

const WIDE: (u16, u16) = (80, 24);
const NARROW: (u16, u16) = (40, 10);

const CTRL_C: u8 = 3;

/// What only bars are made of.
const BARS: [char; 2] = ['━', '─'];

fn has_bar(line: &str) -> bool {
    line.contains(BARS)
}

/// The stack of a checkout whose images are in a registry; gone in this order.
struct Pulled {
    checkout: Checkout,
    line: Line,
    registry: Registry,
}

impl Pulled {
    /// Each image with two layers that the engine does not have.
    fn new(layer: usize) -> Pulled {
        let registry = Registry::start();
        for image in IMAGES {
            registry.push(image, image, &[layer, layer]);
        }
        let line = Line::to(&registry);
        let checkout = Checkout::with_stack();
        line.use_in(&checkout);
        checkout.xtask(&["setup"]).success();
        Pulled {
            checkout,
            line,
            registry,
        }
    }

    /// The id of the image that a service runs from.
    fn image_of(&self, service: &str) -> String {
        let id = self.checkout.container(service);
        let mut docker = self.checkout.command("docker");
        let inspect = docker.args(["inspect", "--format", "{{.Image}}", &id]);
        Run::of(inspect).success().stdout
    }
}

/// Asserts that each service and image has its line once, and that nothing that moves was left behind.
#[track_caller]
fn assert_nothing_scrolled(lines: &[String], once: &[&str]) {
    let text = lines.join("\n");
    assert!(!lines.iter().any(|line| has_bar(line)), "{text}");
    for word in once {
        let found = lines
            .iter()
            .filter(|line| line.trim_start().starts_with(word));
        assert_eq!(found.count(), 1, "{word} in\n{text}");
    }
}

#[test]
#[ignore = "starts containers"]
fn the_first_up_is_drawn_in_place_whatever_the_window_does() {
    let pulled = Pulled::new(3_000_000);
    pulled.line.limit(1_000_000);
    let terminal = Terminal::run(&pulled.checkout, &["up"], WIDE);

    // A line an image, one in all with rate and time left, whole in any window.
    let lines = terminal.wait_for("bars", |lines| {
        let bars = lines.iter().filter(|line| has_bar(line)).count();
        bars > 2
            && lines
                .iter()
                .any(|line| line.contains("MiB/s") && line.ends_with("left"))
    });
    for image in IMAGES {
        let name = pulled.line.name(image);
        assert!(lines.iter().any(|line| line.contains(&name)), "{lines:#?}");
    }
    let bytes = |line: &String| line.contains(" of ") && line.ends_with("MiB");
    assert!(lines.iter().any(bytes), "{lines:#?}");

    terminal.resize(NARROW);
    let lines = terminal.wait_for("narrow bars", |lines| {
        let is_cut = |line: &String| line.trim_start().starts_with('…') && has_bar(line);
        lines.iter().any(is_cut) && lines.iter().any(|line| line.contains("MiB/s"))
    });
    assert!(lines.iter().any(bytes), "{lines:#?}");

    terminal.resize(WIDE);
    terminal.wait_for("services", |lines| {
        lines
            .iter()
            .any(|line| line.trim_start().starts_with("postgres-init"))
    });
    let (code, lines) = terminal.finish();
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_each_has_one_line(&pulled, lines);
}

/// Asserts that all that was pulled and started has one line on what was left of the screen.
#[track_caller]
fn assert_each_has_one_line(pulled: &Pulled, lines: Vec<String>) {
    let names = IMAGES.map(|image| pulled.line.name(image));
    let services = [
        "glitchtip-web ",
        "glitchtip-worker ",
        "postgres ",
        "redis ",
        "umami ",
        "umami-migrate ",
        "pulled ",
        "started: ",
    ];
    let images: Vec<&str> = names.iter().map(String::as_str).collect();
    // `umami` and `glitchtip-web` also begin the lines of the addresses.
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|it| !it.contains("http://"))
        .collect();
    assert_nothing_scrolled(&lines, &[&images[..], &services].concat());
}

#[test]
#[ignore = "starts containers"]
fn elsewhere_an_image_has_a_line_when_it_begins_and_one_when_it_is_there() {
    let pulled = Pulled::new(1_500_000);
    pulled.line.limit(300_000);
    let up = pulled.checkout.xtask(&["up"]).success();
    let count = |start: &str| up.stderr.lines().filter(|it| it.starts_with(start)).count();
    for image in IMAGES {
        let name = pulled.line.name(image);
        assert_eq!(count(&format!("pulling {name}")), 1, "{}", up.stderr);
        assert_eq!(
            count(&format!("pulled {name}: 3 MiB in ")),
            1,
            "{}",
            up.stderr
        );
    }
    // Twelve seconds: one line in between says how far all is.
    assert!((1..=3).contains(&count("pulling: ")), "{}", up.stderr);
    assert!(up.stderr.contains(" MiB, "), "{}", up.stderr);
    assert!(!up.stderr.contains(['\x1b', '\r']), "{}", up.stderr);
    assert!(!up.stderr.contains("waiting"), "{}", up.stderr);

    // A line a service, when it was reached.
    let reached = |line: &&str| line.starts_with("  ") && line.ends_with(" s");
    assert_eq!(
        up.stderr.lines().filter(reached).count(),
        9,
        "{}",
        up.stderr
    );

    only_what_is_newer_is_pulled_again(&pulled);
    restoring_pulls_what_is_missing(&pulled);
}

fn only_what_is_newer_is_pulled_again(pulled: &Pulled) {
    let served = pulled.line.served();
    let again = pulled.checkout.xtask(&["up", "--pull"]).success();
    assert!(
        again.stderr.matches("already up to date: 127").count() == 4,
        "{}",
        again.stderr
    );
    assert!(pulled.line.served() - served < 100_000);
    let before = pulled.image_of("umami");
    pulled.registry.push("umami:3", "umami:3", &[100_000]);
    pulled
        .checkout
        .xtask(&["up", "--pull"])
        .success()
        .says(&format!("pulled {}", pulled.line.name("umami:3")));
    assert_ne!(pulled.image_of("umami"), before);
}

/// And says why where it cannot.
fn restoring_pulls_what_is_missing(pulled: &Pulled) {
    let backup = pulled.checkout.xtask(&["backup"]).success();
    let name = backup.stdout.trim().to_owned();
    pulled.checkout.xtask(&["down"]).success();
    let redis = pulled.line.name("redis:7");
    Run::of(pulled.checkout.command("docker").args(["rmi", &redis])).success();
    let restore = ["restore", &name, "--yes", "--no-backup"];
    pulled.line.cut();
    let refused = pulled.checkout.xtask(&restore).code(1);
    refused.says("does not reach the registry").says("hint: ");
    pulled.line.mend();
    let restored = pulled.checkout.xtask(&restore).success();
    restored.says(&format!("pulled {redis}"));
}

#[test]
#[ignore = "starts containers"]
fn an_upgrade_takes_what_works_and_keeps_what_runs_when_the_registry_goes_away() {
    let pulled = Pulled::new(100_000);
    let checkout = &pulled.checkout;
    checkout.xtask(&["up"]).success();

    a_newer_image_is_taken_and_a_broken_one_is_not(&pulled);
    let taken = pulled.image_of("umami");
    pulled
        .registry
        .push("umami:3-next", "umami:3", &[9_000_000]);
    ctrl_c_ends_a_pull_cleanly(&pulled);
    a_pull_goes_on_where_it_was_when_the_line_comes_back(&pulled);
    assert_eq!(pulled.image_of("umami"), taken);

    // It goes away for good: cause and remedy, and everything runs on.
    pulled.line.cut();
    checkout
        .xtask(&["upgrade"])
        .code(1)
        .says("does not reach the registry")
        .says("docker load");
    checkout.xtask(&["status"]).success();
}

fn a_newer_image_is_taken_and_a_broken_one_is_not(pulled: &Pulled) {
    pulled
        .registry
        .push("umami:3-next", "umami:3", &[2_000_000]);
    pulled.line.limit(1_000_000);
    let terminal = Terminal::run(&pulled.checkout, &["upgrade"], NARROW);
    terminal.wait_for("a bar", |lines| lines.iter().any(|line| has_bar(line)));
    let (code, lines) = terminal.finish();
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_nothing_scrolled(&lines, &["pulled ", "upgraded: "]);

    let taken = pulled.image_of("umami");
    pulled
        .registry
        .push("umami:3-broken", "umami:3", &[100_000]);
    let upgrade = pulled.checkout.xtask(&["upgrade"]);
    upgrade.code(1).says("rolled back");
    assert_eq!(pulled.image_of("umami"), taken);
    pulled.checkout.xtask(&["status"]).success();
}

fn ctrl_c_ends_a_pull_cleanly(pulled: &Pulled) {
    let mut terminal = Terminal::run(&pulled.checkout, &["upgrade"], WIDE);
    terminal.wait_for("a bar", |lines| lines.iter().any(|line| has_bar(line)));
    terminal.press(CTRL_C);
    let (code, lines) = terminal.finish();
    assert_eq!(code, Some(1), "{lines:#?}");
    assert_nothing_scrolled(&lines, &["error: interrupted while pulling"]);
}

fn a_pull_goes_on_where_it_was_when_the_line_comes_back(pulled: &Pulled) {
    let served = pulled.line.served();
    let terminal = Terminal::run(&pulled.checkout, &["upgrade", "--dry-run"], WIDE);
    terminal.wait_for("some MiB", |lines| {
        lines.iter().any(|line| line.contains(" 4."))
    });
    pulled.line.cut();
    terminal.wait_for("a retry", |lines| {
        lines.iter().any(|line| line.contains("retrying"))
    });
    pulled.line.mend();
    pulled.line.limit(0);
    let (code, lines) = terminal.finish();
    assert_eq!(code, Some(0), "{lines:#?}");
    assert_nothing_scrolled(&lines, &["pulled "]);
    let served = pulled.line.served() - served;
    assert!(
        served < 11_000_000,
        "{served} bytes were served of an image of nine million"
    );
}

#[test]
#[ignore = "starts containers"]
fn a_registry_that_wants_a_login_gets_it_from_where_docker_keeps_it() {
    let registry = Registry::start();
    registry.push("redis:7", "redis:7", &[1_000]);
    let line = Line::to(&registry);
    line.want_login();
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let redis = line.name("redis:7");
    checkout.replace(
        "docker-compose.override.yml",
        "analytics-standin/redis:7",
        &redis,
    );
    // The others are nobody's to pull.
    checkout.replace(
        "docker-compose.override.yml",
        "    image: analytics-standin",
        "    pull_policy: never\n    image: analytics-standin",
    );

    let docker = checkout.root().join("docker");
    fs::create_dir_all(&docker).unwrap();
    let upgrade = |config: &str| {
        fs::write(docker.join("config.json"), config).unwrap();
        let path = std::env::var("PATH").unwrap();
        let mut command = checkout.xtask_command(&["--verbose", "upgrade", "--dry-run"]);
        command.env("DOCKER_CONFIG", &docker);
        command.env("PATH", format!("{}:{path}", docker.display()));
        let run = Run::of(&mut command);
        assert!(
            !run.stderr.contains(PASSWORD) && !run.stderr.contains("bWU6"),
            "a secret"
        );
        run
    };

    upgrade("{}").code(1).says("the registry has no image");
    let registry = format!("127.0.0.1:{}", line.port);
    let helpers = format!(r#"{{"credHelpers": {{"{registry}": "test"}}}}"#);
    let missing = upgrade(&helpers).code(1).says("docker-credential-test");
    let file = docker.join("config.json");
    missing.says(&format!("out of {}, or install", file.display()));

    install_helper(&docker, &registry);
    upgrade(&helpers).success().says(&format!("pulled {redis}"));
    let auth = r#"{"auth": "bWU6YSBzZWNyZXQgb2YgdGhlIHJlZ2lzdHJ5"}"#;
    let auths = format!(r#"{{"auths": {{"http://{registry}/v2/": {auth}}}}}"#);
    upgrade(&auths)
        .success()
        .says(&format!("already up to date: {redis}"));
}

/// A credential helper that knows the password for `registry`.
fn install_helper(folder: &Path, registry: &str) {
    let answer = format!(r#"{{"ServerURL":"{registry}","Username":"me","Secret":"{PASSWORD}"}}"#);
    let helper = folder.join("docker-credential-test");
    fs::write(
        &helper,
        format!("#!/bin/sh\n[ \"$1 $(cat)\" = 'get {registry}' ] && echo '{answer}'\n"),
    )
    .unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&helper, mode).unwrap();
}

#[test]
#[ignore = "starts containers"]
fn status_answers_at_once_and_counts_memory_as_docker_does() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    let status = || {
        let begin = std::time::Instant::now();
        let json = checkout.xtask(&["status", "--json"]).success().stdout;
        (
            begin.elapsed(),
            serde_json::from_str::<serde_json::Value>(&json).unwrap(),
        )
    };
    // Other tests keep the processors busy meanwhile.
    let (fastest, report) = (0..10)
        .map(|_| status())
        .min_by_key(|(took, _)| *took)
        .unwrap();
    assert!(
        fastest < Duration::from_millis(500),
        "status took {fastest:?}"
    );

    let services = report["services"].as_array().unwrap();
    let postgres = services
        .iter()
        .find(|it| it["service"] == "postgres")
        .unwrap();
    let used = postgres["memory_used"].as_f64().unwrap() / (1024.0 * 1024.0);
    let mut stats = checkout.command("docker");
    let id = checkout.container("postgres");
    let stats = stats.args(["stats", "--no-stream", "--format", "{{.MemUsage}}", &id]);
    let stats = Run::of(stats).success().stdout;
    let known: f64 = stats.split("MiB").next().unwrap().parse().unwrap();
    assert!(
        (used - known).abs() < 0.2 * known,
        "{used} MiB, docker says {stats}"
    );
}
