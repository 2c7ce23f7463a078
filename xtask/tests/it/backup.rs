//! Backups on a real engine: what is saved comes back, whatever happens in between.
//!
//! `XTASK_KILL_ROUNDS` says how often each command is killed at a random moment; once if it is not set.

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use hmac_sha256::Hash;

use crate::checkout::{Checkout, Run};
use crate::shared;

#[test]
#[ignore = "starts containers"]
fn a_backup_without_data_is_refused() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["setup"]).success();
    checkout.xtask(&["backup"]).code(1).says("no data yet");
}

#[test]
#[ignore = "starts containers"]
fn a_backup_disturbs_no_writer_and_is_for_its_owner_alone() {
    let stack = saved();
    let running = stack.compose(&["ps", "--quiet"]).success().stdout;
    let mut writers = start_writers(&stack);
    let saved = backup(&stack, &[]);
    let are_at_work = writers.try_wait().unwrap().is_none();
    writers.kill().unwrap();
    writers.wait().unwrap();
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'do $$%'";
    stack.sql("postgres", end);
    assert!(
        are_at_work,
        "the writers were not at work during the backup"
    );
    let still = stack.compose(&["ps", "--quiet"]).success().stdout;
    assert_eq!(still, running, "something was restarted");

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(&saved), mode(saved.parent().unwrap())),
        (0o600, 0o700)
    );
    let list = stack.xtask(&["backup", "--list"]).success().stdout;
    assert!(
        list.lines().nth(1).unwrap().contains(" verified "),
        "{list}"
    );
    // The accounts are moved to and fro; their sum is that of every consistent snapshot.
    restore(&stack, &saved, &["--no-backup"]).success();
    let found = fingerprint(&stack);
    assert!(found.contains("balance 1000"), "{found}");
}

#[test]
#[ignore = "starts containers"]
fn a_backup_comes_back_in_another_place_and_clean_deletes_only_what_is_saved() {
    let stack = saved();
    let other = Checkout::with_stack();
    restore(&other, &stack.saved, &[])
        .success()
        .says("took deploy/analytics/.env");
    other.xtask(&["status"]).success();
    let a = fingerprint(&other);
    assert!(
        a.contains("the uploads of A") && a.contains("balance 1000"),
        "{a}"
    );
    assert_eq!(other.sql("umami_db", "select count(*) from kept"), "5000");

    fs::remove_dir(other.path("backups")).unwrap();
    other.write("backups", "in the way");
    other
        .xtask(&["clean", "--yes"])
        .code(1)
        .says("nothing was deleted");
    assert_eq!(fingerprint(&other), a);
    fs::remove_file(other.path("backups")).unwrap();
    other
        .xtask(&["clean", "--yes"])
        .success()
        .says("brings it back");
    let list = other.xtask(&["backup", "--list"]).success().stdout;
    assert!(list.contains(" verified "), "{list}");
    other.xtask(&["clean"]).success().says("nothing to delete");
}

#[test]
#[ignore = "starts containers"]
fn a_restore_asks_and_brings_back_what_was_saved_and_what_it_replaced() {
    let stack = saved();
    let a = fingerprint(&stack);
    write_b(&stack);
    let b = fingerprint(&stack);
    assert_ne!(a, b);

    stack
        .xtask(&["restore", stack.saved.to_str().unwrap()])
        .code(1)
        .says("--yes");
    assert_eq!(fingerprint(&stack), b);
    restore(&stack, &stack.saved, &[]).success();
    assert_eq!(fingerprint(&stack), a);
    stack.xtask(&["status"]).success();

    let safety = newest(&stack);
    assert_ne!(safety, stack.saved);
    restore(&stack, &safety, &["--no-backup"]).success();
    assert_eq!(fingerprint(&stack), b);
    restore(&stack, &stack.saved, &["--no-backup"]).success();
}

#[test]
#[ignore = "starts containers"]
fn keep_never_deletes_the_newest_verified_backup() {
    let stack = saved();
    let folder = stack.root().join("kept backups");
    let output = ["--output", folder.to_str().unwrap()];
    let older = backup(&stack, &[&output[..], &["--no-verify"]].concat());
    let verified = backup(&stack, &output);
    let newest = backup(
        &stack,
        &[&output[..], &["--no-verify", "--keep", "1"]].concat(),
    );
    assert!(!older.exists() && verified.exists() && newest.exists());
}

