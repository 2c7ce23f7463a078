//! The env file as Compose reads it: what each line sets, and where in the text.
//!
//! Must never quote a value in an error: most of them are secrets.
//!
//! From compose-go's package `dotenv`, v2.0 to v2.4 (Compose 2.26), read and tried 2026-11-25; held
//! against `docker compose config` on random files by `tests/it/env_file.rs`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use super::references::{Lookup, expand_escapes, resolve};

/// What an env file says.
#[derive(Debug, Default)]
pub struct Reading {
    /// Each `KEY=value`, in the file's order.
    pub assignments: Vec<Assignment>,
    /// What Compose gets out of it all: the last assignment of a key wins.
    pub values: BTreeMap<String, String>,
    /// The lines of bare names, which set nothing by themselves.
    pub bare: Vec<usize>,
}

impl Reading {
    /// The assignment of `key` that Compose takes: the last one.
    pub fn assignment(&self, key: &str) -> Option<&Assignment> {
        let mut assignments = self.assignments.iter();
        assignments.rfind(|assignment| assignment.key == key)
    }
}

/// One `KEY=value` of an env file.
#[derive(Debug)]
pub struct Assignment {
    pub key: String,
    /// As Compose reads it, with references (`$NAME`) resolved.
    pub value: String,
    /// Whether the value of another variable, or nothing in its place, became part of it.
    pub has_references: bool,
    /// Counted from 1.
    pub line: usize,
    pub quotes: Quotes,
    /// The bytes of the value in the text, quotes included.
    pub span: Range<usize>,
    /// The bytes from the name, or the `export` before it, to the value's end.
    statement: Range<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quotes {
    None,
    Single,
    Double,
}

impl Assignment {
    /// The whole assignment as it stands in `text`, from which it was read.
    pub fn written<'a>(&self, text: &'a str) -> &'a str {
        &text[self.statement.clone()]
    }

    /// The value as it stands in `text`, between its quotes.
    pub fn raw<'a>(&self, text: &'a str) -> &'a str {
        &text[self.content()]
    }

    /// The bytes of the value in the text, between its quotes.
    pub fn content(&self) -> Range<usize> {
        match self.quotes {
            Quotes::None => self.span.clone(),
            Quotes::Single | Quotes::Double => self.span.start + 1..self.span.end - 1,
        }
    }
}

/// A line that Compose refuses. Says where and why, never what the value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    pub reason: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for ParseError {}

/// Reads an env file. `environment` is what references to names outside of the file see, and what a
/// bare `KEY` inherits.
///
/// # Errors
/// The first line that Compose refuses.
pub fn read(text: &str, environment: Lookup) -> Result<Reading, ParseError> {
    let (statements, refused) = scan(text);
    let reading = evaluate(&statements, environment)?;
    if let Some(refused) = refused {
        return Err(refused);
    }

    // Compose puts what it has read into its own environment and then reads the file again: the first
    // values stay, but a required variable that a later line empties is refused now.
    let again = |name: &str| environment(name).or_else(|| reading.values.get(name).cloned());
    evaluate(&statements, &again)?;
    Ok(reading)
}

/// The keys that an env file assigns; a bare `KEY`, which only inherits, is none.
///
/// # Errors
/// The first line that Compose refuses for its form.
pub fn names(text: &str) -> Result<BTreeSet<String>, ParseError> {
    let (statements, refused) = scan(text);
    let assigned = statements.iter().filter(|it| it.raw.is_some());
    match refused {
        Some(refused) => Err(refused),
        None => Ok(assigned.map(|it| it.name.to_owned()).collect()),
    }
}

/// The assignments of an env file, read without an environment.
///
/// # Errors
/// The first line that Compose refuses.
pub fn parse(text: &str) -> Result<Vec<Assignment>, ParseError> {
    read(text, &|_| None).map(|reading| reading.assignments)
}

/// What `text` sets `key` to, read without an environment.
///
/// # Errors
/// The first line that Compose refuses.
pub fn value_of(text: &str, key: &str) -> Result<Option<String>, ParseError> {
    read(text, &|_| None).map(|mut reading| reading.values.remove(key))
}

