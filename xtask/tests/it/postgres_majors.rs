//! The way to a new major version of PostgreSQL and back, as deploy/analytics/README.md tells it.

use std::path::PathBuf;

use crate::checkout::{Checkout, Run};
use crate::documentation::markdown::{Block, blocks, read};

const SECTION: &str = "A new major version of PostgreSQL";

#[test]
#[ignore = "starts containers"]
fn the_data_goes_to_postgresql_17_and_back() {
    there_and_back("analytics-standin/postgres:17", "17");
}

#[test]
#[ignore = "starts containers"]
fn the_data_goes_to_the_layout_of_the_image_of_postgresql_18_and_back() {
    there_and_back("analytics-standin/postgres:17-layout18", "17");
}

#[expect(
    clippy::too_many_lines,
    reason = "one story, step by step as the README tells it"
)]
fn there_and_back(image: &str, version: &str) {
    let checkout = Checkout::with_stack();
    // The image is the matter of `.env` here.
    checkout.replace(
        "docker-compose.override.yml",
        "    image: analytics-standin/postgres:15\n",
        "",
    );
    checkout.write(".env", "POSTGRES_IMAGE=analytics-standin/postgres:15\n");
    checkout.xtask(&["up"]).success();
    checkout.xtask(&["verify"]).success();
    checkout.sql(
        "umami_db",
        "create table kept as select n, md5(n::text) as text from generate_series(1, 5000) as n; \
         alter table kept owner to umami",
    );
    let before = fingerprint(&checkout);

    // Each block of the section is one step.
    let steps = steps();
    let [save, setting, volume, restore, delete] = &steps[..] else {
        panic!("the section has other steps: {steps:#?}");
    };
    assert_eq!(save.lines, ["cargo xtask backup", "cargo xtask down"]);
    let file = checkout.xtask(&["backup"]).success().stdout;
    let file = PathBuf::from(file.trim_end());
    checkout.xtask(&["down"]).success();

    let old_settings = ["docker-compose.override.yml", ".env"].map(|name| checkout.read(name));
    let [variable] = &setting.lines[..] else {
        panic!("more than an image: {setting:?}");
    };
    let (name, _) = variable.split_once('=').unwrap();
    checkout.replace(
        ".env",
        "POSTGRES_IMAGE=analytics-standin/postgres:15",
        &format!("{name}={image}"),
    );
    let volume = volume.lines.join("\n");
    let new_volume = format!("{}_postgres_data_17", checkout.project);
    let volume = volume.replace("analytics_postgres_data_17", &new_volume);
    let text = format!("{}{volume}\n", old_settings[0]);
    checkout.write("docker-compose.override.yml", &text);

    assert_eq!(restore.lines, ["cargo xtask restore FILE"]);
    checkout
        .xtask(&["restore", file.to_str().unwrap(), "--yes"])
        .success();
    let running = checkout.sql("postgres", "show server_version");
    assert!(running.starts_with(version), "{running} runs");
    no_container_has_an_unnamed_volume(&checkout);
    assert_eq!(fingerprint(&checkout), before);
    checkout.xtask(&["verify"]).success();
    // What runs there can be saved there, and doctor finds its data.
    checkout.xtask(&["backup"]).success();
    let doctor = checkout.xtask(&["doctor"]).stdout;
    assert!(
        doctor.contains(&format!("PostgreSQL {version}")),
        "{doctor}"
    );

    // Back: both settings undone, and `up`.
    checkout.write("docker-compose.override.yml", &old_settings[0]);
    checkout.write(".env", &old_settings[1]);
    checkout.xtask(&["up"]).success();
    assert!(
        checkout
            .sql("postgres", "show server_version")
            .starts_with("15")
    );
    assert_eq!(fingerprint(&checkout), before);
    checkout.xtask(&["verify"]).success();

    // Nothing uses the other volume any more.
    assert!(delete.lines[0].starts_with("docker volume rm "));
    let mut remove = checkout.command("docker");
    Run::of(remove.args(["volume", "rm", &new_volume])).success();
}

fn steps() -> Vec<Block> {
    let blocks = blocks(&read("deploy/analytics/README.md"));
    let section = blocks.into_iter().filter(|block| block.section == SECTION);
    section.collect()
}

/// Every table of both applications by name, rows and content, but for what `verify` and time change.
fn fingerprint(checkout: &Checkout) -> String {
    let umami = "select count(*), md5(string_agg(kept::text, ',' order by n)) from kept";
    let tables = "select string_agg(relname, ',' order by relname) from pg_class \
                  where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace";
    let accounts =
        "select string_agg(user_id::text || username, ',' order by username) from \"user\"";
    let websites = "select string_agg(website_id::text || name, ',' order by name) from website";
    let owners = "select datname, pg_get_userbyid(datdba) from pg_database where not datistemplate order by 1";
    [
        checkout.sql("umami_db", umami),
        checkout.sql("umami_db", tables),
        checkout.sql("umami_db", accounts),
        checkout.sql("umami_db", websites),
        checkout.sql("glitchtip_db", tables),
        checkout.sql("postgres", owners),
    ]
    .join("\n")
}

/// A volume that the image declares and nothing is mounted at would stay behind with each container.
#[track_caller]
fn no_container_has_an_unnamed_volume(checkout: &Checkout) {
    for service in ["postgres", "postgres-init", "umami-accounts"] {
        let format = "{{range .Mounts}}{{.Type}} {{.Name}} {{.Destination}}\n{{end}}";
        let container = checkout.container(service);
        let mut inspect = checkout.command("docker");
        let run = Run::of(inspect.args(["inspect", "--format", format, &container])).success();
        let volumes = run
            .stdout
            .lines()
            .filter(|line| line.starts_with("volume "));
        for volume in volumes {
            assert!(volume.contains(&checkout.project), "{service} has {volume}");
        }
    }
}
