//! A service dies under load, nobody types anything, and within a minute all that was accepted is stored.
//!
//! CI runs a short form. The whole of it, with a minute of load around each death:
//!
//!     XTASK_HEALING_SECONDS=60 cargo test --package xtask --test it healing -- --include-ignored --nocapture
//!
//! With the real applications in the place of the stand-ins, where their images are:
//!
//!     XTASK_UMAMI_IMAGE=… XTASK_GLITCHTIP_IMAGE=… XTASK_HEALING_SECONDS=60 cargo test … glitchtip_5 …

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::checkout::{Checkout, GlitchTip, Run};
use crate::faults::{inspect, kill_main_process, main_process, signal_process, until};
use crate::http::agent;

const APPLICATIONS_AND_DATABASE: [&str; 4] =
    ["umami", "glitchtip-web", "postgres", "glitchtip-worker"];
/// Page views a second, and as many errors.
const RATE: f64 = 20.0;
/// Errors at once: more than a batch.
const BURST: usize = 150;
const LONGEST_HEALING: Duration = Duration::from_secs(60);
const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Death {
    /// As by the kernel, for want of memory.
    Killed,
    /// `docker restart`: asked first.
    Restarted,
    /// Answers nobody for two seconds, and is killed then: requests are on their way.
    HungAndKilled,
}

#[test]
#[ignore = "starts containers"]
fn glitchtip_6_heals_itself() {
    every_death_is_healed(GlitchTip::V6);
}

#[test]
#[ignore = "starts containers"]
fn glitchtip_5_heals_itself() {
    every_death_is_healed(GlitchTip::V5);
}

fn every_death_is_healed(version: GlitchTip) {
    let stack = Stack::start(version);
    // The worker is ended by its own check once a minute at most: Redis comes first and last.
    let mut deaths = vec![("redis", Death::HungAndKilled)];
    deaths.extend(APPLICATIONS_AND_DATABASE.map(|service| (service, Death::Killed)));
    deaths.push(("glitchtip-worker", Death::Restarted));
    if is_whole_form() {
        deaths.extend(
            ["umami", "glitchtip-web", "postgres"].map(|service| (service, Death::Restarted)),
        );
        deaths.push(("redis", Death::Restarted));
    }
    deaths.push(("redis", Death::Killed));
    for (service, death) in deaths {
        stack.heals(service, death);
    }
    stack.keeps_what_a_killed_worker_had_in_hand();
    stack.an_event_that_cannot_be_stored_takes_no_other_with_it();
    stack.stores_what_met_a_database_that_only_reads();
    stack.checkout.xtask(&["status"]).success();
    stack.checkout.xtask(&["verify"]).success();
}

fn is_whole_form() -> bool {
    std::env::var("XTASK_HEALING_SECONDS").is_ok()
}

/// For how long requests come around each death.
fn seconds_of_load() -> f64 {
    std::env::var("XTASK_HEALING_SECONDS").map_or(6.0, |seconds| seconds.parse().unwrap())
}

struct Stack {
    checkout: Checkout,
    version: GlitchTip,
    envelope_path: String,
    website: String,
}

impl Stack {
    fn start(version: GlitchTip) -> Stack {
        let checkout = Checkout::with_glitchtip(version);
        checkout.xtask(&["up"]).success();
        let query = "select project_id, replace(public_key::text, '-', '') from projects_projectkey order by 1 limit 1";
        let key = checkout.sql("glitchtip_db", query);
        let (project, key) = key.split_once('|').unwrap();
        Stack {
            envelope_path: format!("/api/{project}/envelope/?sentry_key={key}"),
            website: checkout.variable("UMAMI_WEBSITE_ID"),
            checkout,
            version,
        }
    }

    /// How many accepted errors are not stored, once that number has not changed for five seconds.
    fn lost_for_good(&self, errors: &Answers) -> usize {
        let count = || missing(&errors.accepted, &self.stored_errors()).len();
        let (mut lost, mut since) = (count(), Instant::now());
        while lost > 0 && since.elapsed() < Duration::from_secs(5) {
            thread::park_timeout(Duration::from_millis(500));
            let now = count();
            if now != lost {
                (lost, since) = (now, Instant::now());
            }
        }
        lost
    }

