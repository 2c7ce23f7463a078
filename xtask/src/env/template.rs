//! The env file's template: what each variable is for, and the same env file with what it lacks.
//!
//! Must never change a byte of a value that is neither a placeholder nor named for rotation, and never
//! quote a value in an error.

use std::ops::Range;

use super::dialect::{self, Assignment, ParseError, Reading};
use super::references::Lookup;
use crate::problem::Problem;

/// What a placeholder begins with.
const PLACEHOLDER: &str = "change_this";

/// What a placeholder asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// This many letters and digits.
    Alphanumeric(usize),
    /// A random UUID (version 4).
    Uuid,
}

/// The committed template of the env file.
#[derive(Debug)]
pub struct Template {
    text: String,
    variables: Vec<Variable>,
}

/// A variable that the stack knows.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    pub key: String,
    /// What the stack takes when the env file does not say; a placeholder where it must.
    pub default: String,
    /// Shown in a comment of the template, with its default.
    pub is_optional: bool,
}

impl Variable {
    /// What its placeholder asks for; `None` for a variable that has a default.
    pub fn placeholder(&self) -> Option<Placeholder> {
        is_placeholder(&self.default).then(|| asked_for(&self.default))
    }

    /// Whether it is a secret that is made here. A UUID is made too, but is none: pages name it.
    pub fn is_secret(&self) -> bool {
        matches!(self.placeholder(), Some(Placeholder::Alphanumeric(_)))
    }
}

/// Whether a value has a placeholder's shape: `change_this`, then words of lower-case letters and digits,
/// each behind an underscore.
pub fn is_placeholder(value: &str) -> bool {
    let is_word = |word: &str| {
        let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        !word.is_empty() && word.bytes().all(is_plain)
    };
    match value.strip_prefix(PLACEHOLDER) {
        Some("") => true,
        Some(rest) => rest
            .strip_prefix('_')
            .is_some_and(|words| words.split('_').all(is_word)),
        None => false,
    }
}

/// An env file that was completed from its template.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    pub text: String,
    /// Keys that were missing, in the template's order.
    pub added: Vec<String>,
    /// Keys that were there with a placeholder or, where one belongs, with nothing.
    pub filled: Vec<String>,
}

/// An env file with new secrets.
#[derive(Debug)]
pub struct Rotated {
    pub text: String,
    /// Those that are new, by name.
    pub keys: Vec<String>,
}

impl Template {
    /// Reads the template. We wrote it, so its values are plain, and any reader of env files will do.
    ///
    /// # Errors
    /// When a line of it is no assignment.
    pub fn parse(text: &str) -> Result<Template, Problem> {
        let optional = text.lines().filter_map(optional_assignment);
        let mut variables: Vec<Variable> = optional
            .map(|(key, default)| Variable {
                key: key.to_owned(),
                default: default.to_owned(),
                is_optional: true,
            })
            .collect();
        for assigned in dotenvy::from_read_iter(text.as_bytes()) {
            // Its error quotes the line.
            let (key, default) = assigned.map_err(|_| {
                Problem::new("the template of the env file has a line that is no `KEY=value`")
                    .hint("run `git checkout -- deploy/analytics/.env.example`")
            })?;
            variables.push(Variable {
                key,
                default,
                is_optional: false,
            });
        }
        Ok(Template {
            text: text.to_owned(),
            variables,
        })
    }

