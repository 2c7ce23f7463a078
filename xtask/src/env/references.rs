//! What stands in a value for something else: references (`$NAME`, `${NAME:-default}`) and escapes, as
//! Compose resolves them.
//!
//! Must never quote what it reads: most values are secrets.
//!
//! From compose-go's packages `template` and `dotenv`, v2.0 to v2.4 (Compose 2.26), read and tried 2026-11-25.

/// Looks a variable up; `None` is one that is not set, which differs from an empty one.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces each reference by its value and `$$` by `$`. A `$` before anything else stands for itself.
///
/// # Errors
/// When a `${` is no reference, or one that is required (`${NAME:?reason}`) has no value.
pub fn resolve(text: &str, lookup: Lookup) -> Result<String, &'static str> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        resolved.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        let name = name_at(after);
        rest = if let Some(after) = after.strip_prefix('$') {
            resolved.push('$');
            after
        } else if let Some(braced) = after.strip_prefix('{') {
            let (value, after) = resolve_braced(braced, lookup)?;
            resolved.push_str(&value);
            after
        } else {
            let bare = if name.is_empty() {
                "$".to_owned()
            } else {
                lookup(name).unwrap_or_default()
            };
            resolved.push_str(&bare);
            &after[name.len()..]
        };
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// What to do with the word that follows the name in `${NAME…}`.
#[derive(Clone, Copy)]
enum Operator {
    /// `-`: take the word when there is no value.
    Default,
    /// `+`: take the word when there is a value.
    Alternative,
    /// `?`: there must be a value; the word says why.
    Required,
}

/// Resolves what follows `${`; returns the value and what comes after the reference.
fn resolve_braced<'a>(braced: &'a str, lookup: Lookup) -> Result<(String, &'a str), &'static str> {
    const INVALID: &str = "a `${` begins no reference; write `$$` for a `$`";
    let name = name_at(braced);
    let after = &braced[name.len()..];
    if name.is_empty() {
        return Err(INVALID);
    }
    if let Some(rest) = after.strip_prefix('}') {
        return Ok((lookup(name).unwrap_or_default(), rest));
    }

    let unset_only = after.strip_prefix(':').unwrap_or(after);
    let operator = match unset_only.chars().next() {
        Some('-') => Operator::Default,
        Some('+') => Operator::Alternative,
        Some('?') => Operator::Required,
        _ => return Err(INVALID),
    };
    let word = &unset_only[1..];
    let word_start = braced.len() - word.len();
    let end = word_end(braced, word_start).ok_or(INVALID)?;
    // Compose resolves the word even where it is not needed, and refuses what it cannot resolve.
    let word = resolve(&braced[word_start..end], lookup)?;

    let value = lookup(name);
    let treats_empty_as_unset = unset_only.len() < after.len();
    let has_value = value
        .as_deref()
        .is_some_and(|value| !value.is_empty() || !treats_empty_as_unset);
    let result = match operator {
        Operator::Default if !has_value => word,
        Operator::Alternative if has_value => word,
        Operator::Required if !has_value => {
            return Err("a variable that it requires (`${NAME:?}`) has no value");
        }
        _ => value.unwrap_or_default(),
    };
    Ok((result, &braced[end + 1..]))
}

/// Where the `}` stands that ends a reference whose word begins at `word_start`: the one that closes as
/// many braces as were opened, else the last one in the line. `None` if the line has none.
fn word_end(braced: &str, word_start: usize) -> Option<usize> {
    let line = braced[word_start..]
        .find('\n')
        .map_or(braced, |length| &braced[..word_start + length]);
    let last = line.rfind('}').filter(|&last| last >= word_start)?;
    let bytes = &line.as_bytes()[..=last];
    let mut open = 1;
    let mut at = word_start;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            // The byte after an opening brace is not looked at: `{}` opens and does not close (2.26).
            b'{' => {
                open += 1;
                at += 1;
            }
            _ => {}
        }
        at += 1;
    }
    Some(last)
}

/// The variable name that `text` begins with; empty for none.
fn name_at(text: &str) -> &str {
    // Go's case-insensitive `[a-z]` takes two letters more: the long s and the Kelvin sign.
    let is_letter = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '\u{17f}' | '\u{212a}');
    if !text.starts_with(is_letter) {
        return "";
    }
    let end = text
        .find(|c: char| !is_letter(c) && !c.is_ascii_digit())
        .unwrap_or(text.len());
    &text[..end]
}

/// Replaces the escapes that double quotes know; any other backslash stays.
pub fn expand_escapes(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(backslash) = rest.find('\\') {
        expanded.push_str(&rest[..backslash]);
        let escape = &rest[backslash + 1..];
        let simple = match escape.chars().next() {
            Some('a') => "\x07",
            Some('b') => "\x08",
            Some('f') => "\x0c",
            Some('n') => "\n",
            Some('r') => "\r",
            Some('t') => "\t",
            Some('v') => "\x0b",
            Some('"') => "\"",
            Some('\\') => "\\",
            // A `$` that is none of a reference.
            Some('$') => "$$",
            _ => "",
        };
        rest = if !simple.is_empty() {
            expanded.push_str(simple);
            &escape[1..]
        } else if let Some(digits) = escape.strip_prefix('0') {
            let length = digits
                .bytes()
                .take(3)
                .take_while(u8::is_ascii_digit)
                .count();
            push_octal(&mut expanded, &digits[..length]);
            &digits[length..]
        } else {
            expanded.push('\\');
            escape
        };
    }
    expanded.push_str(rest);
    expanded
}

/// Appends what `\0` with `digits` behind it stands for: a character of up to `\0377`. Of what is none,
/// Compose takes the zero away and keeps the rest.
fn push_octal(expanded: &mut String, digits: &str) {
    let code = u8::from_str_radix(digits, 8)
        .ok()
        .filter(|_| digits.len() == 3);
    match code {
        Some(code) => expanded.push(char::from(code)),
        None => {
            expanded.push('\\');
            expanded.push_str(digits);
        }
    }
}
