//! Visitors: page views and errors at a steady rate, each over TLS on a connection of its own.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::site::Site;

const BROWSER: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
/// Requests start in groups, one curl each. Small ones, so that a node which dies takes few that have been sent to it.
const PACE: Duration = Duration::from_millis(100);
/// From the last answer until everything that was accepted is stored: what was in hand when the database went away
/// waits out several time limits.
const LONGEST_STORING: Duration = Duration::from_secs(150);

/// Where the requests go.
#[derive(Clone)]
struct Target {
    edges: Vec<IpAddr>,
    website: String,
    envelope: String,
    /// How curl knows whom it speaks to.
    trust: String,
}

/// A load that goes on until it is told to stop.
pub struct Load {
    stop: Arc<AtomicBool>,
    /// How many requests have begun.
    begun: Arc<AtomicUsize>,
    begin: Instant,
    groups: JoinHandle<Vec<Answer>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    View,
    Error,
}

/// What became of one request.
struct Answer {
    kind: Kind,
    id: String,
    second: u64,
    /// When it was answered, in seconds from the beginning.
    answered: f64,
    /// `200`, or what went wrong.
    outcome: String,
}

/// What became of all.
pub struct Answers {
    answers: Vec<Answer>,
    pub seconds: f64,
}

impl Load {
    /// As many requests a second, half page views and half errors, in turn to the edges of these nodes.
    #[track_caller]
    pub fn start(site: &Site, nodes: &[&str], rate: usize) -> Load {
        let query = "select project_id || '/envelope/?sentry_key=' || replace(public_key::text, '-', '') \
                     from projects_projectkey order by 1 limit 1";
        let keys = site.rows("glitchtip_db", query);
        let trust = match site.variable("TLS").as_str() {
            "acme" => format!("cacert = \"{}\"", site.rig.variable("RIG_ACME_CA")),
            // Each edge has an authority of its own, of which nobody knows.
            _ => "insecure".to_owned(),
        };
        let target = Target {
            edges: nodes.iter().map(|node| site.rig.address(node)).collect(),
            website: site.variable("UMAMI_WEBSITE_ID"),
            envelope: keys.into_iter().next().expect("a project with a key"),
            trust,
        };
        let (stop, begin) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let size = rate * PACE.as_millis() as usize / 1000;
        let begun = Arc::new(AtomicUsize::new(0));
        let (until, count) = (Arc::clone(&stop), Arc::clone(&begun));
        let groups = thread::spawn(move || send_groups(&target, size, (&until, &count)));
        Load {
            stop,
            begun,
            begin,
            groups,
        }
    }

    /// How many requests have begun.
    pub fn count(&self) -> usize {
        self.begun.load(Ordering::SeqCst)
    }

    /// Ends it, and waits for the last answers.
    pub fn finish(self) -> Answers {
        self.stop.store(true, Ordering::SeqCst);
        let seconds = self.begin.elapsed().as_secs_f64();
        Answers {
            answers: self.groups.join().unwrap(),
            seconds,
        }
    }
}

impl Answers {
    pub fn count(&self) -> usize {
        self.answers.len()
    }

    pub fn refused(&self) -> usize {
        self.answers.iter().filter(|it| it.outcome != "200").count()
    }

    /// Prints a row of the table, and asserts that each was accepted and is stored.
    #[track_caller]
    pub fn are_all_stored(&self, site: &Site, what: &str) {
        let lost = self.lost(site);
        self.print(what, lost);
        assert_eq!((self.refused(), lost), (0, 0), "{what}");
    }

    /// The longest time in which no page view was accepted, in seconds.
    pub fn longest_gap(&self) -> f64 {
        let accepted = |it: &&Answer| it.kind == Kind::View && it.outcome == "200";
        let times = self.answers.iter().filter(accepted).map(|it| it.answered);
        let mut times: Vec<f64> = times.collect();
        times.sort_by(f64::total_cmp);
        let gaps = times.windows(2).map(|pair| pair[1] - pair[0]);
        gaps.fold(0.0, f64::max)
    }

    /// How many page views, and how many errors, were accepted and are not stored, once everything has had its time.
    pub fn lost_of_each(&self, site: &Site) -> (usize, usize) {
        let lost = self.lost_answers(site);
        let views = lost.iter().filter(|it| it.kind == Kind::View).count();
        (views, lost.len() - views)
    }

    /// How many were accepted and are not stored, once everything has had its time.
    pub fn lost(&self, site: &Site) -> usize {
        self.lost_answers(site).len()
    }

    fn lost_answers(&self, site: &Site) -> Vec<&Answer> {
        let views = "select replace(url_path, '/load/', '') from website_event where url_path like '/load/%'";
        let errors = "select replace(id::text, '-', '') from issue_events_issueevent";
        let begin = Instant::now();
        loop {
            let mut stored = site.rows("umami_db", views);
            stored.extend(site.rows("glitchtip_db", errors));
            let is_lost = |it: &&Answer| it.outcome == "200" && !stored.contains(&it.id);
            let lost: Vec<&Answer> = self.answers.iter().filter(is_lost).collect();
            if lost.is_empty() || begin.elapsed() > LONGEST_STORING {
                println!(
                    "{:6.1} s until all are stored but {}",
                    begin.elapsed().as_secs_f64(),
                    lost.len()
                );
                return lost;
            }
            thread::park_timeout(Duration::from_millis(500));
        }
    }

