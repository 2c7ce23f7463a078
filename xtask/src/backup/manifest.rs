//! The backup file: a tar of its parts, then a manifest that describes them, then their checksums.
//!
//! `tar --extract` and `sha256sum --check SHA256SUMS` open one without us. Must accept no file in which a
//! single bit differs from what was written.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::docker::versions::Version;
use crate::problem::Problem;
use crate::terminal::text::render_timestamp;

/// The format of a complete backup, which every xtask reads.
pub const COMPLETE: u32 = 1;
/// The format of one from which something is missing. A file with a higher number is none that we can read.
pub const PARTIAL: u32 = 2;
pub const BLOCK: u64 = 512;
pub const MANIFEST: &str = "manifest.json";
pub const SUMS: &str = "SHA256SUMS";
/// The end of a tar.
pub const END: [u8; 2 * BLOCK as usize] = [0; 2 * BLOCK as usize];

/// What is in a backup file.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The file's name.
    pub name: String,
    /// RFC 3339 in UTC.
    pub made_at: String,
    /// The Compose project that it was made of.
    pub project: String,
    /// Whether it has been restored once, and everything in it counted.
    pub verified: bool,
    /// The server's version; empty where its data is missing.
    pub postgres: String,
    /// By service.
    pub applications: BTreeMap<String, Application>,
    /// By service.
    pub databases: BTreeMap<String, Database>,
    /// By name, without the manifest and the checksums.
    pub parts: BTreeMap<String, Part>,
    /// What could not be saved, and why: databases by service, `redis`, `uploads`. Empty in a complete
    /// backup.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Application {
    /// The name of the image.
    pub image: String,
    pub image_id: String,
    /// Where the image says it.
    pub version: Option<String>,
}

/// One database, as one snapshot of it shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Database {
    /// How many rows each table has, by its quoted name.
    pub tables: BTreeMap<String, u64>,
    /// The migration that was applied last.
    pub migration: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Bytes.
    pub size: u64,
    /// Hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// Reads what a file of ours holds as its manifest.
    ///
    /// # Errors
    /// When a newer xtask wrote it.
    pub fn parse(json: &str) -> Result<Manifest, String> {
        #[derive(Deserialize)]
        struct Numbered {
            format: u32,
        }
        match serde_json::from_str::<Numbered>(json) {
            Ok(found) if found.format > PARTIAL => {
                return Err(format!(
                    "a newer xtask made it (format {}, this one reads {PARTIAL}); `git pull` and repeat",
                    found.format
                ));
            }
            _ => {}
        }
        serde_json::from_str(json).map_err(|error| format!("its manifest cannot be read: {error}"))
    }

    /// Whether it brings back all data.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// `verified`, `not verified`, or what is missing.
    pub fn state(&self) -> String {
        if !self.is_complete() {
            return format!("partial: no {}", self.missing_names());
        }
        let state = if self.verified {
            "verified"
        } else {
            "not verified"
        };
        state.to_owned()
    }

    /// Whether anything in it can be restored: files that were kept as they are cannot.
    pub fn brings_anything(&self) -> bool {
        let names = [super::save::REDIS, super::save::UPLOADS];
        !self.databases.is_empty() || names.iter().any(|name| self.parts.contains_key(*name))
    }

    /// The names of what is missing: `redis, umami`.
    pub fn missing_names(&self) -> String {
        let names: Vec<&str> = self.missing.keys().map(String::as_str).collect();
        names.join(", ")
    }

    /// How many rows all its tables have.
    pub fn rows(&self) -> u64 {
        self.databases
            .values()
            .flat_map(|database| database.tables.values())
            .sum()
    }
}

/// `analytics-2026-11-22T17-42-29Z.tar`: sorts by time, and is a file name everywhere.
pub fn file_name(project: &str, seconds: u64) -> String {
    format!(
        "{project}-{}.tar",
        render_timestamp(seconds).replace(':', "-")
    )
}

