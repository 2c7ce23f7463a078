//! One thing that was looked at, and how it is; and the report that is made of many. Must never print.

use std::fmt::Write;

use serde::Serialize;

use crate::problem::Problem;
use crate::terminal::{GREEN, RED, RESET, YELLOW};

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Good,
    /// Worth knowing; `up` works.
    Warning,
    /// `up` would fail, or touch what is not ours.
    Error,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at: a word such as `ports`.
    pub check: &'static str,
    pub level: Level,
    /// What was found; its hint mends what is not good.
    pub problem: Problem,
}

impl Finding {
    pub fn good(check: &'static str, what: impl Into<String>) -> Finding {
        Finding {
            check,
            level: Level::Good,
            problem: Problem::new(what),
        }
    }

    pub fn warning(check: &'static str, problem: Problem) -> Finding {
        Finding {
            check,
            level: Level::Warning,
            problem,
        }
    }

    pub fn error(check: &'static str, problem: Problem) -> Finding {
        Finding {
            check,
            level: Level::Error,
            problem,
        }
    }
}

/// Whether nothing of this stops `up`.
pub fn is_ok(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.level != Level::Error)
}

/// The version of what [`render_json`] prints. A field may be added within a version; one that goes or
/// changes its meaning makes a new one. deploy/analytics/README.md documents it.
const JSON_VERSION: u32 = 1;

/// Everything that was found, for programs.
///
/// # Errors
/// Never in practice: nothing in it can fail to be written as JSON.
pub fn render_json(findings: &[Finding]) -> anyhow::Result<String> {
    let report = Report {
        version: JSON_VERSION,
        ok: is_ok(findings),
        findings: findings.iter().map(Row::of).collect(),
    };
    Ok(format!("{}\n", serde_json::to_string_pretty(&report)?))
}

#[derive(Serialize)]
struct Report<'a> {
    version: u32,
    ok: bool,
    findings: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    check: &'a str,
    level: Level,
    what: &'a str,
    hint: Option<&'a str>,
}

impl Row<'_> {
    fn of(finding: &Finding) -> Row<'_> {
        Row {
            check: finding.check,
            level: finding.level,
            what: &finding.problem.what,
            hint: finding.problem.hint.as_deref(),
        }
    }
}

/// The word of a level in its colour.
pub fn paint(level: Level, word: &str) -> String {
    let style = match level {
        Level::Good => GREEN,
        Level::Warning => YELLOW,
        Level::Error => RED,
    };
    format!("{style}{word}{RESET}")
}

/// Everything that was found, for people: a line each, its hint below it. `paint` dresses the word of a level.
pub fn render(findings: &[Finding], paint: impl Fn(Level, &str) -> String) -> String {
    let mut text = String::new();
    for finding in findings {
        let word = match finding.level {
            Level::Good => "good",
            Level::Warning => "warning",
            Level::Error => "error",
        };
        let word = paint(finding.level, &format!("{word:7}"));
        let what = finding.problem.what.replace('\n', "\n         ");
        let _ = writeln!(text, "{word}  {}: {what}", finding.check);
        if let Some(hint) = &finding.problem.hint {
            let _ = writeln!(text, "         hint: {hint}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings() -> Vec<Finding> {
        let taken = Problem::new("port 3001 is taken").hint("`kill 7`");
        vec![
            Finding::good("engine", "26.1.5"),
            Finding::warning("names", Problem::new("made by hand")),
            Finding::error("ports", taken),
        ]
    }

    #[test]
    fn a_report_has_a_line_for_each_finding_and_its_hint_below() {
        let text = render(&findings(), |_, word| word.to_owned());
        let expected = "good     engine: 26.1.5\nwarning  names: made by hand\n\
                        error    ports: port 3001 is taken\n         hint: `kill 7`\n";
        assert_eq!(text, expected);
    }

    /// The shape is documented in deploy/analytics/README.md; another one needs another version.
    #[test]
    fn the_json_of_version_1_has_this_shape() {
        let json = render_json(&findings()).unwrap();
        let expected = r#"{
  "version": 1,
  "ok": false,
  "findings": [
    {
      "check": "engine",
      "level": "good",
      "what": "26.1.5",
      "hint": null
    },
    {
      "check": "names",
      "level": "warning",
      "what": "made by hand",
      "hint": null
    },
    {
      "check": "ports",
      "level": "error",
      "what": "port 3001 is taken",
      "hint": "`kill 7`"
    }
  ]
}
"#;
        assert_eq!(json, expected);
        assert!(
            render_json(&findings()[..2])
                .unwrap()
                .contains("\"ok\": true")
        );
    }
}
