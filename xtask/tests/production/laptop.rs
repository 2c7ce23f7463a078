//! The stack of a single machine, beside the rig: what its owner brings to production.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::checkout::Checkout;

/// A row a table: its name, and how many rows it has.
pub const COUNT_EACH: &str = "select c.oid::regclass || ' ' || (xpath('/row/n/text()', query_to_xml( \
     format('select count(*) as n from only %s', c.oid::regclass), false, true, '')))[1]::text \
     from pg_class c where relkind = 'r' and relnamespace = 'public'::regnamespace";

/// What every row of its visitors comes to.
pub const FINGERPRINT: &str = "select md5(string_agg(t::text, '' order by event_id)) from website_event t \
     where url_path like '/laptop/%'";

const EVENTS: &str = "insert into website_event (event_id, website_id, session_id, visit_id, url_path) \
     select gen_random_uuid(), website_id, gen_random_uuid(), gen_random_uuid(), '/laptop/' || n \
     from website, generate_series(1, 1000) n where deleted_at is null";

/// A stack that does not run yet; gone with the value.
pub struct Laptop {
    checkout: Checkout,
}

/// A backup of it, and what it was made of.
pub struct Saved {
    pub file: PathBuf,
    /// How many rows each table had, by database.
    pub rows: BTreeMap<&'static str, BTreeMap<String, u64>>,
    pub fingerprint: String,
    /// The file goes with it.
    _laptop: Laptop,
}

impl Laptop {
    #[track_caller]
    pub fn new() -> Laptop {
        let checkout = Checkout::with_stack();
        checkout.xtask(&["setup"]).success();
        Laptop { checkout }
    }

    /// What the tracking snippets in its owner's pages name.
    pub fn website(&self) -> String {
        self.checkout.variable("UMAMI_WEBSITE_ID")
    }

    /// Starts it, lets visitors come and go, and saves what they left.
    #[track_caller]
    pub fn save(self) -> Saved {
        let checkout = &self.checkout;
        checkout.xtask(&["up"]).success();
        checkout.sql("umami_db", EVENTS);
        let upload = ["exec", "--no-TTY", "glitchtip-web", "sh", "-c"];
        let upload = [&upload[..], &["echo mine >/code/uploads/laptop"]].concat();
        checkout.compose(&upload).success();
        let applications = ["umami", "glitchtip-web", "glitchtip-worker"];
        checkout
            .compose(&[&["stop"], &applications[..]].concat())
            .success();

        let rows = ["umami_db", "glitchtip_db"].map(|database| {
            let rows = checkout.sql(database, COUNT_EACH);
            (database, parse_counts(&rows))
        });
        let fingerprint = checkout.sql("umami_db", FINGERPRINT);
        checkout.xtask(&["backup"]).success();
        let folder = std::fs::read_dir(checkout.path("backups")).unwrap();
        let mut files = folder.map(|entry| entry.unwrap().path());
        let is_backup = |path: &PathBuf| path.extension().is_some_and(|it| it == "tar");
        Saved {
            file: files.find(is_backup).expect("a backup"),
            rows: rows.into(),
            fingerprint,
            _laptop: self,
        }
    }
}

/// Reads what [`COUNT_EACH`] finds.
#[track_caller]
pub fn parse_counts(rows: &str) -> BTreeMap<String, u64> {
    let parse = |row: &str| {
        let (table, count) = row.rsplit_once(' ').unwrap();
        (table.to_owned(), count.parse().unwrap())
    };
    rows.lines().map(parse).collect()
}
