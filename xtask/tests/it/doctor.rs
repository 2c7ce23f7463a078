//! `doctor`, with a docker that only pretends and on the engine.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::checkout::{Checkout, Run};

/// A program that is first on `PATH` and writes down how it was called.
fn fake(checkout: &Checkout, name: &str, script: &str) {
    let (folder, notes) = (checkout.root().join("fake"), checkout.root().join("notes"));
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "#!/bin/sh\necho \"{name} $*\" >> '{}'\n{script}\n",
        notes.display()
    );
    fs::write(folder.join(name), text).unwrap();
    fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
}

fn with_fakes(checkout: &Checkout, arguments: &[&str]) -> (Run, String) {
    let path = format!(
        "{}:{}",
        checkout.root().join("fake").display(),
        std::env::var("PATH").unwrap()
    );
    let run = Run::of(
        checkout
            .xtask_command(arguments)
            .env("PATH", path)
            .env("USER", "somebody"),
    );
    (
        run,
        fs::read_to_string(checkout.root().join("notes")).unwrap_or_default(),
    )
}

const NO_ENGINE: &str = "echo 'Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?' >&2; exit 1";

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn looks_without_changing_anything() {
    let checkout = Checkout::new();
    fake(&checkout, "docker", NO_ENGINE);
    let (run, _) = with_fakes(&checkout, &["doctor"]);
    assert!(
        run.stdout.contains("does not answer") && run.stdout.contains("cargo xtask setup"),
        "{}",
        run.stdout
    );
    assert_eq!(run.code, Some(1));
    assert!(!checkout.path(".env").exists());
}

#[test]
fn mends_what_it_can_and_shows_the_command() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fs::set_permissions(checkout.path(".env"), fs::Permissions::from_mode(0o644)).unwrap();
    let started = checkout.root().join("started");
    let answer = format!(
        "[ -e '{}' ] && case \"$1 $2\" in version*) echo '{{\"Server\":{{\"Version\":\"26.1.5\"}}}}'; exit;; \
         'compose version') echo 2.26.1; exit;; esac\n{NO_ENGINE}",
        started.display()
    );
    fake(&checkout, "docker", &answer);
    // Whether we are root or not, with systemd or not: no step of it may reach this machine.
    fake(
        &checkout,
        "sudo",
        "shift; [ \"$1\" = --non-interactive ] && shift; exec \"$@\"",
    );
    for name in ["systemctl", "service"] {
        fake(&checkout, name, &format!("touch '{}'", started.display()));
    }

    let (run, notes) = with_fakes(&checkout, &["doctor", "--fix"]);
    assert!(
        run.code == Some(1) && mode(&checkout.path(".env")) == 0o644 && !started.exists(),
        "{}\n{notes}",
        run.stderr
    );
    let run = run.says("there is no terminal");
    assert!(
        !notes.contains("systemctl") && !notes.contains("service"),
        "{}\n{notes}",
        run.stderr
    );

    let (run, notes) = with_fakes(&checkout, &["doctor", "--fix", "--yes"]);
    run.says("docker");
    assert_eq!(mode(&checkout.path(".env")), 0o600);
    assert!(
        notes.contains("systemctl enable --now docker") || notes.contains("service docker start"),
        "{notes}"
    );
    assert!(
        started.exists() && notes.trim_end().ends_with("info --format {{json .}}"),
        "did not look again:\n{notes}"
    );
}

