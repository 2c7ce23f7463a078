//! Releases of one node that follow each other under load: new secrets, and the release before.

use crate::load::Load;
use crate::site::Site;

const RATE: usize = 10;

const PASSWORDS: [&str; 2] = ["UMAMI_DATABASE_PASSWORD", "GLITCHTIP_DATABASE_PASSWORD"];

/// What the applications log in as: the first and the second of two that take turns.
const FIRST: &str = "glitchtip_a umami_a";
const SECOND: &str = "glitchtip_b umami_b";
const BOTH: &str = "glitchtip_a glitchtip_b umami_a umami_b";

/// New passwords of the databases with an image of another name; then everything as it was.
pub fn neither_new_secrets_nor_the_way_back_cost_a_request(site: &Site) {
    let image = "analytics-standin/umami:other";
    site.docker(&["tag", &site.variable("UMAMI_IMAGE"), image]);
    site.set("UMAMI_IMAGE", image);
    let before = site.deployed();
    let passwords = PASSWORDS.map(|key| site.variable(key));
    assert_eq!(open_logins(site), FIRST);

    let load = Load::start(site, &["n1"], RATE);
    let run = site.production(&["rotate", "--watch", "10"]);
    let answers = load.finish();
    run.success().says("rotated UMAMI_DATABASE_PASSWORD");
    answers.are_all_stored(site, "new passwords of both databases");
    for (key, old) in PASSWORDS.iter().zip(passwords) {
        assert_ne!(site.variable(key), old, "{key}");
    }
    // Whoever is served from now on logs in by the other ones.
    assert_eq!(open_logins(site), SECOND);
    assert!(site.deployed() != before);

    let load = Load::start(site, &["n1"], RATE);
    let run = site.production(&["rollback", "--yes"]);
    let answers = load.finish();
    run.success().says("rolled back: release");
    answers.are_all_stored(site, "back to the release before");
    assert_eq!(site.deployed(), before);
    assert_eq!(open_logins(site), BOTH);
}

/// The roles of the applications that may log in.
fn open_logins(site: &Site) -> String {
    let query = "select string_agg(rolname, ' ' order by rolname) from pg_roles \
                 where rolcanlogin and rolname ~ '^(umami|glitchtip)'";
    site.sql("postgres", query)
}
