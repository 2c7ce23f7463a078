//! The env file in Compose's dialect: what it says, and the same file with what it lacks.
//!
//! Must never quote a value in an error: most of them are secrets.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// What an unset value in the template begins with.
const PLACEHOLDER: &str = "change_this";

/// What a placeholder asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// This many letters and digits.
    Alphanumeric(usize),
    /// A random UUID (version 4).
    Uuid,
}

/// An env file that was completed from its template.
#[derive(Debug, PartialEq, Eq)]
pub struct Completed {
    pub text: String,
    /// Keys that were missing, in the template's order.
    pub added: Vec<String>,
    /// Keys that were there with a placeholder or, where a secret belongs, with nothing.
    pub filled: Vec<String>,
}

/// A line that Compose would not take either. Says where and why, never what the value is.
#[derive(Debug, PartialEq, Eq)]
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

/// One `KEY=value` of an env file.
#[derive(Debug)]
pub struct Assignment {
    pub key: String,
    /// As Compose reads it, except that references (`$NAME`) are left as they are.
    pub value: String,
    /// Whether Compose would replace `$NAME` in it: everything but single-quoted values.
    pub interpolates: bool,
    /// Counted from 1.
    pub line: usize,
    /// The bytes of the value in the text, quotes included.
    span: Range<usize>,
    /// The bytes from the start of the line to its end, line ending excluded.
    lines: Range<usize>,
}

impl Assignment {
    pub fn is_placeholder(&self) -> bool {
        is_placeholder(&self.value)
    }
}

/// Whether a value still asks to be replaced.
pub fn is_placeholder(value: &str) -> bool {
    value.starts_with(PLACEHOLDER)
}

impl Assignment {
    /// The whole assignment as it stands in `text`, from which it was parsed.
    pub fn written<'a>(&self, text: &'a str) -> &'a str {
        &text[self.lines.clone()]
    }
}

/// Whether a template's value is a placeholder for a secret; a UUID is made too, but is none.
pub fn is_secret(template_value: &str) -> bool {
    template_value.starts_with(PLACEHOLDER) && secret_asked_for(template_value) != Secret::Uuid
}

/// Adds to `existing` what `template` has and it lacks, and fills placeholders with what `generate`
/// makes. Every byte that is not ours to change stays; a complete file comes back as it was.
///
/// # Errors
/// When `existing` or `template` cannot be read the way Compose reads it.
pub fn complete(
    template: &str,
    existing: &str,
    mut generate: impl FnMut(Secret) -> String,
) -> Result<Completed, ParseError> {
    let wanted = parse(template)?;
    let present = parse(existing)?;
    let effective: BTreeMap<&str, &Assignment> = present
        .iter()
        .map(|assignment| (assignment.key.as_str(), assignment))
        .collect();

    let mut filled = Vec::new();
    let mut replacements: Vec<(Range<usize>, String)> = Vec::new();
    for assignment in effective.values() {
        let asked = wanted
            .iter()
            .find(|want| want.key == assignment.key && want.is_placeholder());
        let source = match asked {
            _ if assignment.is_placeholder() => assignment,
            Some(asked) if assignment.value.is_empty() => asked,
            _ => continue,
        };
        filled.push(assignment.key.clone());
        replacements.push((
            assignment.span.clone(),
            generate(secret_asked_for(&source.value)),
        ));
    }
    replacements.sort_by_key(|(span, _)| span.start);
    let mut text = existing.to_owned();
    for (span, value) in replacements.iter().rev() {
        text.replace_range(span.clone(), value);
    }

    let line_ending = if existing.contains("\r\n") {
        "\r\n"
    } else {
        "\n"
    };
    let mut added = Vec::new();
    for want in wanted
        .iter()
        .filter(|want| !effective.contains_key(want.key.as_str()))
    {
        if !text.is_empty() && !text.ends_with('\n') {
            text.push_str(line_ending);
        }
        for line in comment_above(template, want) {
            text.push_str(line);
            text.push_str(line_ending);
        }
        let value = if want.is_placeholder() {
            generate(secret_asked_for(&want.value))
        } else {
            template[want.span.clone()].to_owned()
        };
        text.push_str(&format!("{}={value}{line_ending}", want.key));
        added.push(want.key.clone());
    }
    Ok(Completed {
        text,
        added,
        filled,
    })
}

/// An env file with new secrets.
#[derive(Debug)]
pub struct Rotated {
    pub text: String,
    /// Those that are new, by name.
    pub keys: Vec<String>,
}