/// A name with or without a value, as it was found.
struct Statement<'a> {
    name: &'a str,
    /// `None` for a bare name, whose value is the environment's.
    raw: Option<Raw>,
    /// Where it begins in the text: at its name, or at the `export` before it.
    start: usize,
    line: usize,
}

/// The statements of a text, up to the first that has no form that Compose takes.
fn scan(text: &str) -> (Vec<Statement<'_>>, Option<ParseError>) {
    let mut cursor = Cursor::new(text);
    let mut statements = Vec::new();
    while cursor.skip_to_statement() {
        let (start, line) = (cursor.at, cursor.line);
        match cursor.read_statement() {
            Ok(statement) => statements.push(statement),
            Err(_) if cursor.follows_a_value(start) => {
                let reason = "something stands behind the closing quote of a value";
                return (statements, Some(ParseError { line, reason }));
            }
            Err(refused) => return (statements, Some(refused)),
        }
    }
    (statements, None)
}

fn evaluate(statements: &[Statement], environment: Lookup) -> Result<Reading, ParseError> {
    let mut reading = Reading::default();
    for statement in statements {
        let name = statement.name;
        let Some(raw) = &statement.raw else {
            reading.bare.push(statement.line);
            if let Some(value) = environment(name) {
                reading.values.insert(name.to_owned(), value);
            }
            continue;
        };
        let seen = |name: &str| environment(name).or_else(|| reading.values.get(name).cloned());
        let line = statement.line;
        let (value, has_references) = raw
            .value(&seen)
            .map_err(|reason| ParseError { line, reason })?;
        reading.values.insert(name.to_owned(), value.clone());
        reading.assignments.push(Assignment {
            key: name.to_owned(),
            value,
            has_references,
            line,
            quotes: raw.quotes,
            span: raw.span.clone(),
            statement: statement.start..raw.span.end,
        });
    }
    Ok(reading)
}