#[test]
#[ignore = "starts containers"]
fn a_backup_made_by_version_0_9_0_comes_back() {
    let checkout = Checkout::with_stack();
    let file = crate::journal::backup_file(checkout.root());
    restore(&checkout, &file, &[]).success();
    assert_eq!(checkout.sql("umami_db", "select sum(n) from kept"), "1275");
    checkout.xtask(&["verify"]).success();
}

/// One stack with data that has been saved, for tests that leave it so: they take turns.
fn saved() -> Saved {
    static SAVED: LazyLock<Mutex<Option<PathBuf>>> = LazyLock::new(Mutex::default);
    let stack = shared::stack_of(&shared::SAVED);
    let mut saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner);
    let path = saved.get_or_insert_with(|| {
        write_a(&stack);
        backup(&stack, &["--with-env"])
    });
    Saved {
        saved: path.clone(),
        stack,
    }
}

struct Saved {
    stack: shared::Turn,
    saved: PathBuf,
}

impl Deref for Saved {
    type Target = Checkout;

    fn deref(&self) -> &Checkout {
        &self.stack
    }
}

fn restore(checkout: &Checkout, file: &Path, options: &[&str]) -> Run {
    let restore = ["restore", file.to_str().unwrap(), "--yes", "--no-verify"];
    checkout.xtask(&[&restore, options].concat())
}

/// The newest backup that is listed.
fn newest(checkout: &Checkout) -> PathBuf {
    let list = checkout.xtask(&["backup", "--list"]).success().stdout;
    let line = list.lines().nth(1).unwrap();
    checkout
        .root()
        .join(line.split_whitespace().last().unwrap())
}

#[test]
#[ignore = "starts containers"]
fn killed_at_any_moment_all_data_is_there() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    write_a(&checkout);
    let a = fingerprint(&checkout);
    let saved = backup(&checkout, &[]);
    for _ in 0..rounds() {
        kill_at_random(&checkout, &["backup"], 9000);
        let list = checkout.xtask(&["backup", "--list"]).success();
        assert!(
            !list.stdout.contains("no backup"),
            "a file with a final name is not whole:\n{}",
            list.stdout
        );
        assert_eq!(fingerprint(&checkout), a);
    }
    backup(&checkout, &["--no-verify"]);
    let hidden = fs::read_dir(saved.parent().unwrap()).unwrap().flatten();
    let left: Vec<_> = hidden
        .filter(|entry| entry.file_name().to_string_lossy().starts_with('.'))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    write_b(&checkout);
    let b = fingerprint(&checkout);
    let restore = [
        "restore",
        saved.to_str().unwrap(),
        "--yes",
        "--no-backup",
        "--no-verify",
    ];
    for _ in 0..rounds() {
        kill_at_random(&checkout, &restore, 9000);
        checkout.xtask(&["up"]).success();
        let found = fingerprint(&checkout);
        assert!(
            found == a || found == b,
            "neither the old data nor the new:\n{found}"
        );
        let databases = checkout.sql(
            "postgres",
            "select count(*) from pg_database where datname like '%restore'",
        );
        assert_eq!(databases, "0", "something was left behind");
        if found == a {
            write_b(&checkout);
            assert_eq!(fingerprint(&checkout), b);
        }
    }
    checkout.xtask(&restore).success();
    assert_eq!(fingerprint(&checkout), a);
}