/// Replaces the values of `keys`, or of all that the template asks for secrets, by what `generate` makes.
///
/// # Errors
/// When a key is none that is generated, or a file cannot be read.
pub fn rotate(
    template: &str,
    existing: &str,
    keys: &[String],
    mut generate: impl FnMut(Secret) -> String,
) -> Result<Rotated, String> {
    let unreadable = |error: ParseError| format!("the env file cannot be read: {error}");
    let wanted = parse(template).map_err(unreadable)?;
    let secrets: Vec<&Assignment> = wanted
        .iter()
        .filter(|want| is_secret(&want.value))
        .collect();
    if let Some(key) = keys
        .iter()
        .find(|key| !secrets.iter().any(|secret| secret.key == **key))
    {
        let names: Vec<&str> = secrets.iter().map(|secret| secret.key.as_str()).collect();
        return Err(format!(
            "{key} is no secret that was made here; these are: {}",
            names.join(", ")
        ));
    }
    let mut present = parse(existing).map_err(unreadable)?;
    present.retain(|assignment| keys.is_empty() || keys.contains(&assignment.key));
    let mut text = existing.to_owned();
    let mut rotated = Vec::new();
    // From the end, so that what is before stays where it is; all assignments of a key, since the last one wins.
    for assignment in present.iter().rev() {
        if let Some(secret) = secrets.iter().find(|secret| secret.key == assignment.key) {
            text.replace_range(
                assignment.span.clone(),
                &generate(secret_asked_for(&secret.value)),
            );
            rotated.push(assignment.key.clone());
        }
    }
    rotated.sort();
    rotated.dedup();
    Ok(Rotated {
        text,
        keys: rotated,
    })
}

/// `change_this_random_32_char_string` asks for 32 letters and digits; 32 too where no number stands.
fn secret_asked_for(placeholder: &str) -> Secret {
    if placeholder.contains("uuid") {
        return Secret::Uuid;
    }
    let digits = placeholder
        .split(|c: char| !c.is_ascii_digit())
        .find(|part| !part.is_empty());
    Secret::Alphanumeric(digits.and_then(|digits| digits.parse().ok()).unwrap_or(32))
}

/// The comment lines right above an assignment, section headings and blank lines excluded.
fn comment_above<'a>(template: &'a str, assignment: &Assignment) -> Vec<&'a str> {
    let mut lines: Vec<&str> = template[..assignment.lines.start]
        .lines()
        .rev()
        .take_while(|line| line.starts_with('#') && !is_optional_assignment(line))
        .collect();
    lines.reverse();
    lines
}

/// `# KEY=value`: an optional variable, shown with its default.
fn is_optional_assignment(line: &str) -> bool {
    optional_assignment(line).is_some()
}

fn optional_assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.strip_prefix("# ")?.split_once('=')?;
    let is_key = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    is_key.then_some((key, value))
}

/// Every variable that a template knows, with its value: assignments, and `# KEY=default` for optional ones.
pub fn template_variables(template: &str) -> Result<BTreeMap<String, String>, ParseError> {
    let optional = template
        .lines()
        .filter_map(optional_assignment)
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let assigned = parse(template)?
        .into_iter()
        .map(|want| (want.key, want.value));
    Ok(optional.chain(assigned).collect())
}

/// What `text` sets `key` to; the last assignment wins, as in Compose.
///
/// # Errors
/// When `text` cannot be read, or the value refers to other variables, which only Compose resolves.
pub fn value_of(text: &str, key: &str) -> Result<Option<String>, ParseError> {
    let Some(assignment) = parse(text)?
        .into_iter()
        .rfind(|assignment| assignment.key == key)
    else {
        return Ok(None);
    };
    if assignment.interpolates && assignment.value.contains('$') {
        let reason =
            "the value has a `$`, which Compose takes for a reference; put it in single quotes";
        return Err(ParseError {
            line: assignment.line,
            reason,
        });
    }
    Ok(Some(assignment.value))
}