    /// Prints a row of the table, and what was answered to those that were refused, when and how often.
    pub fn print(&self, what: &str, lost: usize) {
        let (count, refused) = (self.count(), self.refused());
        println!(
            "| {what} | {:.0} s | {count} requests | {refused} refused | {lost} lost |",
            self.seconds
        );
        let mut reasons: BTreeMap<(Kind, u64, &str), usize> = BTreeMap::new();
        for answer in self.answers.iter().filter(|it| it.outcome != "200") {
            let key = (answer.kind, answer.second, &*answer.outcome);
            *reasons.entry(key).or_default() += 1;
        }
        for ((kind, second, outcome), count) in reasons {
            println!("    at {second:3} s {kind:?} {count} times: {outcome}");
        }
    }
}

/// A group each tenth of a second, whatever becomes of those before.
fn send_groups(
    target: &Target,
    size: usize,
    (stop, begun): (&AtomicBool, &AtomicUsize),
) -> Vec<Answer> {
    let begin = Instant::now();
    let mut groups = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let due = begin + PACE * groups.len() as u32;
        let first = size * groups.len();
        thread::sleep(due.saturating_duration_since(Instant::now()));
        begun.fetch_add(size, Ordering::SeqCst);
        let (target, begun) = (target.clone(), begin.elapsed().as_secs_f64());
        groups.push(thread::spawn(move || {
            send_group(&target, first..first + size, begun)
        }));
    }
    let answers = groups.into_iter().flat_map(|group| group.join().unwrap());
    answers.collect()
}

fn send_group(target: &Target, numbers: Range<usize>, begun: f64) -> Vec<Answer> {
    let size = numbers.len();
    let mut config = String::new();
    for number in numbers {
        let kind = [Kind::View, Kind::Error][number % 2];
        let edge = target.edges[number / 2 % target.edges.len()];
        let id = format!("{:032x}", rand::random::<u128>());
        config.push_str(&target.request(kind, &id, edge));
    }
    let mut curl = Command::new("curl");
    curl.args(["--parallel", "--parallel-immediate", "--config", "-"]);
    curl.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = curl.stderr(Stdio::null()).spawn().unwrap();
    let stdin = child.stdin.take();
    stdin.unwrap().write_all(config.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();

    let text = String::from_utf8_lossy(&output.stdout);
    let answers: Vec<Answer> = text.lines().filter_map(|it| parse(it, begun)).collect();
    assert_eq!(answers.len(), size, "curl did not answer for each:\n{text}");
    answers
}

/// `view ID 200 0.123 what curl says`
fn parse(line: &str, begun: f64) -> Option<Answer> {
    let mut words = line.splitn(5, ' ');
    let kind = match words.next()? {
        "View" => Kind::View,
        "Error" => Kind::Error,
        _ => return None,
    };
    let (id, status) = (words.next()?, words.next()?);
    let (took, error): (f64, &str) = (words.next()?.parse().ok()?, words.next()?);
    let outcome = match error {
        "" => status.to_owned(),
        error => error.to_owned(),
    };
    let id = id.to_owned();
    Some(Answer {
        kind,
        id,
        second: begun as u64,
        answered: begun + took,
        outcome,
    })
}

impl Target {
    /// One request as curl's configuration.
    fn request(&self, kind: Kind, id: &str, edge: IpAddr) -> String {
        let (url, body) = match kind {
            Kind::View => {
                let payload = json!({"website": self.website, "hostname": "rig.test",
                    "url": format!("/load/{id}"), "title": "Load", "language": "en", "screen": "1x1"});
                let body = json!({"type": "event", "payload": payload}).to_string();
                ("https://analytics.rig.test/api/send".to_owned(), body)
            }
            Kind::Error => {
                let event = r#"{"message":"load","level":"error","platform":"other"}"#;
                let body = format!("{{\"event_id\":\"{id}\"}}\n{{\"type\":\"event\"}}\n{event}\n");
                (
                    format!("https://errors.rig.test/api/{}", self.envelope),
                    body,
                )
            }
        };
        // JSON's own quoting is what curl reads.
        let (body, trust) = (json!(body), &self.trust);
        format!(
            "next\nurl = \"{url}\"\nconnect-to = \"::{edge}:443\"\n{trust}\nhttp1.1\n\
             header = \"Content-Type: application/json\"\nuser-agent = \"{BROWSER}\"\ndata-binary = {body}\n\
             noproxy = \"*\"\nmax-time = 20\noutput = \"/dev/null\"\n\
             write-out = \"{kind:?} {id} %{{http_code}} %{{time_total}} %{{errormsg}}\\n\"\n"
        )
    }
}