#[test]
#[ignore = "starts containers"]
fn new_secrets_replace_the_old_ones_also_when_killed() {
    let checkout = Checkout::with_stack();
    checkout.xtask(&["up"]).success();
    write_a(&checkout);
    let a = fingerprint(&checkout);
    let old = checkout.read(".env");
    let key = |key: &str| checkout.variable(key);
    assert_eq!(logins(&checkout, &key("UMAMI_ADMIN_PASSWORD")), "200 True");
    let old_password = key("UMAMI_ADMIN_PASSWORD");

    checkout
        .xtask(&["rotate", "UMAMI_WEBSITE_ID"])
        .code(1)
        .says("UMAMI_APP_SECRET");
    assert_eq!(checkout.read(".env"), old);
    let run = checkout
        .xtask(&["rotate"])
        .success()
        .says("logs everyone out of Umami");
    let new = checkout.read(".env");
    assert_only_secrets_changed(&old, &new);
    let shows = |line: &str| run.stderr.contains(line.split_once('=').unwrap().1);
    let secrets = new.lines().filter(|line| is_secret(line));
    assert!(!secrets.into_iter().any(shows), "a secret was printed");
    assert_eq!(logins(&checkout, &old_password), "401 True");
    assert_eq!(logins(&checkout, &key("UMAMI_ADMIN_PASSWORD")), "200 True");
    assert!(!checkout.path("backups/.unfinished.json").exists());
    checkout.xtask(&["up"]).success().says("already up to date");

    leave_half_made(&checkout, "glitchtip-web");
    checkout.xtask(&["rotate"]).success();
    for _ in 0..rounds() {
        kill_at_random(&checkout, &["rotate"], 15000);
        checkout.xtask(&["up"]).success();
        assert!(!checkout.path("backups/.unfinished.json").exists());
        assert_eq!(
            logins(&checkout, &checkout.variable("UMAMI_ADMIN_PASSWORD")),
            "200 True"
        );
    }
    assert_eq!(kept(&fingerprint(&checkout)), kept(&a));
}

/// What Compose leaves when it is killed while it replaces a container.
fn leave_half_made(checkout: &Checkout, service: &str) {
    let id = checkout.container(service);
    let inspect = |format: &str| {
        let run = Run::of(Command::new("docker").args(["inspect", "--format", format, &id]));
        run.success().stdout.trim().to_owned()
    };
    let name = format!(
        "{}_{}",
        &id[..12],
        inspect("{{.Name}}").trim_start_matches('/')
    );
    let project = inspect("{{index .Config.Labels \"com.docker.compose.project\"}}");
    let mut create = Command::new("docker");
    create.args(["create", "--name", &name, "--label"]);
    create.arg(format!("com.docker.compose.project={project}"));
    Run::of(create.arg(inspect("{{.Config.Image}}"))).success();
}

fn is_secret(line: &str) -> bool {
    let ends = ["PASSWORD=", "SECRET=", "SECRET_KEY=", "TOKEN="];
    ends.iter().any(|end| line.contains(end))
}

#[track_caller]
fn assert_only_secrets_changed(old: &str, new: &str) {
    for (before, after) in old.lines().zip(new.lines()) {
        let key = before.split('=').next().unwrap();
        assert_eq!(before != after, is_secret(before), "{key}");
    }
}

#[test]
#[ignore = "starts containers"]
#[expect(clippy::too_many_lines, reason = "one story over one image name")]
fn an_upgrade_that_fails_ends_on_the_old_version_with_the_data() {
    let checkout = Checkout::with_stack();
    let image = Image::new(&checkout, "umami");
    let override_file = checkout.read("docker-compose.override.yml");
    checkout.write(
        "docker-compose.override.yml",
        &override_file.replace("analytics-standin/umami:3", &image.0),
    );
    image.becomes("analytics-standin/umami:3");
    checkout.xtask(&["up"]).success();
    write_a(&checkout);
    let a = fingerprint(&checkout);
    checkout
        .xtask(&["upgrade", "--no-pull"])
        .success()
        .says("already up to date");
    let id = image.id();

    image.becomes("analytics-standin/umami:3-broken");
    checkout
        .xtask(&["upgrade", "--no-pull", "--dry-run"])
        .success()
        .says(&image.0);
    assert_eq!(
        (image.id(), fingerprint(&checkout)),
        (id.clone(), a.clone())
    );
    image.becomes("analytics-standin/umami:3-broken");
    checkout
        .xtask(&["upgrade", "--no-pull"])
        .code(1)
        .says("was rolled back");
    assert_eq!((image.id(), fingerprint(&checkout)), (id, a.clone()));
    checkout.xtask(&["status"]).success();

    for round in 0..rounds() {
        let images = [
            "analytics-standin/umami:3-broken",
            "analytics-standin/umami:3",
        ];
        image.becomes(images[round as usize % 2]);
        kill_at_random(&checkout, &["upgrade", "--no-pull"], 25000);
        if !checkout.path("backups/.unfinished.json").exists() {
            // Killed before it began: that the name means the new image is the test's own doing.
            image.becomes("analytics-standin/umami:3");
        }
        // Forwards fails, and ends where it began.
        let _ = checkout.xtask(&["up"]);
        image.becomes("analytics-standin/umami:3");
        checkout.xtask(&["up"]).success();
        assert_eq!(fingerprint(&checkout), a);
    }

    image.becomes("analytics-standin/umami:3-next");
    checkout
        .xtask(&["upgrade", "--no-pull"])
        .success()
        .says("in use");
    let next = fingerprint(&checkout);
    assert_ne!(next, a, "nothing was migrated");
    assert_eq!(kept(&next), kept(&a));
    checkout.xtask(&["up"]).success().says("already up to date");
}