/// Whether `name` is one that [`file_name`] gives for `project`.
pub fn is_file_name(project: &str, name: &str) -> bool {
    let stamp = name
        .strip_prefix(project)
        .and_then(|rest| rest.strip_prefix('-')?.strip_suffix(".tar"));
    stamp.is_some_and(|stamp| {
        stamp.len() == "2026-11-22T17-42-29Z".len()
            && stamp
                .bytes()
                .zip("0000-00-00T00-00-00Z".bytes())
                .all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == shape,
                })
    })
}

/// How many bytes of zeros follow a part of this size.
pub fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK) - size) as usize
}

/// The header of a part: POSIX ustar; from 8 GiB on with the size in binary, as GNU and busybox know it.
pub fn render_header(name: &str, size: u64) -> [u8; BLOCK as usize] {
    let mut header = [0; BLOCK as usize];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000600\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    match size {
        ..0o100_000_000_000 => put(124, format!("{size:011o}\0").as_bytes()),
        _ => {
            put(124, &[0x80, 0, 0, 0]);
            put(128, &size.to_be_bytes());
        }
    }
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Name and size of a part; `None` for the zeros at the end.
///
/// # Errors
/// When it is not exactly what [`render_header`] makes.
pub fn parse_header(header: &[u8; BLOCK as usize]) -> Result<Option<(String, u64)>, &'static str> {
    if header.iter().all(|&byte| byte == 0) {
        return Ok(None);
    }
    let name = header[..100]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    let name = String::from_utf8_lossy(name).into_owned();
    let size = match header[124] {
        0x80 => header[128..136]
            .iter()
            .fold(0, |size: u64, &byte| size << 8 | u64::from(byte)),
        _ => {
            let digits = std::str::from_utf8(&header[124..135]).map_err(|_| NO_HEADER)?;
            u64::from_str_radix(digits, 8).map_err(|_| NO_HEADER)?
        }
    };
    if name.len() >= 100 || render_header(&name, size) != *header {
        return Err(NO_HEADER);
    }
    Ok(Some((name, size)))
}

const NO_HEADER: &str = "what should be the header of a part is none";

/// The part [`SUMS`]: what `sha256sum` prints for these parts.
pub fn render_sums(parts: &BTreeMap<String, Part>) -> String {
    parts
        .iter()
        .map(|(name, part)| format!("{}  {name}\n", part.sha256))
        .collect()
}

/// What psql said while it dumped or counted: rows, the last migration, the server's version.
#[derive(Debug, Default)]
pub struct Said {
    pub database: Database,
    pub version: String,
    /// Whether it came to its end.
    pub is_complete: bool,
    /// What was not meant for us.
    pub warnings: Vec<String>,
}

/// Reads the lines that `count.sql` and `dump.sql` print.
pub fn parse_said(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines() {
        let mut fields = line.splitn(3, '|');
        match (fields.next(), fields.next(), fields.next()) {
            (Some("rows"), Some(count), Some(table)) => {
                said.database
                    .tables
                    .insert(table.to_owned(), count.parse().unwrap_or(0));
            }
            (Some("migration"), Some(_), Some(name)) => {
                said.database.migration = Some(name.to_owned());
            }
            (Some("version"), Some(version), None) => said.version = version.to_owned(),
            (Some("complete"), None, None) => said.is_complete = true,
            _ => said.warnings.push(line.to_owned()),
        }
    }
    said
}

/// Reads what `restore.sh` prints: the databases that came back, by service; `None` unless it came to its end.
pub fn parse_restored(text: &str) -> Option<BTreeMap<String, Database>> {
    let sections = text.strip_suffix("complete\n")?.split("database|").skip(1);
    Some(
        sections
            .filter_map(|section| section.split_once('\n'))
            .map(|(service, rows)| (service.to_owned(), parse_said(rows).database))
            .collect(),
    )
}

/// The first table in which what was restored is not what was saved.
pub fn difference(saved: &Database, found: &Database) -> Option<String> {
    let tables = saved.tables.keys().chain(found.tables.keys());
    let count = |database: &Database, table: &String| match database.tables.get(table) {
        Some(rows) => format!("{rows} rows"),
        None => "no such table".to_owned(),
    };
    let table = tables
        .into_iter()
        .find(|&table| saved.tables.get(table) != found.tables.get(table))?;
    Some(format!(
        "{table}: {} were saved, {} came back",
        count(saved, table),
        count(found, table)
    ))
}

