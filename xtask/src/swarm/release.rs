//! Releases: what was deployed and seen to work, kept in the swarm as configs. A release needs nothing but
//! the swarm to be deployed again.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::Swarm;
use super::objects::{Kind, New};
use super::operation::Mark;
use super::stackfile::StackFile;
use crate::problem::Problem;

/// How many are kept: the present one, and two that can be gone back to.
const KEPT: usize = 3;

/// The version of what a record holds.
const VERSION: u32 = 1;

/// A release that was seen to work.
#[derive(Clone, Debug)]
pub struct Release {
    pub number: u64,
    /// RFC 3339, in UTC.
    pub at: String,
    /// Who deployed it, and from where.
    pub by: String,
    pub stack: StackFile,
    /// The one-shots that belong to it.
    pub jobs: StackFile,
    /// The point before its jobs ran, which the databases can go back to.
    pub mark: Option<Mark>,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    number: u64,
    at: String,
    by: String,
    stack: String,
    jobs: String,
    #[serde(default)]
    mark: Option<Mark>,
}

impl Release {
    fn render(&self) -> anyhow::Result<String> {
        let record = Record {
            version: VERSION,
            number: self.number,
            at: self.at.clone(),
            by: self.by.clone(),
            stack: self.stack.render(),
            jobs: self.jobs.render(),
            mark: self.mark.clone(),
        };
        Ok(serde_json::to_string_pretty(&record)?)
    }

    fn parse(text: &str) -> anyhow::Result<Release> {
        let record: Record = serde_json::from_str(text).context("reading a release's record")?;
        Ok(Release {
            number: record.number,
            at: record.at,
            by: record.by,
            stack: StackFile::parse_release(&record.stack)?,
            jobs: StackFile::parse_release(&record.jobs)?,
            mark: record.mark,
        })
    }

    /// Whether this deploys what `other` does.
    pub fn is_same_as(&self, other: &Release) -> bool {
        self.stack == other.stack && self.jobs == other.jobs
    }

    /// Whether its jobs set the same secrets as those of `other`.
    pub fn has_secrets_of(&self, other: &Release) -> bool {
        self.jobs.needed("secrets") == other.jobs.needed("secrets")
    }

    /// The names in the swarm that it needs.
    fn needs(&self, section: &str) -> BTreeSet<String> {
        let mut names = self.stack.needed(section);
        names.extend(self.jobs.needed(section));
        names
    }
}

impl Swarm {
    /// The releases that are kept, newest first.
    ///
    /// # Errors
    /// When the engine does not answer, or a record cannot be read.
    pub fn releases(&self) -> anyhow::Result<Vec<Release>> {
        let names = self.release_names()?;
        let configs = self.read_configs(&names.into_iter().collect::<Vec<_>>())?;
        let mut releases = Vec::new();
        for config in configs {
            let release = Release::parse(&config.text);
            releases.push(release.with_context(|| format!("the config {}", config.name))?);
        }
        releases.sort_by_key(|release| std::cmp::Reverse(release.number));
        Ok(releases)
    }

    /// The newest release that was seen to work.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn newest_release(&self) -> anyhow::Result<Release> {
        let newest = self.releases()?.into_iter().next();
        newest.with_context(|| {
            Problem::new(format!("no release of {} has worked yet", self.name))
                .hint("make one with `cargo xtask production deploy`")
        })
    }

    /// Keeps a release, and removes what neither it nor those that are still kept need: older releases,
    /// secrets and configs.
    ///
    /// # Errors
    /// When the swarm refuses it.
    pub fn record(&self, release: &Release) -> anyhow::Result<()> {
        let name = self.release_name(release.number);
        self.create(&New {
            kind: Kind::Config,
            name: &name,
            labels: &[],
            content: &release.render()?,
        })?;

        let mut releases = self.releases()?;
        releases.truncate(KEPT);
        let kept_names = releases.iter().map(|it| self.release_name(it.number));
        let mut configs: BTreeSet<String> = kept_names.collect();
        configs.extend([self.lock_name(), self.rotation_name()]);
        configs.extend(releases.iter().flat_map(|it| it.needs("configs")));
        let secrets: BTreeSet<String> =
            releases.iter().flat_map(|it| it.needs("secrets")).collect();
        for (kind, kept) in [(Kind::Config, configs), (Kind::Secret, secrets)] {
            let old = self.names(kind)?.difference(&kept).cloned().collect();
            self.remove(kind, &old)?;
        }
        Ok(())
    }

    fn release_name(&self, number: u64) -> String {
        format!("{}_release_{number}", self.name)
    }

    fn release_names(&self) -> anyhow::Result<BTreeSet<String>> {
        let prefix = format!("{}_release_", self.name);
        let mut names = self.names(Kind::Config)?;
        names.retain(|name| name.starts_with(&prefix));
        Ok(names)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(number: u64) -> Release {
        let stack = "services: {umami: {image: 'u@sha256:1', command: ['$x']}}\n\
                     secrets: {umami: {name: a_umami_1, external: true}}";
        let jobs =
            "services: {init: {image: 'p:1'}}\nconfigs: {sql: {name: a_sql_1, external: true}}";
        Release {
            number,
            at: "2026-11-25T13:00:00Z".to_owned(),
            by: "me@here".to_owned(),
            stack: StackFile::parse(stack).unwrap(),
            jobs: StackFile::parse(jobs).unwrap(),
            mark: Some(Mark {
                name: format!("release-{number}"),
                at: Some("2026-11-25 12:59:58".to_owned()),
            }),
        }
    }

    #[test]
    fn a_record_is_read_back() {
        let text = release(7).render().unwrap();
        let read = Release::parse(&text).unwrap();
        assert_eq!(
            (read.number, &*read.at, &*read.by),
            (7, "2026-11-25T13:00:00Z", "me@here")
        );
        assert!(read.is_same_as(&release(8)));
        assert_eq!(read.mark, release(7).mark);
        let older = text.replace("\"mark\"", "\"unknown\"");
        assert_eq!(Release::parse(&older).unwrap().mark, None);
    }

    #[test]
    fn a_release_needs_what_stack_and_jobs_name() {
        assert!(release(1).needs("secrets").contains("a_umami_1"));
        assert!(release(1).needs("configs").contains("a_sql_1"));
        let mut other = release(1);
        assert!(other.has_secrets_of(&release(2)));
        let jobs = "services: {init: {image: 'p:1'}}\nsecrets: {databases: {name: a_databases_2, external: true}}";
        other.jobs = StackFile::parse(jobs).unwrap();
        assert!(!other.has_secrets_of(&release(2)));
    }
}