/// What no application writes to.
fn kept(fingerprint: &str) -> Vec<&str> {
    let is_kept = |line: &&str| {
        line.starts_with("kept ") || line.contains('/') || line.starts_with("balance ")
    };
    fingerprint.lines().filter(is_kept).collect()
}

/// A name of our own for an image, gone with the value.
struct Image(String);

impl Image {
    fn new(checkout: &Checkout, service: &str) -> Image {
        Image(format!("{}/{service}:3", checkout.project))
    }

    #[track_caller]
    fn becomes(&self, other: &str) {
        Run::of(Command::new("docker").args(["tag", other, &self.0])).success();
    }

    #[track_caller]
    fn id(&self) -> String {
        Run::of(Command::new("docker").args(["image", "inspect", "--format", "{{.Id}}", &self.0]))
            .success()
            .stdout
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker")
            .args(["image", "rm", "--force", "--no-prune", &self.0])
            .output();
    }
}

/// How Umami answers a login with this password, and whether GlitchTip's administrator has that of `.env`.
#[expect(clippy::too_many_lines, reason = "two requests, word by word")]
fn logins(checkout: &Checkout, umami_password: &str) -> String {
    let answer = |arguments: &[&str], stdin: &str| {
        let mut command = checkout.command("docker");
        command
            .arg("compose")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout)
            .unwrap()
            .trim()
            .to_owned()
    };
    let login = format!("{{\"username\": \"admin\", \"password\": \"{umami_password}\"}}");
    let curl = [
        "exec",
        "--no-TTY",
        "umami",
        "curl",
        "--silent",
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code}",
    ];
    let request = [
        "--header",
        "Content-Type: application/json",
        "--data",
        "@-",
        "http://127.0.0.1:3000/api/auth/login",
    ];
    let script = "import django, os\ndjango.setup()\nfrom apps.users.models import User\n\
                  user = User.objects.get(email=os.environ['ADMIN_EMAIL'])\n\
                  print(user.check_password(os.environ['GLITCHTIP_ADMIN_PASSWORD']))\n";
    let python = [
        "run",
        "--rm",
        "--no-deps",
        "--no-TTY",
        "glitchtip-migrate",
        "python",
        "-",
    ];
    format!(
        "{} {}",
        answer(&[&curl[..], &request].concat(), &login),
        answer(&python, script)
    )
}

