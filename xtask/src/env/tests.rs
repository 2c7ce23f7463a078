//! What Compose makes of odd lines.

use super::dialect::{names, parse, read, value_of};

/// What `docker compose config` of Compose 2.26 (compose-go 2.4) read as `V` (2026-11-25).
const READ: &[(&str, &str)] = &[
    // Comments: only a blank before a `#` begins one, and none at the start of a value.
    ("V=#s3cret", "#s3cret"),
    ("V= #s3cret", "#s3cret"),
    ("V=\t#x", "#x"),
    ("V=abc # c", "abc"),
    ("V=abc  # c", "abc"),
    ("V=abc\t# c", "abc\t# c"),
    ("V=abc#def", "abc#def"),
    ("V=abc #def", "abc"),
    ("V=a #b #c", "a"),
    ("V=a\u{a0}# c", "a\u{a0}# c"),
    ("V=a\u{3000} # c", "a"),
    ("#V=1\nV=2", "2"),
    ("  # V=1\nV=2", "2"),
    ("V=2 #", "2"),
    ("V=#", "#"),
    ("V='#x'", "#x"),
    ("V=\"a # b\"", "a # b"),
    ("V='a # b' # c", "a # b"),
    ("V='a'#c", "a"),
    // Blanks around a value, and what counts as one.
    ("V=abc", "abc"),
    ("V=", ""),
    ("V=   ", ""),
    ("V= abc ", "abc"),
    ("V=a b", "a b"),
    ("V=\u{a0}abc\u{a0}", "abc"),
    ("V=\u{85}abc", "abc"),
    ("V=\u{3000}abc\u{3000}", "\u{3000}abc"),
    ("V=\u{2028}abc", "\u{2028}abc"),
    ("V=abc\u{2028}", "abc"),
    ("V=abc\r\n", "abc"),
    ("V=\r\n", ""),
    ("V=a\rb", "a\rb"),
    ("V=\u{b}abc\u{c}", "abc"),
    ("V\t=\tabc\t", "abc"),
    // Names.
    ("export V=abc", "abc"),
    ("export\tV=abc", "abc"),
    ("export \t V=abc", "abc"),
    ("export\nV=abc", "abc"),
    ("V: abc", "abc"),
    ("V:abc", "abc"),
    ("V = abc", "abc"),
    ("  V=abc", "abc"),
    ("\u{3000}V=abc", "abc"),
    ("V==a", "=a"),
    ("V=a=b", "a=b"),
    ("V=a:b", "a:b"),
    ("\u{feff}V=abc", "abc"),
    ("V=old\nV=new", "new"),
    ("V=old\nV=", ""),
    ("V\nV=abc", "abc"),
    ("V=abc\nV\n", "abc"),
    ("export=1\nV=$export", "1"),
    // Single quotes are literal, but for an escaped quote.
    ("V='a$b'", "a$b"),
    ("V='${X:-y}'", "${X:-y}"),
    ("V='a\\nb'", "a\\nb"),
    ("V='a\\\\b'", "a\\\\b"),
    ("V='Let\\'s go'", "Let's go"),
    ("V='a\"b'", "a\"b"),
    ("V=''", ""),
    ("V=' a '", " a "),
    ("V='a\nb'", "a\nb"),
    ("V='a\r\nb'", "a\r\nb"),
    // Double quotes know escapes and references.
    ("V=\"\"", ""),
    ("V=\" a \"", " a "),
    ("V=\"a\\nb\\tc\\rd\"", "a\nb\tc\rd"),
    ("V=\"\\a\\b\\f\\v\"", "\u{7}\u{8}\u{c}\u{b}"),
    ("V=\"a\\\"b\"", "a\"b"),
    ("V=\"a\\\\b\"", "a\\b"),
    ("V=\"a\\\\\\\"b\"", "a\\\"b"),
    ("V=\"a\\cb\\qd\"", "a\\cb\\qd"),
    ("V=\"a'b\"", "a'b"),
    ("V=\"a\\'b\"", "a\\'b"),
    ("V=\"a\\$b\"", "a$b"),
    ("V=\"a\\\\$X\"", "a\\"),
    ("V=\"\\x41\\u0041\"", "\\x41\\u0041"),
    ("V=\"\\0101\"", "A"),
    ("V=\"\\0351\"", "é"),
    ("V=\"\\0377\"", "ÿ"),
    ("V=\"\\0400\"", "\\400"),
    ("V=\"\\07\"", "\\7"),
    ("V=\"\\0\"", "\\"),
    ("V=\"\\0189\"", "\\189"),
    ("V=\"\\01011\"", "A1"),
    ("V=\"a\nb\"", "a\nb"),
    ("V=\"a\\\nb\"", "a\\\nb"),
    ("V=\"a#b\"", "a#b"),
    // What follows a closing quote is the next statement.
    ("X='a'V=b", "b"),
    ("V='a' X=b", "a"),
    ("V='a'X\n", "a"),
    ("X=\"a\" export V=b", "b"),
    ("V='a'\t# c", "a"),
    ("V='a'\u{a0}X=b", "a"),
    // Quotes that do not begin a value are part of it.
    ("V=a'b'", "a'b'"),
    ("V=a\"b\"", "a\"b\""),
    ("V=`a`", "`a`"),
    ("V=a\\nb", "a\\nb"),
    ("V=a\\$b", "a\\"),
    ("V=\\", "\\"),
    // References see what stands above them.
    ("X=1\nV=$X", "1"),
    ("V=$X\nX=1", ""),
    ("X=1\nV=$X\nX=2", "1"),
    ("X=1\nV=${X}y", "1y"),
    ("X=1\nV=$Xy", ""),
    ("X=1\nV=\"$X\"", "1"),
    ("V=$", "$"),
    ("V=$1", "$1"),
    ("V=a$ b", "a$ b"),
    ("V=$$X", "$X"),
    ("V=$$$$", "$$"),
    ("V=$-", "$-"),
    ("V=${X-d}", "d"),
    ("V=${X:-d}", "d"),
    ("X=\nV=${X-d}", ""),
    ("X=\nV=${X:-d}", "d"),
    ("X=1\nV=${X:+d}", "d"),
    ("X=\nV=${X:+d}", ""),
    ("X=\nV=${X+d}", "d"),
    ("V=${X+d}", ""),
    ("X=1\nV=${X?e}", "1"),
    ("X=\nV=${X?e}", ""),
    ("V=${X:-a}b}", "ab}"),
    ("V=${X:-{a}b}c", "{a}bc"),
    ("V=${X:-{}}", "{}"),
    ("V=${X:-${Y:-z}}w", "zw"),
    ("V=${X:-a} ${Y:-b}", "a b"),
    ("V=${X:-$$}", "$"),
    ("V=p$ſ", "p"),
    ("V=$2b$10$hash", "$2b$10"),
];

