//! Explains known failures: each has one cause and one remedy, in `failures.yml`.
//!
//! A rule only reads what an engine or a service said; where none matches, nothing is explained.
//! The words are those recorded in the tests below.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use serde::Deserialize;

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

/// A failure that can be told from its words. `{name}` in `seen` stands for a word of what was said,
/// elsewhere for that word or for a name in [`Facts::names`].
#[derive(Deserialize)]
pub struct Rule {
    seen: Vec<BTreeMap<Speaker, String>>,
    cause: String,
    remedy: String,
}

/// What is known of one failure; texts are without secrets.
#[derive(Debug, Default)]
pub struct Facts {
    /// The service; empty where Compose failed as a whole.
    pub service: String,
    pub engine: String,
    pub log: String,
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
    let log = |text: &str| own_lines(text, &facts.service);
    let said = [
        (Engine, facts.engine.clone()),
        (Service, facts.log.clone()),
        (Database, log(&facts.database_log)),
    ];
    RULES.iter().find_map(|rule| {
        let (words, evidence) = rule.seen.iter().flatten().find_map(|(speaker, pattern)| {
            let (_, text) = said.iter().find(|(who, _)| who == speaker)?;
            text.lines()
                .rev()
                .find_map(|line| Some((find(pattern, line)?, line)))
        })?;
        let mut names: Vec<(&str, &str)> = vec![(
            "service",
            if facts.service.is_empty() {
                "the stack"
            } else {
                &facts.service
            },
        )];
        names.extend(words);
        names.extend(
            facts
                .names
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let fill = |text: &str| {
            fill(text, |name| {
                names
                    .iter()
                    .find(|(known, _)| *known == name)
                    .map(|(_, value)| (*value).into())
            })
        };
        let problem = Problem::new(fill(&rule.cause)).hint(fill(&rule.remedy));
        Some(problem.evidence(evidence.trim()))
    })
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

/// Finds `pattern` in `line`; returns what its `{name}`s stand for there.
fn find<'a>(pattern: &'static str, line: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let Some((before, rest)) = pattern.split_once('{') else {
        return line.contains(pattern).then(Vec::new);
    };
    let (name, rest) = rest.split_once('}')?;
    let (literal, _) = rest.split_once('{').unwrap_or((rest, ""));
    let ends_word = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',');
    let starts = if before.is_empty() {
        vec![0]
    } else {
        line.match_indices(before)
            .map(|(at, _)| at + before.len())
            .collect()
    };
    starts.into_iter().find_map(|start| {
        let value = &line[start..];
        let end = if literal.is_empty() {
            value.find(ends_word).unwrap_or(value.len())
        } else {
            value.find(literal)?
        };
        // A word, or what a pattern's end cuts out of one.
        let word = if before.is_empty() {
            value[..end].rsplit(ends_word).next().unwrap_or_default()
        } else {
            &value[..end]
        };
        if word.is_empty() || word.contains(ends_word) {
            return None;
        }
        let mut words = vec![(name, word)];
        if rest.contains('{') {
            words.extend(find(rest, &value[end..])?);
        } else if !value[end..].starts_with(rest) {
            return None;
        }
        Some(words)
    })
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
            _ => format!("its {}", name.replace('_', " ")).into(),
        };
        let _ = write!(filled, "{before}{}", value(name).unwrap_or_else(unknown));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests;