/// How often each command is killed.
fn rounds() -> u64 {
    std::env::var("XTASK_KILL_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap())
}

fn backup(checkout: &Checkout, options: &[&str]) -> PathBuf {
    let run = checkout.xtask(&[&["backup"], options].concat()).success();
    assert_eq!(
        run.stdout.lines().count(),
        1,
        "more than a path on stdout:\n{}",
        run.stdout
    );
    PathBuf::from(run.stdout.trim_end())
}

fn write_a(checkout: &Checkout) {
    let kept = "create table kept as select n, md5(n::text) as text from generate_series(1, 5000) as n; \
                create table accounts (name text primary key, balance int); \
                insert into accounts values ('a', 500), ('b', 500); \
                alter table kept owner to umami; alter table accounts owner to umami";
    checkout.sql("umami_db", kept);
    checkout.sql(
        "glitchtip_db",
        "create table kept as select n from generate_series(1, 100) as n",
    );
    uploads(
        checkout,
        "mkdir folder; echo the uploads of A > a; cp /usr/bin/env folder/binary",
    );
    checkout
        .compose(&["exec", "--no-TTY", "redis", "redis-cli", "set", "kept", "A"])
        .success();
}

/// Run again, it leaves the same.
fn write_b(checkout: &Checkout) {
    checkout.sql(
        "umami_db",
        "delete from kept; insert into kept values (0, 'B'); update accounts set balance = 500",
    );
    checkout.sql(
        "glitchtip_db",
        "drop table if exists b; create table b (n int); insert into b values (1)",
    );
    uploads(
        checkout,
        "echo the uploads of B > a; echo B > b; rm -f folder/binary",
    );
    checkout
        .compose(&["exec", "--no-TTY", "redis", "redis-cli", "set", "kept", "B"])
        .success();
}

fn uploads(checkout: &Checkout, script: &str) -> String {
    let script = format!("cd uploads && {{ {script}; }}");
    checkout
        .compose(&["exec", "--no-TTY", "glitchtip-web", "sh", "-c", &script])
        .success()
        .stdout
}

/// Moves money to and fro, in transactions that leave the sum as it is.
fn start_writers(checkout: &Checkout) -> std::process::Child {
    let busy = "do $$ begin for i in 1..100000000 loop \
                update accounts set balance = balance - 1 where name = 'a'; \
                update accounts set balance = balance + 1 where name = 'b'; commit; end loop; end $$";
    let psql = [
        "compose",
        "exec",
        "--no-TTY",
        "postgres",
        "psql",
        "--username",
        "analytics_admin",
    ];
    let mut command = checkout.command("docker");
    command
        .args(psql)
        .args(["--dbname", "umami_db", "--command", busy]);
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// All that the user can lose but passwords, which follow `.env`: a checksum for each table, the uploads byte for byte, what Redis holds.
fn fingerprint(checkout: &Checkout) -> String {
    let tables = "select format('%s %s', c.oid::regclass, md5(query_to_xml(format( \
                      'select (to_jsonb(t) - ''password'' - ''updated_at'')::text from %s as t order by 1', c.oid::regclass), true, false, '')::text)) \
                  from pg_class as c where relkind = 'r' and relnamespace = 'public'::regnamespace \
                  and relname <> 'accounts' order by 1";
    let balance = "select 'balance ' || sum(balance) from accounts";
    let redis = checkout
        .compose(&["exec", "--no-TTY", "redis", "redis-cli", "get", "kept"])
        .success()
        .stdout;
    [
        checkout.sql("umami_db", tables),
        checkout.sql("umami_db", balance),
        checkout.sql("glitchtip_db", tables),
        uploads(
            checkout,
            "cat a; find . -type f -exec sha256sum {} + | sort",
        ),
        redis,
    ]
    .join("\n")
}

fn kill_at_random(checkout: &Checkout, arguments: &[&str], milliseconds: u64) {
    let mut command = checkout.xtask_command(arguments);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let random = u64::from(std::process::id())
        .wrapping_add(std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    // There is no state to wait for: any moment will do.
    std::thread::sleep(Duration::from_millis(random % milliseconds));
    let _ = child.kill();
    child.wait().unwrap();
}

/// Copies of a backup that were changed, each in the place of one before.
struct Changed<'a> {
    checkout: &'a Checkout,
    folder: PathBuf,
    name: OsString,
}

impl Changed<'_> {
    fn new<'a>(checkout: &'a Checkout, saved: &Path) -> Changed<'a> {
        let folder = checkout.root().join("changed");
        fs::create_dir_all(&folder).unwrap();
        Changed {
            checkout,
            folder,
            name: saved.file_name().unwrap().to_owned(),
        }
    }

    #[track_caller]
    fn is_refused(&self, bytes: &[u8], words: &str) {
        self.is_refused_as(&self.folder.join(&self.name), bytes, words);
    }

    #[track_caller]
    fn is_refused_as(&self, path: &Path, bytes: &[u8], words: &str) {
        fs::write(path, bytes).unwrap();
        let restore = ["restore", path.to_str().unwrap(), "--yes"];
        self.checkout.xtask(&restore).code(1).says(words);
    }
}