    #[track_caller]
    fn heals(&self, service: &str, death: Death) {
        // A check ends its service once a minute at most, and this is about the first time.
        until("no service was restarted within the last minute", || {
            self.redis(&["exists", "analytics:glitchtip-worker:restarted"]) == "0"
        });

        let twice = self.stored_twice();
        let (views, errors, died) = self.under_load(|| self.let_die(service, death));

        let end = Instant::now();
        let deadline = (died + LONGEST_HEALING).max(end + Duration::from_secs(15));
        let mut left;
        loop {
            left = self.what_is_not_well(&views, &errors, end);
            if left.is_empty() || Instant::now() > deadline {
                break;
            }
            thread::park_timeout(Duration::from_millis(500));
        }
        let seconds = died.elapsed().as_secs_f64();
        let lost = self.lost_for_good(&errors);
        eprintln!(
            "{:<4} {service:<17} {:<14} views {} accepted, {} refused; errors {} accepted, {} refused, {lost} lost, {} twice; {:.0} s",
            self.version.tag(),
            format!("{death:?}"),
            views.accepted.len(),
            views.refused,
            errors.accepted.len(),
            errors.refused,
            self.stored_twice() - twice,
            seconds,
        );
        assert!(
            left.is_empty(),
            "{service} {death:?}, not healed: {}",
            left.join("; ")
        );
        assert!(
            !views.accepted.is_empty() && !errors.accepted.is_empty(),
            "nothing was accepted"
        );
    }

    /// The worker has taken everything and could store nothing of it yet. Redis is away when the next one begins.
    fn keeps_what_a_killed_worker_had_in_hand(&self) {
        let holder = "begin; lock table issue_events_issue; select pg_sleep(60)";
        let is_held = "select count(*) from pg_locks where relation = 'issue_events_issue'::regclass \
                       and mode = 'AccessExclusiveLock' and granted";
        let release = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like '%pg_sleep%' \
                       and pid <> pg_backend_pid()";
        let queue = match self.version {
            GlitchTip::V6 => "{vt}:q:ingest",
            GlitchTip::V5 => "celery",
        };
        let accepted: Vec<String> = thread::scope(|scope| {
            scope.spawn(|| self.psql("glitchtip_db", holder));
            until("the table is locked", || {
                self.checkout.sql("glitchtip_db", is_held) == "1"
            });
            let requests: Vec<_> = (0..BURST)
                .map(|_| scope.spawn(|| self.accepted_error()))
                .collect();
            let accepted = requests
                .into_iter()
                .filter_map(|request| request.join().unwrap())
                .collect();
            until("the worker has taken everything", || {
                self.redis(&["llen", queue]) == "0"
            });
            self.kill_worker_without_redis();
            self.checkout.sql("glitchtip_db", release);
            self.checkout.compose(&["start", "redis"]).success();
            accepted
        });

        let killed = Instant::now();
        let lost = || missing(&accepted, &self.stored_errors()).len();
        while lost() > 0 && killed.elapsed() < LONGEST_HEALING {
            thread::park_timeout(Duration::from_millis(500));
        }
        let seconds = killed.elapsed().as_secs_f64();
        eprintln!(
            "{:<4} batches in hand   Killed         errors {} accepted, {} lost; {seconds:.0} s",
            self.version.tag(),
            accepted.len(),
            lost()
        );
        assert_eq!((accepted.len(), lost()), (BURST, 0));
    }

    fn kill_worker_without_redis(&self) {
        let waits = || {
            let logs = ["logs", "--no-log-prefix", "glitchtip-worker"];
            let said = self.checkout.compose(&logs).stdout;
            said.matches("waits for Redis").count()
        };
        let waited = waits();
        self.checkout.compose(&["stop", "redis"]).success();
        kill_main_process(&self.checkout, "glitchtip-worker");
        until("the next worker waits for Redis", || waits() > waited);
    }

    /// PostgreSQL takes no row with more than 2,704 bytes in an index, however often it is asked (error 54000).
    /// The worker meets such an event in the middle of a batch, and a copy that an earlier one had laid aside.
    fn an_event_that_cannot_be_stored_takes_no_other_with_it(&self) {
        let index = "create index healing on issue_events_issueevent ((data::text))";
        self.checkout.sql("glitchtip_db", index);
        self.checkout
            .compose(&["stop", "glitchtip-worker"])
            .success();
        let random = |length: usize| -> String {
            let letters = (0..length).map(|_| char::from(b'a' + rand::random::<u8>() % 26));
            letters.collect()
        };
        let mut accepted: Vec<String> = (0..5).filter_map(|_| self.accepted_error()).collect();
        if self.version == GlitchTip::V5 {
            let taken = "analytics:glitchtip-worker:taken";
            self.redis(&["rpoplpush", "celery", taken]);
            assert_eq!(self.redis(&["llen", taken]), "1");
        }
        let id = format!("{:032x}", rand::random::<u128>());
        assert!(self.send_error_with(&id, &random(6000)));
        accepted.extend((0..5).filter_map(|_| self.accepted_error()));
        self.checkout
            .compose(&["start", "glitchtip-worker"])
            .success();

        until("what came with it is stored", || {
            missing(&accepted, &self.stored_errors()).is_empty()
        });
        assert_eq!(accepted.len(), 10);
        let later = self.accepted_error().expect("an error that is accepted");
        until("what comes after it is stored", || {
            self.stored_errors().contains(&later)
        });
        assert!(!self.stored_errors().contains(&id));
        if self.version == GlitchTip::V6 {
            self.is_given_up();
        }
        self.checkout.sql("glitchtip_db", "drop index healing");
    }