/// Reads an env file the way Compose does (compose-go's dotenv, Compose 2.26; tried 2026-11-22): `#`
/// begins a comment at the start of a line or after a blank, single quotes are literal, double quotes know escapes,
/// quoted values may span lines, `export` and a BOM are tolerated.
///
/// # Errors
/// The first line that Compose refuses. A bare `KEY` is no assignment and no error.
pub fn parse(text: &str) -> Result<Vec<Assignment>, ParseError> {
    let mut assignments = Vec::new();
    let mut at = if text.starts_with('\u{feff}') {
        '\u{feff}'.len_utf8()
    } else {
        0
    };
    while at < text.len() {
        let start = at;
        let line_number = 1 + text[..at].matches('\n').count();
        let fail = |reason| ParseError {
            line: line_number,
            reason,
        };
        let line_end = text[at..].find('\n').map_or(text.len(), |n| at + n);
        let line = text[at..line_end].trim_end_matches('\r');
        let content = line.trim_start();
        at = line_end + 1;
        if content.is_empty() || content.starts_with('#') {
            continue;
        }
        let unexported = content
            .strip_prefix("export")
            .filter(|rest| rest.starts_with([' ', '\t']))
            .map_or(content, str::trim_start);
        let Some(separator) = unexported.find(['=', ':']) else {
            if unexported.trim_end().contains([' ', '\t']) {
                return Err(fail("expected KEY=value"));
            }
            continue;
        };
        let key = unexported[..separator].trim_end();
        let is_name = key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b'[' | b']'));
        if key.is_empty() || !is_name {
            return Err(fail("the name before `=` is no variable name"));
        }
        let raw = unexported[separator + 1..].trim_start_matches([' ', '\t']);
        let value_start = start + line.len() - raw.len();
        let (value, span_end, interpolates) = match raw.chars().next() {
            Some(quote @ ('"' | '\'')) => {
                let body_start = value_start + 1;
                let length = closing_quote(&text[body_start..], quote)
                    .ok_or_else(|| fail("a quote is opened and never closed"))?;
                let body = &text[body_start..body_start + length];
                let after = body_start + length + 1;
                let rest_end = text[after..].find('\n').map_or(text.len(), |n| after + n);
                let rest = text[after..rest_end].trim();
                if !rest.is_empty() && !rest.starts_with('#') {
                    return Err(fail("text after the closing quote"));
                }
                at = rest_end + 1;
                let value = if quote == '"' {
                    unescape(body)
                } else {
                    body.to_owned()
                };
                (value, after, quote == '"')
            }
            _ => {
                let value = before_comment(raw).trim_end();
                (value.to_owned(), value_start + value.len(), true)
            }
        };
        assignments.push(Assignment {
            key: key.to_owned(),
            value,
            interpolates,
            line: line_number,
            span: value_start..span_end,
            lines: start..(at - 1).min(text.len()),
        });
    }
    Ok(assignments)
}

/// The length of what stands before the first unescaped `quote`.
fn closing_quote(body: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn unescape(body: &str) -> String {
    let mut value = String::with_capacity(body.len());
    let mut characters = body.chars();
    while let Some(c) = characters.next() {
        match (c, c == '\\') {
            (_, true) => match characters.next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(other) => value.push(other),
                None => value.push('\\'),
            },
            _ => value.push(c),
        }
    }
    value
}

