//! The databases of one node: a time to go back to, a tried backup, and the data of a single machine.
//!
//! In CI they are small. With so many megabytes of page views, backed up whole:
//!
//!     XTASK_PRODUCTION_MEGABYTES=1000 cargo test --package xtask --test production single -- --include-ignored --nocapture

use crate::laptop::{COUNT_EACH, FINGERPRINT, Saved, parse_counts};
use crate::load::Load;
use crate::site::Site;

/// What may be lost at most: the canary is a minute old at most, and in the bucket a minute later.
const RPO: u64 = 150;

const MORE_VIEWS: &str = "insert into website_event (event_id, website_id, session_id, visit_id, url_path, page_title) \
     select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), '/' || md5(n::text), md5(n::text) \
     from generate_series(1, 100000) n";

/// As many page views as are asked for, and a backup of all of them.
pub fn there_is_more_data_if_wanted(site: &Site) {
    let Ok(megabytes) = std::env::var("XTASK_PRODUCTION_MEGABYTES") else {
        return;
    };
    let is_enough = format!("select pg_database_size('umami_db') >= {megabytes} * 1000000::bigint");
    while site.sql("umami_db", &is_enough) != "t" {
        site.sql("umami_db", MORE_VIEWS);
    }
    site.production(&["backup", "--full"]).success();
}

/// Of two rows, the one that came after the time is gone.
pub fn a_restore_goes_back_between_two_rows(site: &Site) {
    site.production(&["backup"]).success();
    let query = |statement| site.sql("umami_db", statement);
    query("create table kept as select 'one' as name");
    // Times have whole seconds.
    query("select pg_sleep(1)");
    let time = query("select to_char(now() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS')");
    query("insert into kept values ('two')");
    let rows = rows_of(site, "umami_db");

    // A moment ago: PostgreSQL sends what it writes to the bucket once a minute.
    let restore = ["restore", "--at", &time, "--yes"];
    let run = site.production(&restore).success();
    let compared = [
        "umami_db".to_owned(),
        (rows - 1).to_string(),
        rows.to_string(),
    ];
    let is_compared = |line: &str| line.split_whitespace().eq(compared.iter());
    assert!(
        run.stdout.lines().any(is_compared),
        "{rows} rows: {}",
        run.stdout
    );
    assert_eq!(query("select name from kept"), "one");
    site.production(&["status"]).success();
}

/// It restores the rows that are in use, and has found the canary.
pub fn a_drill_measures_what_a_loss_would_cost(site: &Site) {
    let run = site.production(&["drill"]).success();
    let value = |name: &str| {
        let value = run.stdout.lines().find_map(|it| it.strip_prefix(name));
        let value = value.unwrap_or_else(|| panic!("no {name}: {}", run.stdout));
        value.trim().trim_end_matches(" s").to_owned()
    };
    assert_eq!(value("drill"), "passed");
    let rows = rows_of(site, "umami_db").to_string();
    assert_eq!(value("rows of umami_db"), rows);
    let rpo: u64 = value("would be lost (RPO)").parse().unwrap();
    let rto: u64 = value("restored within (RTO)").parse().unwrap();
    println!("| drill of {rows} rows | RPO {rpo} s | RTO {rto} s |");
    assert!(rpo <= RPO && rto > 0, "RPO {rpo} s, RTO {rto} s");
}

/// Every row of the single machine is there, and all that its visitors send from then on.
pub fn an_import_brings_every_row_of_a_single_machine(site: &Site, saved: &Saved) {
    let import = ["import", saved.file.to_str().unwrap(), "--yes"];
    let run = site.production(&import).success();
    let total: u64 = saved.rows.values().flat_map(|it| it.values()).sum();
    run.says(&format!(": {total} rows"));

    for (database, expected) in &saved.rows {
        let found = parse_counts(&site.sql(database, COUNT_EACH));
        for (table, rows) in expected {
            // The jobs may add an account of production's.
            let found = found.get(table).copied().unwrap_or_default();
            assert!(
                found >= *rows,
                "{database}: {found} of {rows} rows of {table}"
            );
        }
    }
    assert_eq!(site.sql("umami_db", FINGERPRINT), saved.fingerprint);
    let upload = [
        "exec",
        &site.container("glitchtip-web"),
        "cat",
        "/code/uploads/laptop",
    ];
    assert_eq!(site.docker(&upload), "mine\n");

    let load = Load::start(site, &["n1"], 10);
    crate::rig::until("fifty requests", || load.count() >= 50);
    load.finish().are_all_stored(site, "after an import");
}

/// All rows of a database.
fn rows_of(site: &Site, database: &str) -> u64 {
    let counts = site.sql(database, COUNT_EACH);
    parse_counts(&counts).values().sum()
}