    /// It is among what failed, and is not tried again with what failed for want of PostgreSQL.
    fn is_given_up(&self) {
        until("it is given up", || {
            self.redis(&["llen", "{vt}:q:failed"]) == "1"
        });
        let retry = ["python", "/glitchtip-service.py", "retry-events"];
        let exec = ["exec", "--no-TTY", "glitchtip-worker"];
        let run = self.checkout.compose(&[&exec[..], &retry].concat());
        assert_eq!(run.success().stdout, "");
        assert_eq!(self.redis(&["llen", "{vt}:q:failed"]), "1");
    }

    /// As a primary does that has just become the standby of another.
    fn stores_what_met_a_database_that_only_reads(&self) {
        let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        let worker = inspect(&self.checkout, "glitchtip-worker", address);
        let only_reads = |value: &str| {
            let set =
                format!("alter database glitchtip_db set default_transaction_read_only = {value}");
            self.checkout.sql("umami_db", &set);
            // A setting is of new sessions. Those of the web service go on: it is to accept errors meanwhile.
            let end = format!(
                "select count(pg_terminate_backend(pid)) from pg_stat_activity where client_addr = '{worker}'"
            );
            self.checkout.sql("umami_db", &end);
        };
        only_reads("on");
        let accepted: Vec<String> = (0..5).filter_map(|_| self.accepted_error()).collect();
        assert_eq!(accepted.len(), 5);
        until("the worker has met it", || {
            let logs = ["logs", "--no-log-prefix", "glitchtip-worker"];
            let seen = self.checkout.compose(&logs).stdout;
            seen.contains("in a read-only transaction")
        });
        only_reads("off");

        until("everything is stored", || {
            missing(&accepted, &self.stored_errors()).is_empty()
        });
    }

    fn accepted_error(&self) -> Option<String> {
        let id = format!("{:032x}", rand::random::<u128>());
        self.send_error(&id).then_some(id)
    }

    fn let_die(&self, service: &str, death: Death) {
        match death {
            Death::Killed => kill_main_process(&self.checkout, service),
            Death::Restarted => {
                let id = self.checkout.container(service);
                Run::of(self.checkout.command("docker").args(["restart", &id])).success();
            }
            Death::HungAndKilled => {
                let process = main_process(&self.checkout, service);
                signal_process(&self.checkout, &process, "STOP");
                // Requests that come now are never answered.
                thread::sleep(Duration::from_secs(2));
                signal_process(&self.checkout, &process, "KILL");
            }
        }
    }

    /// Sends page views and errors steadily; lets something happen in the middle, and says when.
    fn under_load(&self, happens: impl FnOnce() + Send) -> (Answers, Answers, Instant) {
        let middle = Instant::now() + Duration::from_secs_f64(seconds_of_load() / 2.0);
        thread::scope(|scope| {
            let views = scope.spawn(|| send_steadily(|id| self.send_view(id)));
            let errors = scope.spawn(|| send_steadily(|id| self.send_error(id)));
            thread::sleep(middle.saturating_duration_since(Instant::now()));
            happens();
            let died = Instant::now();
            (views.join().unwrap(), errors.join().unwrap(), died)
        })
    }

    fn send_view(&self, id: &str) -> bool {
        let payload = json!({"website": self.website, "hostname": "localhost", "url": format!("/healing/{id}"),
            "title": "Healing", "language": "en", "screen": "1x1"});
        let url = format!("http://127.0.0.1:{}/api/send", self.checkout.umami_port);
        let request = agent(15).post(url).header("User-Agent", BROWSER);
        let request = request.header("Content-Type", "application/json");
        is_accepted(
            request,
            &json!({"type": "event", "payload": payload}).to_string(),
        )
    }

    fn send_error(&self, id: &str) -> bool {
        self.send_error_with(id, "healing")
    }