/// Where a statement's name ended.
enum Name<'a> {
    /// `KEY=` or `KEY:`.
    Assigned(&'a str),
    /// `KEY` alone on its line.
    Bare(&'a str),
}

/// A value as it was found.
struct Raw {
    /// Without its quotes, and without the backslashes that kept a quote from closing it.
    text: String,
    quotes: Quotes,
    span: Range<usize>,
}

impl Raw {
    /// The value, and whether references became part of it.
    fn value(&self, lookup: Lookup) -> Result<(String, bool), &'static str> {
        let text = match self.quotes {
            Quotes::Single => return Ok((self.text.clone(), false)),
            Quotes::None => Cow::from(&self.text),
            Quotes::Double => Cow::from(expand_escapes(&self.text)),
        };
        let value = resolve(&text, lookup)?;
        if value.contains('\0') {
            return Err("the value has a NUL character, which no variable can hold");
        }
        let has_references = value != text.replace("$$", "$");
        Ok((value, has_references))
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// The line that `at` is in, counted from 1.
    line: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Cursor<'a> {
        let at = if text.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Cursor { text, at, line: 1 }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn advance(&mut self, length: usize) {
        let passed = &self.text[self.at..self.at + length];
        self.line += passed.bytes().filter(|&byte| byte == b'\n').count();
        self.at += length;
    }

    fn skip_while(&mut self, is_skipped: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.advance(rest.find(|c| !is_skipped(c)).unwrap_or(rest.len()));
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, ParseError> {
        Err(ParseError {
            line: self.line,
            reason,
        })
    }

    /// Passes blanks, line ends and comments. Returns whether anything is left.
    fn skip_to_statement(&mut self) -> bool {
        self.skip_while(char::is_whitespace);
        while self.rest().starts_with('#') {
            self.skip_while(|c| c != '\n');
            self.skip_while(char::is_whitespace);
        }
        !self.rest().is_empty()
    }

    /// Whether something else stands before `at` on its line: that can only be a value in quotes.
    fn follows_a_value(&self, at: usize) -> bool {
        let before = self.text[..at].rsplit('\n').next().unwrap_or_default();
        !before.trim_matches(['\u{feff}']).trim().is_empty()
    }

    fn read_statement(&mut self) -> Result<Statement<'a>, ParseError> {
        let (start, line) = (self.at, self.line);
        self.skip_export()?;
        let (name, raw) = match self.read_name()? {
            Name::Assigned(name) => (name, Some(self.read_value()?)),
            Name::Bare(name) => (name, None),
        };
        Ok(Statement {
            name,
            raw,
            start,
            line,
        })
    }

    fn skip_export(&mut self) -> Result<(), ParseError> {
        let after = self.rest().strip_prefix("export");
        if !after.is_some_and(|after| after.starts_with([' ', '\t', '\n', '\x0c', '\r'])) {
            return Ok(());
        }
        self.advance("export".len());
        self.skip_while(is_blank);
        if self.rest().is_empty() {
            return self.fail("`export` stands alone at the end of the file");
        }
        Ok(())
    }

    /// Reads a name and what ends it.
    fn read_name(&mut self) -> Result<Name<'a>, ParseError> {
        let rest = self.rest();
        let is_part = |c: char| {
            is_blank(c) || matches!(c, '_' | '.' | '-' | '[' | ']') || is_letter_or_number(c)
        };
        let Some(end) = rest.find(|c| !is_part(c)) else {
            return self.fail("expected KEY=value, or a line end after the name");
        };
        let name = rest[..end].trim_end();
        let terminator = rest.as_bytes()[end];
        if !matches!(terminator, b'=' | b':' | b'\n') {
            return self.fail("the name of a variable has a character that it cannot have");
        }
        if name.contains(' ') {
            return self.fail("expected KEY=value, and there is a blank in the name");
        }
        if terminator == b'\n' {
            self.advance(end + 1);
            return Ok(Name::Bare(name));
        }
        if name.is_empty() {
            return self.fail("a value without a name");
        }
        self.advance(end + 1);
        Ok(Name::Assigned(name))
    }

    /// Reads a value, and of an unquoted one the rest of its line.
    fn read_value(&mut self) -> Result<Raw, ParseError> {
        let empty_at = self.at;
        self.skip_while(is_blank);
        match self.rest().chars().next() {
            Some('\'') => self.read_quoted(Quotes::Single),
            Some('"') => self.read_quoted(Quotes::Double),
            _ => {
                let start = self.at;
                let rest = self.rest();
                let end = rest.find('\n').unwrap_or(rest.len());
                // Only a blank before it makes a `#` begin a comment; a tab does not.
                let value = rest[..end]
                    .split(" #")
                    .next()
                    .unwrap_or_default()
                    .trim_end();
                self.advance((end + 1).min(rest.len()));
                // An empty value is filled right behind its `=`, whatever blanks follow.
                let start = if value.is_empty() { empty_at } else { start };
                Ok(Raw {
                    text: value.to_owned(),
                    quotes: Quotes::None,
                    span: start..start + value.len(),
                })
            }
        }
    }

    /// Reads up to the closing quote; what follows it is the next statement.
    fn read_quoted(&mut self, quotes: Quotes) -> Result<Raw, ParseError> {
        let start = self.at;
        let quote = if quotes == Quotes::Single { '\'' } else { '"' };
        let mut text = String::new();
        let mut is_escaped = false;
        for (offset, c) in self.rest().char_indices().skip(1) {
            if is_escaped {
                is_escaped = false;
                if c != quote {
                    text.push('\\');
                }
                text.push(c);
            } else if c == '\\' {
                is_escaped = true;
            } else if c == quote {
                self.advance(offset + 1);
                return Ok(Raw {
                    text,
                    quotes,
                    span: start..self.at,
                });
            } else {
                text.push(c);
            }
        }
        self.fail("a quote is opened and never closed")
    }
}

/// A blank within a line, as compose-go has it.
fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}')
}

/// Whether Compose takes a character in a name. Beyond ASCII only scripts whose letters Rust and Go
/// tell apart from marks alike; others are refused here although Compose takes them.
fn is_letter_or_number(c: char) -> bool {
    let is_sure = matches!(
        c,
        '\0'..='\u{2c1}'
            | '\u{370}'..='\u{52f}'
            | '\u{3041}'..='\u{30ff}'
            | '\u{3400}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
    );
    is_sure && c.is_alphanumeric()
}