#[test]
#[ignore = "starts containers"]
fn a_truncated_file_or_one_with_a_flipped_bit_is_refused() {
    let stack = saved();
    let good = fs::read(&stack.saved).unwrap();
    let changed = Changed::new(&stack, &stack.saved);
    for length in [0, 100] {
        changed.is_refused(&good[..length], "no backup made by");
    }
    for length in [512, good.len() / 2, good.len() - 1024, good.len() - 1] {
        changed.is_refused(&good[..length], "truncated");
    }
    // About sixty bytes from all over it, one bit of each; and the last.
    let step = good.len() / 60;
    for at in (0..good.len()).step_by(step).chain([good.len() - 1]) {
        let mut flipped = good.clone();
        flipped[at] ^= 1 << (at % 8);
        let words = if at == 0 {
            "no backup made by"
        } else {
            "damaged"
        };
        changed.is_refused(&flipped, words);
    }
}

#[test]
#[ignore = "starts containers"]
fn what_is_no_backup_or_of_something_newer_is_refused() {
    let stack = saved();
    let good = fs::read(&stack.saved).unwrap();
    let changed = Changed::new(&stack, &stack.saved);
    changed.is_refused(&[&good[..], &[0; 512]].concat(), "follows its end");
    changed.is_refused(b"a letter to my aunt", "no backup made by");
    let tar = ["--create", "--file", "-", "Cargo.toml"];
    let tar = Command::new("tar").args(tar).output().unwrap();
    changed.is_refused(&tar.stdout, "no backup made by");
    let renamed = changed.folder.join("renamed.tar");
    changed.is_refused_as(&renamed, &good, "give it its name back");
    for (from, to, words) in [
        ("\"format\": 1", "\"format\": 9", "newer xtask"),
        (
            "\"postgres\": \"15",
            "\"postgres\": \"99",
            "set POSTGRES_IMAGE",
        ),
        (
            "\"migration\": \"03_",
            "\"migration\": \"99_",
            "newer umami",
        ),
    ] {
        changed.is_refused(&with_manifest(&good, from, to), words);
    }
    assert!(
        !stack
            .compose(&["ps", "--quiet", "umami"])
            .success()
            .stdout
            .is_empty()
    );
}

/// The file with another manifest of the same length, and checksums that fit.
fn with_manifest(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let find = |bytes: &[u8], text: &[u8]| {
        bytes
            .windows(text.len())
            .rposition(|window| window == text)
            .unwrap()
    };
    let header = find(file, b"manifest.json\0");
    let size = usize::from_str_radix(
        std::str::from_utf8(&file[header + 124..header + 135]).unwrap(),
        8,
    )
    .unwrap();
    let begin = header + 512;
    let old = std::str::from_utf8(&file[begin..begin + size]).unwrap();
    let new = old.replacen(from, to, 1);
    assert_ne!(old, new, "no {from} in the manifest");
    let sum = |text: &str| {
        Hash::hash(text.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    let mut changed = file.to_vec();
    changed[begin..begin + size].copy_from_slice(new.as_bytes());
    let at = find(&changed, sum(old).as_bytes());
    changed[at..at + 64].copy_from_slice(sum(&new).as_bytes());
    changed
}

/// A limit for the size of a file fails the write as a full disk does.
#[test]
#[ignore = "starts containers"]
fn nothing_is_left_when_the_disk_is_full() {
    let checkout = saved();
    let checkout: &Checkout = &checkout;
    let files = || fs::read_dir(checkout.path("backups")).unwrap().count();
    let before = files();
    let xtask = checkout.xtask_command(&["backup", "--no-verify"]);
    let mut shell = checkout.command("sh");
    shell
        .args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""])
        .arg(xtask.get_program())
        .args(xtask.get_args());
    Run::of(&mut shell).code(1).says("writing ");
    assert_eq!(files(), before);
    checkout.xtask(&["status"]).success();
}