    fn send_error_with(&self, id: &str, message: &str) -> bool {
        let event = format!(r#"{{"message":"{message}","level":"error","platform":"other"}}"#);
        let body = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
        let url = format!(
            "http://127.0.0.1:{}{}",
            self.checkout.glitchtip_port, self.envelope_path
        );
        is_accepted(agent(15).post(url), &body)
    }

    /// How many errors were counted again to their issue: a worker that is killed may have stored what it had in hand.
    fn stored_twice(&self) -> i64 {
        let query = "select (select coalesce(sum(count), 0) from issue_events_issue) - count(*) from issue_events_issueevent";
        self.checkout.sql("glitchtip_db", query).parse().unwrap()
    }

    fn what_is_not_well(&self, views: &Answers, errors: &Answers, since: Instant) -> Vec<String> {
        let mut left = Vec::new();
        let views = missing(&views.accepted, &self.stored_views());
        let errors = missing(&errors.accepted, &self.stored_errors());
        if !views.is_empty() {
            left.push(format!("{} page views are not stored", views.len()));
        }
        if !errors.is_empty() {
            left.push(format!("{} errors are not stored", errors.len()));
        }
        for service in APPLICATIONS_AND_DATABASE.into_iter().chain(["redis"]) {
            let state = inspect(
                &self.checkout,
                service,
                "{{.State.Status}} {{.State.Health.Status}}",
            );
            if state != "running healthy" {
                left.push(format!("{service} is {state}"));
            }
        }
        if self.version == GlitchTip::V6 && !self.scheduler_lives(since) {
            left.push("the scheduler starts nothing".to_owned());
        }
        left
    }

    /// Whether the scheduler of 6 has started what it starts each second since then.
    fn scheduler_lives(&self, since: Instant) -> bool {
        let last = self.redis(&[
            "get",
            "{vt}:scheduler:vtasks_last_run:uptime-dispatch-checks",
        ]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        last.parse::<f64>()
            .is_ok_and(|last| now.as_secs_f64() - last < since.elapsed().as_secs_f64())
    }

    fn stored_views(&self) -> HashSet<String> {
        let query = "select replace(url_path, '/healing/', '') from website_event where url_path like '/healing/%'";
        self.rows("umami_db", query)
    }

    fn stored_errors(&self) -> HashSet<String> {
        self.rows(
            "glitchtip_db",
            "select replace(id::text, '-', '') from issue_events_issueevent",
        )
    }

    /// The first column of each row; nothing while PostgreSQL does not answer.
    fn rows(&self, database: &str, query: &str) -> HashSet<String> {
        let rows = self.psql(database, query);
        rows.stdout.lines().map(str::to_owned).collect()
    }

    fn psql(&self, database: &str, query: &str) -> Run {
        let psql = [
            "psql",
            "--username",
            "analytics_admin",
            "--dbname",
            database,
            "--no-align",
            "--tuples-only",
        ];
        let exec = [
            &["exec", "--no-TTY", "postgres"],
            &psql[..],
            &["--command", query],
        ]
        .concat();
        self.checkout.compose(&exec)
    }

    /// What Redis answers; nothing while it does not.
    fn redis(&self, command: &[&str]) -> String {
        let exec = [&["exec", "--no-TTY", "redis", "redis-cli"], command].concat();
        self.checkout.compose(&exec).stdout.trim().to_owned()
    }
}

struct Answers {
    /// The ids of what was answered with 200.
    accepted: Vec<String>,
    /// How many were answered with an error, or not at all.
    refused: usize,
}

/// Sends as many requests a second as `RATE` says, each with an id of its own, whatever becomes of those before.
fn send_steadily(send: impl Fn(&str) -> bool + Sync) -> Answers {
    let begin = Instant::now();
    let count = (seconds_of_load() * RATE) as u32;
    thread::scope(|scope| {
        let mut requests = Vec::new();
        for number in 0..count {
            let due = begin + Duration::from_secs_f64(f64::from(number) / RATE);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            requests.push(scope.spawn(|| {
                let id = format!("{:032x}", rand::random::<u128>());
                send(&id).then_some(id)
            }));
        }
        let answers: Vec<Option<String>> = requests
            .into_iter()
            .map(|request| request.join().unwrap())
            .collect();
        let accepted: Vec<String> = answers.into_iter().flatten().collect();
        Answers {
            refused: count as usize - accepted.len(),
            accepted,
        }
    })
}

fn is_accepted(request: ureq::RequestBuilder<ureq::typestate::WithBody>, body: &str) -> bool {
    request
        .send(body)
        .is_ok_and(|answer| answer.status() == 200)
}

fn missing<'a>(accepted: &'a [String], stored: &HashSet<String>) -> Vec<&'a String> {
    accepted.iter().filter(|id| !stored.contains(*id)).collect()
}
