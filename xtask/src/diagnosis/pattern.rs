//! The patterns of `failures.yml`: text as another program prints it, with names for the words that vary.
//! Must never know what a pattern means.

use anyhow::{Context, bail};
use regex_lite::{Regex, escape};

/// What `{name}` stands for: what a program prints between blanks or quotes.
const WORD: &str = r#"[^\s"'`,]+"#;

/// A pattern such as `role "{role}" does not exist` or `The {what:.+} failed`: `{name}` stands for a word,
/// `{name:REGEX}` for what the regular expression matches.
#[derive(Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// # Errors
    /// When a brace is not closed, or a regular expression is none.
    pub fn parse(written: &str) -> anyhow::Result<Pattern> {
        let mut regex = String::new();
        for piece in pieces(written)? {
            match piece {
                Piece::Text(text) => regex.push_str(&escape(text)),
                Piece::Name(name, pattern) => regex.push_str(&format!("(?<{name}>{pattern})")),
            }
        }
        let regex = Regex::new(&regex).with_context(|| format!("reading the pattern {written}"))?;
        Ok(Pattern(regex))
    }

    /// The words in `line` that the names stand for; `None` if the pattern is not in it.
    pub fn find<'a>(&'a self, line: &'a str) -> Option<Vec<(&'a str, &'a str)>> {
        let captures = self.0.captures(line)?;
        let names = self.0.capture_names().flatten();
        Some(
            names
                .filter_map(|name| Some((name, captures.name(name)?.as_str().trim())))
                .collect(),
        )
    }
}

/// A pattern as it is written, for people: names in capitals.
#[cfg(test)]
pub fn render(written: &str) -> String {
    let piece = |piece| match piece {
        Piece::Text(text) => text.to_owned(),
        Piece::Name(name, _) => name.to_uppercase(),
    };
    let pieces = pieces(written).unwrap_or_default();
    pieces.into_iter().map(piece).collect()
}

enum Piece<'a> {
    Text(&'a str),
    /// A name, and the regular expression of what it stands for.
    Name(&'a str, &'a str),
}

fn pieces(written: &str) -> anyhow::Result<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = written;
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((name, after)) = inside.split_once('}') else {
            bail!("the pattern {written} has a brace that is not closed");
        };
        let (name, pattern) = name.split_once(':').unwrap_or((name, WORD));
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Name(name, pattern));
        rest = after;
    }
    pieces.push(Piece::Text(rest));
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, line: &str, words: Option<&[(&str, &str)]>) {
        let pattern = Pattern::parse(pattern).unwrap();
        assert_eq!(pattern.find(line).as_deref(), words);
    }

    #[test]
    fn a_name_stands_for_one_word() {
        let role = Some([("role", "umami")].as_slice());
        check("role \"{role}\" does", "the role \"umami\" does not", role);
        check("role \"{role}\" does", "the role \"a b\" does not", None);
        check("role \"{role}\" does", "the role \"\" does not", None);
        let file = Some([("file", "/init-db.sql")].as_slice());
        check("{file}: denied", "psql: /init-db.sql: denied", file);
        let port = Some([("a", "1.2.3.4"), ("port", "80")].as_slice());
        check("TCP {a}:{port} ", "TCP 1.2.3.4:80 -> 0", port);
    }

    #[test]
    fn a_name_may_stand_for_what_its_own_expression_matches() {
        let time = Some([("time", "2026-11-25 10:00 UTC")].as_slice());
        check(
            "at {time:.+} failed",
            "at 2026-11-25 10:00 UTC failed",
            time,
        );
    }

    #[test]
    fn signs_in_a_pattern_mean_themselves() {
        check("a.c (x)* [y]", "a.c (x)* [y]", Some(&[]));
        check("a.c", "abc", None);
    }

    #[test]
    fn a_brace_that_is_not_closed_is_an_error() {
        assert!(Pattern::parse("a {name").is_err());
    }
}