#[test]
fn says_what_is_wrong_with_the_env_file() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fake(&checkout, "docker", NO_ENGINE);
    let text = checkout
        .read(".env")
        .replace("SITE_NAME=sbozh.me", "SITE_NAME=two words\nOTHER=1");
    checkout.write(
        ".env",
        &text
            .lines()
            .filter(|line| !line.starts_with("ADMIN_EMAIL"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    fs::set_permissions(checkout.path(".env"), fs::Permissions::from_mode(0o640)).unwrap();
    let path = format!(
        "{}:{}",
        checkout.root().join("fake").display(),
        std::env::var("PATH").unwrap()
    );
    let run = Run::of(
        checkout
            .xtask_command(&["doctor"])
            .env("PATH", path)
            .env("OTHER", "2"),
    );
    for words in [
        "other users can read deploy/analytics/.env",
        "lacks ADMIN_EMAIL",
        "Compose and dotenv read SITE_NAME differently",
        "your shell exports another OTHER",
    ] {
        assert!(
            run.stdout.contains(words),
            "does not say {words:?}:\n{}",
            run.stdout
        );
    }
    checkout.write(".env", "A=1\nB C=secret\n");
    let (run, _) = with_fakes(&checkout, &["doctor"]);
    assert!(
        run.stdout.contains("line 2") && !run.stdout.contains("secret"),
        "{}",
        run.stdout
    );
}

#[test]
#[ignore = "makes containers"]
fn a_file_that_is_missing_is_named_with_what_brings_it_back() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let shell = |script: &str| {
        let mut sh = checkout.command("sh");
        Run::of(sh.args(["-c", script]).current_dir(checkout.root()))
    };
    shell("git init --quiet . && git add deploy").success();
    fs::remove_file(checkout.path("umami-accounts.sql")).unwrap();
    fs::create_dir(checkout.path("umami-accounts.sql")).unwrap();
    let mend = "rmdir deploy/analytics/umami-accounts.sql && \
                git checkout -- deploy/analytics/umami-accounts.sql";
    checkout.xtask(&["up"]).code(1).says(mend);

    shell(mend).success();
    let mount = "  redis:\n    volumes: ['./redis.conf:/redis.conf:ro']\n";
    checkout.replace("docker-compose.override.yml", "  redis:\n", mount);
    let up = checkout.xtask(&["up"]).code(1);
    let up = up.says("deploy/analytics/redis.conf is missing");
    up.says("create deploy/analytics/redis.conf");
    assert_eq!(checkout.container("umami"), "");
}

#[test]
#[ignore = "starts containers"]
fn up_starts_nothing_when_something_is_in_the_way() {
    let checkout = Checkout::with_stack();
    let listener = TcpListener::bind(("127.0.0.1", checkout.umami_port)).unwrap();
    let run = checkout
        .xtask(&["up"])
        .code(1)
        .says(&format!("{}, for umami, is taken by", checkout.umami_port));
    assert!(
        run.stderr
            .contains(&format!("(pid {})", std::process::id())),
        "{}",
        run.stderr
    );
    drop(listener);
    for (key, value, words) in [
        ("UMAMI_DATABASE_PASSWORD", "a/b", "break the database's URL"),
        ("GLITCHTIP_EMAIL_URL", "smtp", "is not a mail server's URL"),
        ("GLITCHTIP_DOMAIN", "errors.local", "has no scheme"),
        ("ADMIN_EMAIL", "admin@site.local", "reserved domain"),
    ] {
        let env = checkout.read(".env");
        checkout.write(".env", &format!("{env}\n{key}={value}\n"));
        checkout.xtask(&["up"]).code(1).says(words);
        checkout.write(".env", &env);
    }
    let script = checkout.path("init-db.sql");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o600)).unwrap();
    checkout
        .xtask(&["up"])
        .code(1)
        .says("chmod a+r deploy/analytics/init-db.sql");
    assert_eq!(
        checkout
            .compose(&["ps", "--all", "--quiet"])
            .success()
            .stdout,
        "",
        "something was started"
    );
}

#[test]
#[ignore = "needs an engine"]
fn every_wrong_value_is_named_also_when_compose_refuses_one() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let env = checkout.read(".env");
    let wrong = "UMAMI_MEMORY=lots\nUMAMI_WEBSITE_ID=my-site\nGLITCHTIP_RETENTION_DAYS=ninety\n";
    checkout.write(".env", &format!("{env}{wrong}"));
    let said = checkout.xtask(&["doctor"]).code(1);
    let said = said.stdout + &said.stderr;
    let first = env.lines().count() + 1;
    for (key, line) in [
        ("UMAMI_MEMORY", first),
        ("UMAMI_WEBSITE_ID", first + 1),
        ("GLITCHTIP_RETENTION_DAYS", first + 2),
    ] {
        assert!(
            said.contains(&format!("line {line}: {key} is not")),
            "{said}"
        );
    }
    assert!(said.contains("hint: write it as 512M or 1G"), "{said}");
}

/// `doctor` knows no more of it than the command that it would be asked by.
#[test]
#[ignore = "needs an engine"]
fn a_file_that_compose_refuses_is_named_with_more_to_do_than_another_look() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let odd = "services:\n  odd:\n    imag: redis:7\n";
    checkout.replace("docker-compose.override.yml", "services:\n", odd);
    for command in ["doctor", "up", "status"] {
        let run = checkout.xtask(&[command]).code(1);
        let said = run.stdout + &run.stderr;
        assert!(
            said.contains("docker-compose.override.yml: services.odd"),
            "{said}"
        );
        assert!(said.contains("correct what it names"), "{said}");
        assert!(!said.contains("cargo xtask doctor"), "{said}");
    }
}