/// What an image knows: its version and the names of its migrations.
#[derive(Debug, Default)]
pub struct Known {
    pub version: Option<String>,
    pub migrations: Vec<String>,
}

/// Reads the lines that `version.sh` prints.
pub fn parse_known(text: &str) -> Known {
    let of = |word: &'static str| {
        text.lines()
            .filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    };
    Known {
        version: of("version").next().map(str::to_owned),
        migrations: of("migration").map(str::to_owned).collect(),
    }
}

/// Why `service` of a backup cannot run with an image: it is from a newer version of the application.
pub fn refusal(service: &str, manifest: &Manifest, known: &Known, image: &str) -> Option<Problem> {
    let application = manifest.applications.get(service)?;
    let saved = application.version.as_deref().and_then(Version::parse);
    let here = known.version.as_deref().and_then(Version::parse);
    let last = manifest.databases.get(service)?.migration.as_ref();
    let what = match (saved, here) {
        (Some(saved), Some(here)) if saved > here => {
            format!("the backup is of {service} {saved}, and {image} is {here}")
        }
        (Some(_), Some(_)) => return None,
        // Without versions the last migration tells; older ones may have been squashed since.
        _ => {
            let is_unknown =
                |last: &&String| !known.migrations.is_empty() && !known.migrations.contains(last);
            let last = last.filter(is_unknown)?;
            format!(
                "the backup is of a newer {service}: {image} does not know its migration {last}"
            )
        }
    };
    Some(Problem::new(what).hint(format!(
        "set the image in deploy/analytics/.env to the one it was made with ({}) or a newer one",
        application.image
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_header(name: &str, size: u64) {
        let header = render_header(name, size);
        assert_eq!(parse_header(&header), Ok(Some((name.to_owned(), size))));
        for bit in 0..header.len() * 8 {
            let mut flipped = header;
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = parse_header(&flipped);
            assert!(
                found.is_err(),
                "bit {bit} of the header was flipped, and it was read as {found:?}"
            );
        }
    }

    #[test]
    fn a_header_is_read_back_and_no_bit_of_it_can_change() {
        check_header("umami.dump", 0);
        check_header("umami.dump", 1);
        check_header("uploads.tar", 0o77_777_777_777);
        check_header("uploads.tar", 0o100_000_000_000);
        check_header("uploads.tar", 1 << 50);
        assert_eq!(parse_header(&[0; 512]), Ok(None));
    }

    #[test]
    fn names_tell_the_project_and_the_time() {
        let name = file_name("analytics", 1_795_369_349);
        assert_eq!(name, "analytics-2026-11-22T17-42-29Z.tar");
        assert!(is_file_name("analytics", &name));
        for other in [
            "analytics-2026-11-22T17-42-29Z.tar.gz",
            "analytics-notes.tar",
            "other-2026-11-22T17-42-29Z.tar",
        ] {
            assert!(!is_file_name("analytics", other), "{other}");
        }
        // A project whose name begins like ours is another one.
        assert!(!is_file_name(
            "analytics",
            "analytics-2-2026-11-22T17-42-29Z.tar"
        ));
    }

    fn database(tables: &[(&str, u64)]) -> Database {
        let tables = tables
            .iter()
            .map(|&(name, rows)| (name.to_owned(), rows))
            .collect();
        Database {
            tables,
            migration: None,
        }
    }

    #[test]
    fn every_difference_is_seen() {
        let saved = database(&[("public.a", 1), ("public.b", 2)]);
        assert_eq!(difference(&saved, &saved), None);
        let check = |found: &[(&str, u64)], text: &str| {
            assert_eq!(difference(&saved, &database(found)).as_deref(), Some(text));
        };
        check(
            &[("public.a", 1), ("public.b", 1)],
            "public.b: 2 rows were saved, 1 rows came back",
        );
        check(
            &[("public.a", 1)],
            "public.b: 2 rows were saved, no such table came back",
        );
        check(
            &[("public.a", 1), ("public.b", 2), ("public.c", 0)],
            "public.c: no such table were saved, 0 rows came back",
        );
    }

    #[test]
    fn what_psql_says_is_told_from_its_warnings() {
        let said = parse_said(
            "version|15.18\nrows|3|public.\"a|b\"\nmigration|last|20_next\nNOTICE: x\ncomplete\n",
        );
        assert_eq!(
            said.database.tables,
            BTreeMap::from([("public.\"a|b\"".to_owned(), 3)])
        );
        assert_eq!(said.database.migration.as_deref(), Some("20_next"));
        assert_eq!((said.version.as_str(), said.is_complete), ("15.18", true));
        assert_eq!(said.warnings, ["NOTICE: x"]);
        assert!(!parse_said("rows|3|public.a\n").is_complete);
    }

    fn manifest(version: Option<&str>, migration: &str) -> Manifest {
        let application = Application {
            image: "umami:3".to_owned(),
            image_id: "sha256:0".to_owned(),
            version: version.map(str::to_owned),
        };
        let database = Database {
            migration: Some(migration.to_owned()),
            ..Database::default()
        };
        Manifest {
            format: COMPLETE,
            name: String::new(),
            made_at: String::new(),
            project: String::new(),
            verified: false,
            postgres: "15.18".to_owned(),
            applications: BTreeMap::from([("umami".to_owned(), application)]),
            databases: BTreeMap::from([("umami".to_owned(), database)]),
            parts: BTreeMap::new(),
            missing: BTreeMap::new(),
        }
    }

    #[track_caller]
    fn check_refusal(version: Option<&str>, migration: &str, known: &str, refused: Option<&str>) {
        let found = refusal(
            "umami",
            &manifest(version, migration),
            &parse_known(known),
            "umami:3.1",
        );
        match refused {
            Some(text) => assert!(
                found
                    .as_ref()
                    .is_some_and(|found| found.what.contains(text)),
                "{found:?}"
            ),
            None => assert_eq!(found, None),
        }
    }

    #[test]
    fn only_what_is_newer_is_refused() {
        check_refusal(Some("3.1.0"), "19", "version 3.1.0\nmigration 19\n", None);
        check_refusal(Some("3.0.0"), "gone", "version 3.1.0\nmigration 19\n", None);
        check_refusal(
            Some("3.2.0"),
            "20",
            "version 3.1.0\nmigration 19\n",
            Some("umami 3.2.0"),
        );
        check_refusal(None, "19", "migration 18\nmigration 19\n", None);
        check_refusal(
            None,
            "20_next",
            "migration 18\nmigration 19\n",
            Some("20_next"),
        );
        check_refusal(None, "20_next", "", None);
    }

    #[test]
    fn a_complete_manifest_is_written_as_it_always_was() {
        let complete = serde_json::to_value(manifest(None, "19")).unwrap();
        assert!(complete.get("missing").is_none());
        assert_eq!(complete["format"], 1);
        assert!(
            Manifest::parse(&complete.to_string())
                .unwrap()
                .is_complete()
        );
    }

    #[test]
    fn a_partial_backup_names_what_is_missing() {
        let mut partial = manifest(None, "19");
        partial.verified = true;
        assert_eq!(partial.state(), "verified");
        let why = "redis does not start".to_owned();
        partial.missing.insert("redis".to_owned(), why);
        let read = Manifest::parse(&serde_json::to_string(&partial).unwrap()).unwrap();
        assert_eq!(read.state(), "partial: no redis");
    }

    #[test]
    fn a_manifest_of_a_newer_format_is_refused_by_name() {
        let mut newer = serde_json::to_value(manifest(None, "19")).unwrap();
        assert!(Manifest::parse(&newer.to_string()).is_ok());
        newer["format"] = 3.into();
        newer["applications"] = "something else".into();
        assert!(
            Manifest::parse(&newer.to_string())
                .unwrap_err()
                .contains("newer xtask")
        );
    }
}
