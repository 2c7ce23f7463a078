//! The way to a new major version of PostgreSQL and back, as deploy/analytics/README.md tells it.

use crate::checkout::{Checkout, Run};
use crate::documentation::markdown::{Block, blocks, read};

const OLD_IMAGE: &str = "POSTGRES_IMAGE=analytics-standin/postgres:15";
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

/// Each block of the section is one step.
fn there_and_back(image: &str, version: &str) {
    let steps = steps();
    let [save, setting, volume, restore, delete] = &steps[..] else {
        panic!("the section has other steps: {steps:#?}");
    };
    assert_eq!(save.lines, ["cargo xtask backup", "cargo xtask down"]);
    assert_eq!(restore.lines, ["cargo xtask restore FILE"]);
    assert!(delete.lines[0].starts_with("docker volume rm "));

    let checkout = with_data_of_15();
    let before = fingerprint(&checkout);
    let file = checkout.xtask(&["backup"]).success().stdout;
    checkout.xtask(&["down"]).success();
    let files = ["docker-compose.override.yml", ".env"];
    let old_settings = files.map(|name| checkout.read(name));

    let new_volume = set(&checkout, image, [setting, volume]);
    let restore = ["restore", file.trim_end(), "--yes"];
    checkout.xtask(&restore).success();
    assert!(server_version(&checkout).starts_with(version));
    assert_eq!(fingerprint(&checkout), before);
    no_container_has_an_unnamed_volume(&checkout);
    checkout.xtask(&["verify"]).success();
    checkout.xtask(&["backup"]).success();
    let doctor = checkout.xtask(&["doctor"]).stdout;
    assert!(
        doctor.contains(&format!("PostgreSQL {version}")),
        "{doctor}"
    );

    // Back: both settings undone, and `up`.
    for (name, text) in files.iter().zip(&old_settings) {
        checkout.write(name, text);
    }
    checkout.xtask(&["up"]).success();
    assert!(server_version(&checkout).starts_with("15"));
    assert_eq!(fingerprint(&checkout), before);
    checkout.xtask(&["verify"]).success();

    // Nothing uses the other volume any more.
    let mut remove = checkout.command("docker");
    Run::of(remove.args(["volume", "rm", &new_volume])).success();
}

/// A stack on PostgreSQL 15 that takes its image from `.env`, as a user's does.
fn with_data_of_15() -> Checkout {
    let checkout = Checkout::with_stack();
    let image = "    image: analytics-standin/postgres:15\n";
    checkout.replace("docker-compose.override.yml", image, "");
    checkout.write(".env", &format!("{OLD_IMAGE}\n"));
    checkout.xtask(&["up"]).success();
    checkout.xtask(&["verify"]).success();
    checkout.sql(
        "umami_db",
        "create table kept as select n, md5(n::text) as text from generate_series(1, 5000) as n; \
         alter table kept owner to umami",
    );
    checkout
}

/// Makes the settings that two blocks show, with this image and this project's name; returns the volume's name.
fn set(checkout: &Checkout, image: &str, [setting, volume]: [&Block; 2]) -> String {
    let [variable] = &setting.lines[..] else {
        panic!("more than an image: {setting:?}");
    };
    let (name, _) = variable.split_once('=').unwrap();
    checkout.replace(".env", OLD_IMAGE, &format!("{name}={image}"));

    let documented = "analytics_postgres_data_17";
    let volume = volume.lines.join("\n");
    assert!(volume.contains(documented), "{volume}");
    let new_volume = format!("{}_postgres_data_17", checkout.project);
    let text = checkout.read("docker-compose.override.yml");
    let text = format!("{text}{}\n", volume.replace(documented, &new_volume));
    checkout.write("docker-compose.override.yml", &text);
    new_volume
}

fn server_version(checkout: &Checkout) -> String {
    checkout.sql("postgres", "show server_version")
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