/// Starting this machine's engine would not make another one answer.
#[test]
fn an_engine_elsewhere_is_named_and_nothing_is_started_here() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fake(&checkout, "docker", NO_ENGINE);
    for name in ["sudo", "systemctl", "service"] {
        fake(&checkout, name, "exit 0");
    }
    for (variable, value, hint) in [
        ("DOCKER_HOST", "tcp://192.0.2.1:2375", "`unset DOCKER_HOST`"),
        ("DOCKER_HOST", "ssh://me@there", "`unset DOCKER_HOST`"),
        (
            "DOCKER_HOST",
            "unix:///srv/tunnel.sock",
            "`unset DOCKER_HOST`",
        ),
        ("DOCKER_CONTEXT", "there", "`unset DOCKER_CONTEXT`"),
    ] {
        let mut doctor = checkout.xtask_command(&["doctor", "--fix", "--yes"]);
        let path = std::env::var("PATH").unwrap();
        let path = format!("{}:{path}", checkout.root().join("fake").display());
        let run = Run::of(doctor.env("PATH", path).env(variable, value)).code(1);
        let is_named = run.stdout.contains(value) && run.stdout.contains(hint);
        assert!(is_named, "{}", run.stdout);
        let notes = fs::read_to_string(checkout.root().join("notes")).unwrap();
        for name in ["sudo", "systemctl", "service"] {
            assert!(!notes.contains(&format!("{name} ")), "{notes}");
        }
    }
}

/// Compose alone would read `compose.yaml`, and take the override by any of its names.
#[test]
#[ignore = "starts containers"]
fn the_files_of_the_stack_are_read_whatever_stands_beside_them() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    checkout.write("compose.yaml", "services: {stray: {image: stray}}\n");
    let text = checkout.read("docker-compose.override.yml");
    for name in [
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yaml",
    ] {
        let own = "  mailer: {image: 'analytics-standin/redis:7'}\nnetworks:";
        fs::rename(
            checkout.path("docker-compose.override.yml"),
            checkout.path(name),
        )
        .unwrap();
        checkout.write(name, &text.replace("networks:", own));

        let doctor = checkout.xtask(&["doctor"]);
        let words = "deploy/analytics/compose.yaml is not read";
        assert!(doctor.stdout.contains(words), "{}", doctor.stdout);
        let logs = checkout.xtask(&["logs", "--no-follow", "mailer"]);
        logs.success().says("no containers");
        for verb in ["logs", "restart"] {
            let run = checkout.xtask(&[verb, "mailr"]).code(2);
            run.says("a similar value exists: 'mailer'");
            checkout.xtask(&[verb, "stray"]).code(2);
        }
        fs::rename(
            checkout.path(name),
            checkout.path("docker-compose.override.yml"),
        )
        .unwrap();
    }
    checkout.write("compose.override.yml", &text);
    let doctor = checkout.xtask(&["doctor"]);
    let words = "docker-compose.override.yml is not read: Compose takes one override";
    assert!(doctor.stdout.contains(words), "{}", doctor.stdout);
}

/// In the shell and in the env file alike.
#[test]
#[ignore = "starts containers"]
fn variables_of_compose_change_nothing() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let variables = [
        ("COMPOSE_ANSI", "always"),
        ("COMPOSE_COMPATIBILITY", "1"),
        ("COMPOSE_DISABLE_ENV_FILE", "1"),
        ("COMPOSE_FILE", "nowhere.yml"),
        ("COMPOSE_PATH_SEPARATOR", "d"),
        ("COMPOSE_PROGRESS", "json"),
        ("COMPOSE_REMOVE_ORPHANS", "1"),
        ("COMPOSE_STATUS_STDOUT", "1"),
        ("DOCKER_DEFAULT_PLATFORM", "linux/s390x"),
    ];
    let mut up = checkout.xtask_command(&["up"]);
    up.envs(variables);
    Run::of(&mut up).success();
    let before = checkout.container("umami");

    let line = |(name, value): (&str, &str)| format!("{name}={value}\n");
    let text = checkout.read(".env") + &variables.map(line).concat();
    checkout.write(".env", &text);
    checkout.xtask(&["up"]).success().says("already up to date");
    checkout.xtask(&["restart", "umami"]).success();
    checkout.write(".env", &text.replace("COMPOSE_", "IGNORED_"));
    assert_ne!(checkout.container("umami"), before);
    checkout.xtask(&["up"]).success().says("already up to date");
}