/// An unquoted value ends where a `#` stands at its start or after a blank.
fn before_comment(raw: &str) -> &str {
    let comment = raw
        .char_indices()
        .find(|&(at, c)| c == '#' && (at == 0 || raw[..at].ends_with([' ', '\t'])));
    comment.map_or(raw, |(at, _)| &raw[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Completes `existing` from `template` with secrets that say what was asked for.
    #[track_caller]
    fn check(template: &str, existing: &str, wanted: &str) {
        let generate = |secret| match secret {
            Secret::Alphanumeric(length) => format!("<{length}>"),
            Secret::Uuid => "<uuid>".to_owned(),
        };
        let once = complete(template, existing, generate).unwrap();
        assert_eq!(once.text, wanted);
        let twice = complete(template, &once.text, generate).unwrap();
        assert_eq!(
            twice,
            Completed {
                text: once.text,
                added: vec![],
                filled: vec![]
            },
            "not idempotent"
        );
    }

    #[test]
    fn completes_an_env_file() {
        // From nothing: assignments with the comment above them, without headings and optional ones.
        check(
            "# Title\n\n# a\nA=1\n# O=x\n# b\nB=change_this\n",
            "",
            "# a\nA=1\n# b\nB=<32>\n",
        );
        // Lengths, and what is no length.
        check("A=change_this_random_50_char_string\n", "", "A=<50>\n");
        check("A=change_this_random_uuid\n", "", "A=<uuid>\n");
        // What is there stays, in its place, with its quotes, comments and order.
        check(
            "A=1\nB=2\n",
            "B='x' # mine\n# end\n",
            "B='x' # mine\n# end\nA=1\n",
        );
        check("A=change_this\n", "A=mine\n", "A=mine\n");
        check("A=1\n", "  export A = 2\n", "  export A = 2\n");
        check("A=1\n", "A: 2\n", "A: 2\n");
        check("A=1\n", "A=\n", "A=\n");
        // Placeholders are filled where they stand, quoted or not, wherever they came from.
        check(
            "A=change_this_9\n",
            "A=change_this_7 # c\nB=1\n",
            "A=<7> # c\nB=1\n",
        );
        check("A=1\n", "X='change_this_8'\nA=1\n", "X=<8>\nA=1\n");
        check("A=change_this_9\n", "A=\nB=1\n", "A=<9>\nB=1\n");
        check("A=change_this_9\n", "A=\"\"\n", "A=<9>\n");
        // Compose takes the last of two.
        check(
            "A=change_this_9\n",
            "A=change_this_9\nA=x\n",
            "A=change_this_9\nA=x\n",
        );
        // Line endings, a BOM and a missing final newline.
        check("# a\nA=1\n", "B=2\r\n", "B=2\r\n# a\r\nA=1\r\n");
        check("A=1\n", "\u{feff}B=2\n", "\u{feff}B=2\nA=1\n");
        check("B=1\n", "\u{feff}B=2\n", "\u{feff}B=2\n");
        check("A=1\n", "B=2", "B=2\nA=1\n");
        check("A=1\n", "A=2", "A=2");
        check("A=1\n", "A=2\r", "A=2\r");
        // A value over several lines is one value.
        check("A=1\n", "B=\"x\nA=2\n\"\n", "B=\"x\nA=2\n\"\nA=1\n");
        // A comment is no assignment.
        check("A=1\n", "#A=2\n", "#A=2\nA=1\n");
    }

    #[test]
    fn rotates_what_was_generated_and_nothing_else() {
        let template = "A=change_this_9\nB=change_this_9\nID=change_this_uuid\nC=mine\n";
        let rotate = |existing: &str, keys: &[&str]| {
            let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
            rotate(template, existing, &keys, |_| "new".to_owned())
        };
        let all = rotate("# a\nA='old' # kept\nID=u\nC=c\nexport B=old\n", &[]).unwrap();
        assert_eq!(all.text, "# a\nA=new # kept\nID=u\nC=c\nexport B=new\n");
        assert_eq!(all.keys, ["A", "B"]);
        assert_eq!(
            rotate("A=old\nB=old\n", &["B"]).unwrap().text,
            "A=old\nB=new\n"
        );
        assert_eq!(rotate("A=1\nA=2\n", &["A"]).unwrap().text, "A=new\nA=new\n");
        for key in ["ID", "C", "NONE"] {
            let error = rotate("A=hidden\n", &[key]).unwrap_err();
            assert!(
                error.contains(key) && error.contains("A, B") && !error.contains("hidden"),
                "{error}"
            );
        }
    }

    /// As `docker compose config` of Compose 2.26 read the same lines (2026-11-22).
    #[test]
    fn reads_values_as_compose_does() {
        let cases = [
            ("V=abc", "abc"),
            ("V=abc # c", "abc"),
            ("V=abc#def", "abc#def"),
            ("V=#def", ""),
            ("V= abc ", "abc"),
            ("V=a b", "a b"),
            ("V='a$b'", "a$b"),
            ("V='a b' # c", "a b"),
            ("V=\"a\\\"b\"", "a\"b"),
            ("V=\"a\\nb\"", "a\nb"),
            ("V=\"a#b\"", "a#b"),
            ("V=\"a\\\\b\"", "a\\b"),
            ("V=", ""),
            ("V=a=b", "a=b"),
            ("export V=abc", "abc"),
            ("\u{feff}V=abc\r\n", "abc"),
            ("V=old\nV=new", "new"),
        ];
        for (text, value) in cases {
            assert_eq!(
                value_of(text, "V").unwrap().as_deref(),
                Some(value),
                "{text:?}"
            );
        }
    }

    #[test]
    fn refuses_with_the_line_and_never_the_text() {
        let cases = [
            ("A=1\nV X=hunter2", 2),
            ("\n\nV=\"hunter2", 3),
            ("V='a' hunter2", 1),
            ("=hunter2", 1),
            ("two words", 1),
        ];
        for (text, line) in cases {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!(value_of("V=a$b", "V").unwrap_err().line, 1);
    }

    #[test]
    fn knows_the_secrets_of_a_template() {
        assert!(is_secret("change_this_strong_password"));
        assert!(!is_secret("change_this_random_uuid") && !is_secret("analytics_admin"));
    }
}
