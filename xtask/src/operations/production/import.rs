//! A backup of the stack on one machine becomes production's data. The databases from before stay beside the new
//! ones, and a backup of them is in the bucket.
//!
//! Must never leave the applications stopped.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use super::prove;
use super::release::{APPLICATIONS, roll_back, run_jobs};
use crate::backup::file::{self, Archive};
use crate::backup::manifest::Manifest;
use crate::backup::save::UPLOADS;
use crate::problem::Problem;
use crate::swarm::Swarm;
use crate::swarm::files::JOBS;
use crate::swarm::nodes::{DATA, Node};
use crate::swarm::operation::{Backup, Imported};
use crate::swarm::release::Release;
use crate::system::clock;
use crate::terminal::progress::Meter;
use crate::terminal::say;
use crate::terminal::text::render_timestamp;

/// What import.sh takes.
const DUMPS: [&str; 2] = ["umami.dump", "glitchtip.dump"];

/// Opens a backup file, with every byte of it checked.
///
/// # Errors
/// When it is damaged, or lacks a database.
pub fn open(path: &Path) -> anyhow::Result<(Archive, Manifest)> {
    let name = path.display();
    let (archive, manifest) =
        file::open_checked(path).with_context(|| format!("reading {name}"))?;
    let lacks = |dump: &&&str| !archive.parts.contains_key(**dump);
    if let Some(dump) = DUMPS.iter().find(lacks) {
        bail!(
            Problem::new(format!("{name} has no {dump}"))
                .hint("import a backup of both databases: `cargo xtask backup` makes one")
        );
    }
    Ok((archive, manifest))
}

/// The service of the PostgreSQL that is written to.
fn database(swarm: &Swarm) -> anyhow::Result<String> {
    if swarm.has_members()? {
        return Ok(swarm.leader()?.name);
    }
    Ok("postgres".to_owned())
}

/// Checks that the engine that is asked has the data: files are handed to containers there.
///
/// # Errors
/// When another node has it, with its name.
pub fn check_place(swarm: &Swarm, here: &str) -> anyhow::Result<()> {
    let nodes = swarm.nodes()?;
    let place = if swarm.has_members()? {
        Place::Member(swarm.leader()?.number().to_owned())
    } else {
        Place::Data
    };
    Ok(check_node(&nodes, &place, here)?)
}

/// Where the database is that is written to.
enum Place {
    /// On the node with the label of the data.
    Data,
    /// On the node with this member.
    Member(String),
}

fn check_node(nodes: &[Node], place: &Place, here: &str) -> Result<(), Problem> {
    let is_there = |node: &&Node| match place {
        Place::Data => node.has_label(DATA),
        Place::Member(number) => node.member() == Some(number.as_str()),
    };
    match nodes.iter().find(is_there) {
        Some(node) if node.id != here => {
            let name = node.hostname();
            let what = format!("the databases are on the node {name}, and another one is asked");
            let hint = format!("set TARGET in deploy/production/.env to the engine of {name}");
            Err(Problem::new(what).hint(hint))
        }
        _ => Ok(()),
    }
}

/// Replaces production's data by that of the archive, and proves that the applications are served with it. The
/// caller holds the lock; `here` is the id of the node whose engine is asked.
///
/// # Errors
/// When it does not work. The applications run again then.
pub fn run(
    swarm: &Swarm,
    release: &Release,
    archive: &mut Archive,
    (timeout, here): (Duration, &str),
) -> anyhow::Result<Imported> {
    say!("backing up what is in use");
    let backup: Backup = swarm.operate(release, "backup", "incr")?;
    say!("backed up: {}", backup.label);
    let before = render_timestamp(clock::now());

    say!("stopping the applications");
    let stopped = swarm.stop(&APPLICATIONS);
    let imported = stopped.and_then(|()| {
        let imported = replace(swarm, release, archive)?;
        run_jobs(swarm, release, &swarm.order_of(JOBS)?)?;
        Ok(imported)
    });
    say!("starting the applications");
    let started = roll_back(swarm, release, timeout);
    let imported = imported.with_context(|| undo(&before))?;
    started.with_context(|| undo(&before))?;
    prove::run(swarm, &release.stack, here).with_context(|| undo(&before))?;

    say!("backing up what is in use now");
    let backup: Backup = swarm.operate(release, "backup", "full")?;
    say!("backed up: {}", backup.label);
    Ok(imported)
}

fn undo(before: &str) -> Problem {
    let time = before.replace('T', " ").replace('Z', "");
    Problem::new("the import failed").hint(format!(
        "if the databases were replaced already, go back with `cargo xtask production restore --at '{time}'`"
    ))
}

fn replace(swarm: &Swarm, release: &Release, archive: &mut Archive) -> anyhow::Result<Imported> {
    let container = swarm.container_of(&database(swarm)?)?;
    let mut meter = Meter::of("importing databases", archive.size(&DUMPS));
    let exec = ["exec", "--interactive", &container, "import.sh"];
    let mut pipe = swarm.docker.docker().args(exec).pipe()?;
    pipe.write(|stdin| archive.send_tar(&DUMPS, stdin, &mut meter))?;
    let mut printed = String::new();
    pipe.stdout()?
        .read_to_string(&mut printed)
        .context("reading what import.sh printed")?;
    pipe.finish()?;
    meter.finish();
    let imported = Imported::parse(&printed)?;

    if archive.parts.contains_key(UPLOADS) {
        import_uploads(swarm, release, archive)?;
    }
    Ok(imported)
}

/// Where uploads are in a bucket, those of the file stay in the file.
fn import_uploads(swarm: &Swarm, release: &Release, archive: &mut Archive) -> anyhow::Result<()> {
    if !swarm.docker.values().text("UPLOADS_S3_BUCKET").is_empty() {
        say!("uploads are in a bucket, so those of the file were not imported");
        return Ok(());
    }
    let image = release
        .stack
        .service(release.stack.database())
        .map(|it| &it["image"]);
    let image = image.and_then(|it| it.as_str()).unwrap_or_default();
    let volume = format!("{}_glitchtip_uploads:/uploads", swarm.name);
    let run = [
        "run",
        "--rm",
        "--interactive",
        "--pull",
        "never",
        "--network",
        "none",
    ];
    let place = [
        "--user",
        "root",
        "--volume",
        &volume,
        "--entrypoint",
        "tar",
        image,
    ];
    let tar = ["-xf", "-", "-C", "/uploads"];
    let mut meter = Meter::of("importing uploads", archive.size(&[UPLOADS]));
    let run = swarm.docker.docker().args(run).args(place).args(tar);
    let mut pipe = run.pipe()?;
    pipe.write(|stdin| archive.send(UPLOADS, stdin, &mut meter))?;
    pipe.finish()?;
    meter.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::swarm::nodes::parse;

    #[test]
    fn files_are_handed_to_the_node_with_the_data_alone() {
        let node = r#"[{"ID":"a","Spec":{"Labels":{"analytics.data":"true","analytics.member":"1"},"Availability":"active"},
            "Description":{"Hostname":"n1"},"Status":{"State":"ready","Addr":"10.0.0.1"}}]"#;
        let nodes = parse(node).unwrap();
        assert_eq!(check_node(&nodes, &Place::Data, "a"), Ok(()));
        let member = Place::Member("1".to_owned());
        assert!(check_node(&nodes, &member, "b").is_err());
        let problem = check_node(&nodes, &Place::Data, "b").unwrap_err();
        assert!(problem.what.contains("on the node n1"), "{}", problem.what);
        assert!(problem.hint.unwrap().contains("TARGET"));
    }
}