#[test]
fn an_env_file_that_is_none_is_named_once() {
    let checkout = Checkout::new();
    fake(&checkout, "docker", NO_ENGINE);
    fs::create_dir(checkout.path(".env")).unwrap();
    let (run, _) = with_fakes(&checkout, &["doctor"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.stdout.matches("is a folder").count(),
        1,
        "{}",
        run.stdout
    );
    fs::remove_dir(checkout.path(".env")).unwrap();
    std::os::unix::fs::symlink("nowhere", checkout.path(".env")).unwrap();
    let (run, _) = with_fakes(&checkout, &["doctor"]);
    assert_eq!(
        run.stdout.matches("is a link to").count(),
        1,
        "{}",
        run.stdout
    );
}

#[test]
#[ignore = "needs an engine"]
fn a_colon_in_the_path_is_named_before_anything_is_started() {
    let checkout = Checkout::named("with:colon");
    checkout.xtask(&["setup"]).success();
    for verb in ["doctor", "up"] {
        let run = checkout.xtask(&[verb]).code(1);
        let said = run.stdout + &run.stderr;
        assert!(said.contains("the path has a colon"), "{said}");
    }
    assert_eq!(checkout.container("umami"), "");
}

/// In a mount namespace of its own the checkout is where the engine does not look.
#[test]
#[ignore = "needs an engine"]
fn an_engine_that_does_not_see_the_checkout_is_named_before_anything_is_started() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    let stack = checkout.root().join("deploy/analytics");
    let xtask = env!("CARGO_BIN_EXE_xtask");
    for (change, words) in [
        (
            "cp -a . \"$OTHER\" && mount --bind \"$OTHER\" . && cd . && echo '-- newer' >> init-db.sql && \
             cp init-db.sql init-db.new && rm init-db.sql && mv init-db.new init-db.sql",
            "the engine sees something else in the place of deploy/analytics/init-db.sql",
        ),
        (
            "cp -a . \"$OTHER\" && mount -t tmpfs none .. && mkdir ../analytics && cd ../analytics && \
             cp -a \"$OTHER\"/. . && mv init-db.sql other.sql && \
             sed -i s/init-db.sql:/other.sql:/ docker-compose.yml",
            "the engine does not see",
        ),
    ] {
        let other = tempfile::tempdir().unwrap();
        let script = format!("set -e; {change}; cd /; exec '{xtask}' up");
        let mut unshare = checkout.command("unshare");
        if !system_is_root() {
            unshare.args(["--user", "--map-root-user"]);
        }
        unshare.args(["--mount", "sh", "-c", &script]);
        let run = Run::of(unshare.current_dir(&stack).env("OTHER", other.path()));
        assert!(run.stderr.contains(words), "{}", run.stderr);
        assert_eq!(run.code, Some(1));
    }
    assert_eq!(checkout.container("umami"), "");
}

fn system_is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

#[test]
fn the_hosts_file_is_advised_for_local_names_alone() {
    let checkout = Checkout::new();
    checkout.xtask(&["setup"]).success();
    fake(&checkout, "docker", NO_ENGINE);
    let (local, _) = with_fakes(&checkout, &["doctor"]);
    assert!(
        local.stdout.contains("`cargo xtask hosts`"),
        "{}",
        local.stdout
    );

    let names = "UMAMI_URL=https://stats.example.com\nUMAMI_HOSTNAME=stats.example.com\n\
                 GLITCHTIP_DOMAIN=https://errors.example.com\n";
    checkout.write(".env", &format!("{}{names}", checkout.read(".env")));
    let (public, _) = with_fakes(&checkout, &["doctor"]);
    let is_advised = public.stdout.contains("`cargo xtask hosts`");
    assert!(!is_advised, "{}", public.stdout);
    let words = "checks stats.example.com and errors.example.com";
    assert!(public.stdout.contains(words), "{}", public.stdout);
}

#[test]
fn a_redis_that_glitchtip_cannot_use_is_refused_before_anything_starts() {
    let stack = crate::pretend::Pretended::new();
    stack.is_down();
    let config = stack.checkout.root().join("pretend/config.yml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("image: redis:7", "image: redis:6-alpine"),
    )
    .unwrap();

    let run = stack
        .xtask(&["up"])
        .code(1)
        .says("the image redis:6-alpine is Redis 6");
    run.says("set REDIS_IMAGE=redis:7-alpine");

    let starts = |note: &String| note.contains(" up --detach");
    assert!(!stack.notes().iter().any(starts), "something was started");
}