    /// Every variable that the stack knows.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// What the template knows of `key`.
    pub fn variable(&self, key: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.key == key)
    }

    /// A new env file: the template itself, with its placeholders filled by what `generate` makes.
    ///
    /// # Errors
    /// When Compose would refuse the template.
    pub fn fill(
        &self,
        generate: impl FnMut(Placeholder) -> String,
    ) -> Result<Completed, ParseError> {
        self.complete(&self.text, &|_| None, generate)
    }

    /// Adds to `existing` what the template has and it lacks, and fills placeholders with what `generate`
    /// makes. Every other byte stays; a complete file comes back as it was.
    ///
    /// # Errors
    /// When Compose would refuse `existing`.
    pub fn complete(
        &self,
        existing: &str,
        environment: Lookup,
        mut generate: impl FnMut(Placeholder) -> String,
    ) -> Result<Completed, ParseError> {
        let present = dialect::read(existing, environment)?;
        let required = || self.variables.iter().filter(|it| !it.is_optional);
        let mut edits = Edits::default();

        let mut filled = Vec::new();
        for variable in required() {
            let assignment = present.assignment(&variable.key);
            if let (Some(asked), Some(assignment)) = (variable.placeholder(), assignment)
                && is_unset(assignment, existing)
            {
                edits.replace(assignment, generate(asked));
                filled.push(variable.key.clone());
            }
        }

        let mut lines = Vec::new();
        let mut added = Vec::new();
        for variable in required().filter(|it| present.assignment(&it.key).is_none()) {
            let value = match variable.placeholder() {
                Some(asked) => generate(asked),
                None => quote(&default_beside(variable, &present)),
            };
            lines.extend(self.comment_above(&variable.key));
            lines.push(format!("{}={value}", variable.key));
            added.push(variable.key.clone());
        }

        Ok(Completed {
            text: append_lines(edits.apply(existing), &lines),
            added,
            filled,
        })
    }

    /// Replaces the values of `keys`, or of all secrets that are made here, by what `generate` makes.
    ///
    /// # Errors
    /// When a key is not one that is made here, or Compose would refuse `existing`.
    pub fn rotate(
        &self,
        existing: &str,
        keys: &[String],
        mut generate: impl FnMut(Placeholder) -> String,
    ) -> Result<Rotated, Problem> {
        let secrets = || {
            self.variables
                .iter()
                .filter(|variable| variable.is_secret())
        };
        let is_secret = |key: &String| secrets().any(|secret| secret.key == *key);
        if let Some(key) = keys.iter().find(|key| !is_secret(key)) {
            let names: Vec<&str> = secrets().map(|secret| secret.key.as_str()).collect();
            return Err(
                Problem::new(format!("{key} is not a secret that `cargo xtask` makes"))
                    .hint(format!("name one of {}", names.join(", "))),
            );
        }
        // Places are all that is wanted here, whatever the environment has.
        let present = dialect::read(existing, &|_| Some("set".to_owned()))
            .map(|reading| reading.assignments)
            .map_err(|error| Problem::new(format!("Compose refuses the env file: {error}")))?;

        let mut edits = Edits::default();
        let mut rotated = Vec::new();
        for secret in secrets().filter(|secret| keys.is_empty() || keys.contains(&secret.key)) {
            let Some(asked) = secret.placeholder() else {
                continue;
            };
            let value = generate(asked);
            // All assignments of it: an old value that another hides is a secret, too.
            for assignment in present.iter().filter(|it| it.key == secret.key) {
                edits.replace(assignment, value.clone());
            }
            if present.iter().any(|it| it.key == secret.key) {
                rotated.push(secret.key.clone());
            }
        }
        rotated.sort();
        Ok(Rotated {
            text: edits.apply(existing),
            keys: rotated,
        })
    }

    /// Sets `key` to `value` in `existing`, or adds it at its end; every other byte stays. The value is written so that a shell reads
    /// it like Compose does.
    ///
    /// # Errors
    /// When the value has a quote or a line end in it.
    pub fn set(existing: &str, key: &str, value: &str) -> Result<String, Problem> {
        if value.contains(['\'', '\n', '\r']) {
            let problem = Problem::new(format!("the value for {key} has a single quote in it"));
            return Err(problem.hint("choose a value without one"));
        }
        let present = dialect::read(existing, &|_| Some("set".to_owned()))
            .map_err(|error| Problem::new(format!("the env file is refused: {error}")))?;
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"_./:@%+-".contains(&b);
        let written = if value.bytes().all(is_plain) {
            value.to_owned()
        } else {
            format!("'{value}'")
        };
        let mut text = existing.to_owned();
        let Some(assignment) = present.assignment(key) else {
            return Ok(append_lines(text, &[format!("{key}={written}")]));
        };
        text.replace_range(assignment.span.clone(), &written);
        Ok(text)
    }

    /// The comment lines right above an assignment, section headings and blank lines excluded.
    fn comment_above(&self, key: &str) -> Vec<String> {
        let assigns = |line: &&str| {
            line.strip_prefix(key)
                .is_some_and(|rest| rest.starts_with('='))
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let end = lines.iter().position(assigns).unwrap_or(0);
        let comment = lines[..end]
            .iter()
            .rev()
            .take_while(|line| line.starts_with('#') && optional_assignment(line).is_none());
        let mut comment: Vec<String> = comment.map(|&line| line.to_owned()).collect();
        comment.reverse();
        comment
    }
}

/// Replacements of values in a text, made together at the end so that places stay what they were.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    /// Quotes stay: what follows a closing quote on its line may be the next assignment.
    fn replace(&mut self, assignment: &Assignment, value: String) {
        self.0.push((assignment.content(), value));
    }

    fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(place, _)| place.start);
        let mut text = text.to_owned();
        for (place, value) in self.0.iter().rev() {
            text.replace_range(place.clone(), value);
        }
        text
    }
}

/// `text` with lines of its own kind at its end.
fn append_lines(mut text: String, lines: &[String]) -> String {
    let line_ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
    if !lines.is_empty() && !text.is_empty() && !text.ends_with('\n') {
        text.push_str(line_ending);
    }
    for line in lines {
        text.push_str(line);
        text.push_str(line_ending);
    }
    text
}

/// Whether a value, where a placeholder belongs, is one or nothing: as it is written and as Compose reads it.
fn is_unset(assignment: &Assignment, text: &str) -> bool {
    let raw = assignment.raw(text);
    raw == assignment.value && (raw.is_empty() || is_placeholder(raw))
}

/// The default of a variable, made to fit what the env file says already.
fn default_beside(variable: &Variable, present: &Reading) -> String {
    let default = variable.default.clone();
    if variable.key != "GLITCHTIP_DOMAIN" {
        return default;
    }
    let port = present.values.get("GLITCHTIP_PORT");
    let port = port.and_then(|port| port.parse::<u16>().ok());
    match (port, default.rsplit_once(':')) {
        (Some(port), Some((address, _))) => format!("{address}:{port}"),
        _ => default,
    }
}

/// A value as every reader of env files takes it: as it is where it is plain, else in double quotes.
fn quote(value: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/@%+,".contains(&b);
    if value.bytes().all(is_plain) {
        return value.to_owned();
    }
    let mut quoted = "\"".to_owned();
    for c in value.chars() {
        if matches!(c, '"' | '\\' | '$') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// `change_this_random_32_char_string` asks for 32 letters and digits; 32 too where no number stands.
fn asked_for(placeholder: &str) -> Placeholder {
    if placeholder.contains("uuid") {
        return Placeholder::Uuid;
    }
    let mut numbers = placeholder.split(|c: char| !c.is_ascii_digit());
    let length = numbers.find_map(|digits| digits.parse().ok());
    Placeholder::Alphanumeric(length.unwrap_or(32))
}

/// `# KEY=value`: an optional variable, shown with its default.
fn optional_assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("# ")?.split_once('=')?;
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    is_key.then_some((key, value))
}

#[cfg(test)]
mod tests;
