//! Operations on backups: jobs of operation.yml, which print one line of JSON at their end.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Swarm;
use super::files::OPERATION;
use super::jobs::Job;
use super::release::Release;

/// A backup or a drill of a large database takes its time.
const TIMEOUT: Duration = Duration::from_secs(6 * 3600);

/// A backup that was made.
#[derive(Debug, Deserialize)]
pub struct Backup {
    /// As pgBackRest names it.
    pub label: String,
}

/// How backups, archive and drills stand.
#[derive(Debug, Default, Deserialize)]
pub struct Standing {
    /// Whether it takes none any more; `None` where PostgreSQL does not answer.
    pub archive_failing: Option<bool>,
    pub last_passed_drill: Option<String>,
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
        let stanzas = self.pgbackrest.iter().flatten();
        let sets = stanzas.flat_map(|stanza| &stanza.backup);
        sets.max_by_key(|set| set.timestamp.stop)
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
        file.take_image(&release.stack, "postgres");
        let stack = format!("{}-operation", self.name);
        let printed = self.run_job(&Job {
            stack: &stack,
            file: &file,
            name: "operation",
            timeout: TIMEOUT,
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
    fn the_last_line_of_json_counts() {
        let printed = "doing {this}\n{\"label\":\"a\"}\n{\"label\":\"b\"}\nbye";
        let json: serde_json::Value = parse(printed).unwrap();
        assert_eq!(json["label"], "b");
        assert!(parse::<serde_json::Value>("nothing").is_err());
    }
}