/// What it refused, and the line.
const REFUSED: &[(&str, usize)] = &[
    ("two words\n", 1),
    ("V X=1", 1),
    ("=1", 1),
    ("A=1\nV", 2),
    ("V='a' b", 1),
    ("\n\nV='a", 3),
    ("V=\"a", 1),
    ("V=\"a\\\"", 1),
    ("V=a\nV'=1", 2),
    ("$V=1", 1),
    ("V/=1", 1),
    ("V\u{301}=1", 1),
    ("V\u{3000}=1", 1),
    ("export V X=1", 1),
    ("A=1\nexport ", 2),
    ("V=${", 1),
    ("V=${}", 1),
    ("V=${1}", 1),
    ("V=${X", 1),
    ("V=${X:d}", 1),
    ("V=${X-a\n}", 1),
    ("V=${X?}", 1),
    ("V=${X:?e}", 1),
    ("X=\nV=${X:?e}", 2),
    ("X=1\nV=${X:?e}\nX=", 2),
    ("V=${X:-a b #c}", 1),
    ("V=${X:-${}", 1),
    ("V=\"a\nb\"\nX=\"${\"", 3),
    ("V=\"\\0000\"", 1),
    ("V='a'\"b\"", 1),
];

#[test]
fn every_odd_line_is_read_as_compose_reads_it() {
    for (text, value) in READ {
        let read = value_of(text, "V");
        assert_eq!(read.unwrap().as_deref(), Some(*value), "{text:?}");
    }
}

#[test]
fn what_compose_refuses_is_refused_with_its_line() {
    for (text, line) in REFUSED {
        assert_eq!(parse(text).unwrap_err().line, *line, "{text:?}");
    }
}

#[test]
fn what_stands_behind_a_closing_quote_is_named() {
    let reason = |text: &str| parse(text).unwrap_err().to_string();
    let said = "something stands behind the closing quote of a value";
    assert_eq!(reason("A=1\nV='it''s'\n"), format!("line 2: {said}"));
    assert_eq!(reason("V=\"a\nb\" c d\n"), format!("line 2: {said}"));
    assert!(!reason("\u{feff}V X=1").contains(said));
}

#[test]
fn no_error_quotes_the_text() {
    let cases = [
        "V X=hunter2",
        "V=\"hunter2",
        "V='a' hunter2",
        "=hunter2",
        "V=${hunter2",
        "V=${X:?hunter2}",
        "hunter2/",
    ];
    for text in cases {
        let error = parse(text).unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_bare_name_inherits_and_references_see_the_environment_first() {
    let environment = |name: &str| (name == "X").then(|| "outer".to_owned());
    let reading = read("X\nY\nV=$X\nX=inner\nW=$X\n", &environment).unwrap();
    let value = |key| reading.values.get(key).map(String::as_str);
    assert_eq!(value("V"), Some("outer"));
    assert_eq!(value("W"), Some("outer"));
    assert_eq!(value("X"), Some("inner"));
    assert_eq!(value("Y"), None);
}

#[test]
fn bare_names_are_not_assigned() {
    let names = names("A=1\nB\nexport C='x'D=\n").unwrap();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["A", "C", "D"]);
}

#[test]
fn each_assignment_knows_its_bytes() {
    let text = "\u{feff}# c\r\n export A : ' x' # d\nB=\r\nC=a # e\nD=\"\"E=$A\n";
    let assignments = parse(text).unwrap();
    let written: Vec<_> = assignments
        .iter()
        .map(|it| (it.written(text), it.raw(text), it.line, it.has_references))
        .collect();
    let wanted = [
        ("export A : ' x'", " x", 2, false),
        ("B=", "", 3, false),
        ("C=a", "a", 4, false),
        ("D=\"\"", "", 5, false),
        ("E=$A", "$A", 5, true),
    ];
    assert_eq!(written, wanted);
}
