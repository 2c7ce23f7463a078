//! Operations on backups: jobs of operation.yml, which print one line of JSON at their end.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Swarm;
use super::files::OPERATION;
use super::jobs::Job;
use super::release::Release;
use crate::problem::Problem;
use crate::terminal::text::{parse_timestamp, render_table, render_timestamp};

/// A backup or a drill of a large database takes its time.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// It asks the bucket, which answers within a minute or not at all.
const LOOK_TIMEOUT: Duration = Duration::from_secs(300);

/// A backup that was made.
#[derive(Debug, Deserialize)]
pub struct Backup {
    /// As pgBackRest names it.
    pub label: String,
    /// full, diff or incr.
    #[serde(rename = "type")]
    pub kind: String,
    pub seconds: u64,
    /// What it added to the bucket.
    pub repository_bytes: u64,
}

/// A cluster that was restored beside the one in use.
#[derive(Debug, Deserialize)]
pub struct Restored {
    pub cluster: String,
    /// The last change that it has; none where nothing was changed after the backup.
    recovered_to: Option<String>,
    /// Rows of each database.
    rows: BTreeMap<String, Option<u64>>,
    /// The same of the databases in use, where they answer.
    live_rows: Option<BTreeMap<String, Option<u64>>>,
}

impl Restored {
    pub fn recovered_to(&self) -> &str {
        self.recovered_to.as_deref().unwrap_or("the backup")
    }

    /// A row a database: what it would have, and what it has.
    pub fn render(&self) -> String {
        let count = |rows: &BTreeMap<String, Option<u64>>, name: &str| {
            let rows = rows.get(name).copied().flatten();
            rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string())
        };
        let nothing = BTreeMap::new();
        let live = self.live_rows.as_ref().unwrap_or(&nothing);
        let mut table = vec![
            ["DATABASE", "ROWS RESTORED", "ROWS IN USE"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for name in self.rows.keys() {
            table.push(vec![
                name.clone(),
                count(&self.rows, name),
                count(live, name),
            ]);
        }
        format!(
            "{}recovered to {}\n",
            render_table(&table),
            self.recovered_to()
        )
    }
}

/// A point that the databases can go back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// As PostgreSQL's log of changes has it.
    pub name: String,
    /// The time in UTC that a restore takes; `None` where there were no databases yet.
    pub at: Option<String>,
}

impl Mark {
    /// The command that goes back to it.
    pub fn way_back(&self) -> Option<String> {
        let at = self.at.as_ref()?;
        Some(format!("cargo xtask production restore --at '{at}'"))
    }
}

/// A cluster that PostgreSQL uses from its next start on.
#[derive(Debug, Deserialize)]
pub struct Switch {
    pub cluster: String,
    /// The one in use until then.
    pub was: String,
}

/// A test restore.
#[derive(Debug, Deserialize)]
pub struct Drill {
    pub passed: bool,
    backup: String,
    /// Seconds of changes that a loss at its beginning would have cost.
    rpo_seconds: Option<f64>,
    /// Seconds that it took.
    rto_seconds: f64,
    rows: BTreeMap<String, Option<u64>>,
}

impl Drill {
    pub fn render(&self) -> String {
        let result = if self.passed { "passed" } else { "failed" };
        let lost = self
            .rpo_seconds
            .map_or_else(|| "-".to_owned(), |it| format!("{it:.0} s"));
        let mut table = vec![
            vec!["drill".to_owned(), result.to_owned()],
            vec!["backup".to_owned(), self.backup.clone()],
            vec!["would be lost (RPO)".to_owned(), lost],
            vec![
                "restored within (RTO)".to_owned(),
                format!("{:.0} s", self.rto_seconds),
            ],
        ];
        for (name, rows) in &self.rows {
            let rows = rows.map_or_else(|| "-".to_owned(), |rows| rows.to_string());
            table.push(vec![format!("rows of {name}"), rows]);
        }
        render_table(&table)
    }
}

/// Databases that were imported.
#[derive(Debug, Deserialize)]
pub struct Imported {
    rows: BTreeMap<String, Option<u64>>,
}

impl Imported {
    /// Reads what import.sh prints.
    ///
    /// # Errors
    /// When it is something else.
    pub fn parse(printed: &str) -> anyhow::Result<Imported> {
        parse(printed).context("reading what import.sh printed")
    }

    /// The rows of all databases.
    pub fn total(&self) -> u64 {
        self.rows.values().flatten().sum()
    }
}

/// A time as the operation `restore` takes it, from RFC 3339 or `2026-11-25 13:55:47`, both in UTC.
///
/// # Errors
/// When it is another form, with one that is right.
pub fn parse_target(text: &str) -> Result<String, Problem> {
    let plain = text.trim().trim_end_matches("+00").trim_end_matches('Z');
    let seconds = parse_timestamp(plain).filter(|_| plain.len() == EXAMPLE.len());
    let Some(seconds) = seconds else {
        let problem = Problem::new(format!("\"{text}\" is no time in UTC"));
        return Err(problem.hint(format!("write it as in `--at '{EXAMPLE}'`")));
    };
    let text = render_timestamp(seconds);
    Ok(text.replace('T', " ").replace('Z', "+00"))
}

