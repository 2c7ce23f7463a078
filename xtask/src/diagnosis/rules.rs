//! Explains known failures: each has one cause and one remedy, in `failures.yml`.
//!
//! A rule only reads what an engine or a service said; where none matches, nothing is explained.
//! The words are those recorded in the tests below.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use serde::Deserialize;

use super::pattern::Pattern;
use crate::problem::Problem;

/// Who says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Speaker {
    /// The engine: of a container that it could not start, or through Compose.
    Engine,
    /// The service itself: its log and its last health check.
    Service,
    /// PostgreSQL's log, of the time in which the service ran.
    Database,
}
use Speaker::{Database, Engine, Service};

/// A failure that can be told from its words.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
pub struct Rule {
    seen: Vec<(Speaker, Pattern)>,
    /// What another line of the same text must say.
    with: Option<Pattern>,
    cause: String,
    remedy: String,
}

/// A rule as the file has it. A name in braces in `cause` and `remedy` stands for a word that `seen` names
/// so, or for one of [`Facts::names`].
#[derive(Deserialize)]
struct Written {
    seen: Vec<BTreeMap<Speaker, String>>,
    with: Option<String>,
    cause: String,
    remedy: String,
}

impl TryFrom<Written> for Rule {
    type Error = anyhow::Error;

    fn try_from(written: Written) -> anyhow::Result<Rule> {
        let seen = written.seen.iter().flatten();
        let seen = seen.map(|(speaker, pattern)| Ok((*speaker, Pattern::parse(pattern)?)));
        Ok(Rule {
            seen: seen.collect::<anyhow::Result<_>>()?,
            with: written
                .with
                .map(|pattern| Pattern::parse(&pattern))
                .transpose()?,
            cause: written.cause,
            remedy: written.remedy,
        })
    }
}

/// What is known of one failure; texts are without secrets.
#[derive(Debug, Default)]
pub struct Facts {
    /// The service; empty where Compose failed as a whole.
    pub service: String,
    pub engine: String,
    pub log: String,
    /// What the last health check printed, if it failed.
    pub health: String,
    pub database_log: String,
    /// What the rules may name: `limit`, `limit_variable`, `image`, `image_variable`, `port_variable`, …
    pub names: Vec<(&'static str, String)>,
}

/// What the engine says of a container whose processes it killed for memory; `OOMKilled` is all it has.
pub const OUT_OF_MEMORY: &str = "OOMKilled: true";

/// The first that matches explains: what is more specific stands further up.
pub static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    serde_yaml::from_str(include_str!("failures.yml")).expect("the tests read it")
});

/// The first rule that knows the failure.
pub fn explain(facts: &Facts) -> Option<Problem> {
    let database = own_lines(&facts.database_log, &facts.service);
    let service = format!("{}\n{}", facts.log, facts.health);
    let said = |speaker: Speaker| match speaker {
        Engine => facts.engine.as_str(),
        Service => &service,
        Database => &database,
    };
    RULES.iter().find_map(|rule| {
        let mut seen = rule.seen.iter();
        let found = seen.find_map(|(speaker, pattern)| rule.find(pattern, said(*speaker)))?;
        Some(rule.explain(facts, &found))
    })
}

/// A line that a pattern is in, and the words that its names stand for there.
struct Evidence<'a> {
    line: &'a str,
    words: Vec<(&'a str, &'a str)>,
}

impl Evidence<'_> {
    /// The last line that the pattern is in.
    fn find<'a>(pattern: &'a Pattern, text: &'a str) -> Option<Evidence<'a>> {
        text.lines().rev().find_map(|line| {
            let words = pattern.find(line)?;
            Some(Evidence { line, words })
        })
    }
}

impl Rule {
    /// What shows it, if the pattern, which is one of `seen`, is in the text.
    fn find<'a>(&'a self, pattern: &'a Pattern, text: &'a str) -> Option<Evidence<'a>> {
        let seen = Evidence::find(pattern, text)?;
        let Some(with) = &self.with else {
            return Some(seen);
        };
        let mut with = Evidence::find(with, text)?;
        with.words.extend(seen.words);
        Some(with)
    }

    fn explain(&self, facts: &Facts, found: &Evidence) -> Problem {
        let service = match facts.service.as_str() {
            "" => "the stack",
            service => service,
        };
        let known = facts
            .names
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        let names: BTreeMap<&str, &str> = known
            .chain(found.words.iter().copied())
            .chain([("service", service)])
            .collect();
        let fill = |text: &str| fill(text, |name| names.get(name).map(|value| (*value).into()));
        Problem::new(fill(&self.cause))
            .hint(fill(&self.remedy))
            .evidence(found.line.trim())
    }
}

/// The lines of PostgreSQL's log that may be about a service: those that name no role, or its own.
fn own_lines(log: &str, service: &str) -> String {
    let is_foreign = |line: &&str| {
        let role = line
            .split_once("user \"")
            .and_then(|(_, rest)| rest.split_once('"'));
        role.is_some_and(|(role, _)| {
            matches!(role, "umami" | "glitchtip") && !service.starts_with(role)
        })
    };
    log.lines()
        .filter(|line| !is_foreign(line))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Puts what `value` says in the place of each `{name}`; what it does not know is said in words.
fn fill<'a>(text: &str, value: impl Fn(&str) -> Option<Cow<'a, str>>) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        let unknown = || match name {
            "from" => "of another version".into(),
            "holder" => "something else".into(),
            "limit_variable" => "its `mem_limit`".into(),
            "image_variable" => "its `image`".into(),
            "port_variable" => "its `ports`".into(),
            "docker_configuration" => "~/.docker/config.json".into(),
            _ => format!("its {}", name.replace('_', " ")).into(),
        };
        let known = value(name);
        // What no variable sets is set by the override.
        let is_set_there = known.is_none() && name.ends_with("_variable");
        let _ = write!(filled, "{before}{}", known.unwrap_or_else(unknown));
        rest = match after.strip_prefix(" in deploy/analytics/.env") {
            Some(after) if is_set_there => {
                filled.push_str(" in the override");
                after
            }
            _ => after,
        };
    }
    filled + rest
}

#[cfg(test)]
mod tests;