const EXAMPLE: &str = "2026-11-25 13:55:47";

/// How backups, archive and drills stand.
#[derive(Debug, Default, Deserialize)]
pub struct Standing {
    /// Whether it takes none any more; `None` where PostgreSQL does not answer.
    pub archive_failing: Option<bool>,
    pub last_passed_drill: Option<String>,
    /// Bytes of all databases.
    pub database_bytes: Option<u64>,
    /// Bytes that are free on the disk with them.
    pub free_bytes: Option<u64>,
    /// What pgBackRest says of each repository; `None` where the bucket does not answer.
    pub pgbackrest: Option<Vec<Stanza>>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Stanza {
    #[serde(default)]
    pub backup: Vec<BackupSet>,
}

#[derive(Debug, Deserialize)]
pub struct BackupSet {
    pub label: String,
    pub timestamp: Timestamps,
}

#[derive(Debug, Deserialize)]
pub struct Timestamps {
    /// Seconds since 1970.
    pub stop: u64,
}

impl Standing {
    /// The newest backup.
    pub fn newest(&self) -> Option<&BackupSet> {
        self.sets().max_by_key(|set| set.timestamp.stop)
    }

    /// The oldest backup that is kept.
    pub fn oldest(&self) -> Option<&BackupSet> {
        self.sets().min_by_key(|set| set.timestamp.stop)
    }

    fn sets(&self) -> impl Iterator<Item = &BackupSet> {
        let stanzas = self.pgbackrest.iter().flatten();
        stanzas.flat_map(|stanza| &stanza.backup)
    }
}

impl Swarm {
    /// Runs an operation with the image, the secrets and the configs of a release, and reads what it says at
    /// its end.
    ///
    /// # Errors
    /// When it fails: with its last lines.
    pub fn operate<T: DeserializeOwned>(
        &self,
        release: &Release,
        operation: &str,
        argument: &str,
    ) -> anyhow::Result<T> {
        let mut variables = vec![("OPERATION".to_owned(), operation.to_owned())];
        if !argument.is_empty() {
            variables.push(("OPERATION_ARGUMENT".to_owned(), argument.to_owned()));
        }
        let mut file = self.render(OPERATION, &variables)?;
        file.take_from(&release.stack);
        file.take_image(&release.stack, release.stack.database());
        let (stack, timeout) = match operation {
            "report" => (self.begin_look()?, LOOK_TIMEOUT),
            _ => (format!("{}-operation", self.name), TIMEOUT),
        };
        let printed = self.run_job(&Job {
            stack: &stack,
            file: &file,
            name: "operation",
            timeout,
        });
        let printed = printed.with_context(|| format!("running the operation {operation}"))?;
        parse(&printed).with_context(|| format!("reading what the operation {operation} printed"))
    }
}

/// The JSON in the last line.
fn parse<T: DeserializeOwned>(printed: &str) -> anyhow::Result<T> {
    let last = printed.lines().rfind(|line| line.starts_with('{'));
    let last = last.context("there is no line of JSON")?;
    Ok(serde_json::from_str(last)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_taken_in_utc_and_nothing_else() {
        for text in [
            "2026-11-25 13:55:47",
            "2026-11-25T13:55:47Z",
            "2026-11-25 13:55:47+00",
        ] {
            assert_eq!(parse_target(text).unwrap(), "2026-11-25 13:55:47+00");
        }
        for text in ["yesterday", "2026-11-25", "2026-11-25 13:55:47+02", "13:55"] {
            let problem = parse_target(text).unwrap_err();
            assert!(problem.what.contains(text));
            assert!(problem.hint.unwrap().contains(EXAMPLE));
        }
    }

    #[test]
    fn results_are_tables() {
        let restored: Restored = parse(
            r#"{"operation":"restore","cluster":"c","recovered_to":"2026-11-25 13:55:45+00",
                "rows":{"umami_db":9},"live_rows":{"umami_db":10},"seconds":15}"#
                .replace('\n', "")
                .as_str(),
        )
        .unwrap();
        assert_eq!(
            restored.render(),
            "DATABASE  ROWS RESTORED  ROWS IN USE\numami_db  9              10\n\
             recovered to 2026-11-25 13:55:45+00\n"
        );
        let drill: Drill = parse(
            r#"{"passed":true,"backup":"F","rpo_seconds":40,"rto_seconds":9,"rows":{"umami_db":8}}"#,
        )
        .unwrap();
        assert_eq!(
            drill.render(),
            "drill                  passed\nbackup                 F\nwould be lost (RPO)    40 s\n\
             restored within (RTO)  9 s\nrows of umami_db       8\n"
        );
    }

    #[test]
    fn the_last_line_of_json_counts() {
        let printed = "doing {this}\n{\"label\":\"a\"}\n{\"label\":\"b\"}\nbye";
        let json: serde_json::Value = parse(printed).unwrap();
        assert_eq!(json["label"], "b");
        assert!(parse::<serde_json::Value>("nothing").is_err());
    }
}
