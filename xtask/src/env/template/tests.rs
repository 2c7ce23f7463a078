//! What is completed, filled and rotated, and what never is.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Secrets that say what was asked for.
fn generate(placeholder: Placeholder) -> String {
    match placeholder {
        Placeholder::Alphanumeric(length) => format!("<{length}>"),
        Placeholder::Uuid => "<uuid>".to_owned(),
    }
}

fn complete(template: &str, existing: &str) -> Completed {
    let template = Template::parse(template).unwrap();
    template.complete(existing, &|_| None, generate).unwrap()
}

#[track_caller]
fn check(template: &str, existing: &str, wanted: &str) {
    let once = complete(template, existing);
    assert_eq!(once.text, wanted);
    let twice = complete(template, &once.text);
    assert_eq!(twice.text, once.text, "not idempotent");
    assert!(twice.added.is_empty() && twice.filled.is_empty());
}

#[test]
fn what_is_missing_is_added_with_its_comment() {
    let template = "# Title\n\n# a\nA=1\n# O=x\n# b\nB=change_this\n";
    check(template, "", "# a\nA=1\n# b\nB=<32>\n");
    check("A=change_this_random_50_char_string\n", "", "A=<50>\n");
    check("A=change_this_random_uuid\n", "", "A=<uuid>\n");
    check("# a\nA=1\n", "B=2\r\n", "B=2\r\n# a\r\nA=1\r\n");
    check("A=1\n", "\u{feff}B=2\n", "\u{feff}B=2\nA=1\n");
    check("A=1\n", "B=2", "B=2\nA=1\n");
    check("A=1\n", "B=\"x\nA=2\n\"\n", "B=\"x\nA=2\n\"\nA=1\n");
    check("A=1\n", "#A=2\n", "#A=2\nA=1\n");
    // A bare name has no value of its own.
    check("A=1\n", "A\n", "A\nA=1\n");
}

#[test]
fn what_is_there_stays() {
    let kept = [
        "A=mine\n",
        "A=#s3cret\n",
        "A= # c\n",
        "A=\t#s3cret\n",
        "  export A = 2\n",
        "A: 2\n",
        "A=2",
        "A=2\r",
        "A=change_this_9\nA=x\n",
        "A=$X\n",
        "A=\"$X\"\n",
        "A=${X:-change_this_9}\n",
        "A='change_this_is_Mine!'\n",
        "A=change_this_\n",
        "A=change_this9\n",
        "A=change_this-9\n",
        "A=Change_this_9\n",
        "A=xchange_this_9\n",
        "A=change_this_9 x\n",
        "A=\"\\0143hange_this_9\"\n",
    ];
    for text in kept {
        check("A=change_this_9\n", text, text);
    }
    // A placeholder of another program is not ours.
    check(
        "A=1\n",
        "X=change_this_8\nA=change_this\n",
        "X=change_this_8\nA=change_this\n",
    );
    // The template gives none of these a placeholder.
    check("A=1\n", "A=\n", "A=\n");
}

#[test]
fn placeholders_are_filled_where_they_stand() {
    let cases = [
        ("A=change_this_7 # c\nB=1\n", "A=<9> # c\nB=1\n"),
        ("A='change_this' # c\n", "A='<9>' # c\n"),
        ("A=\"change_this_9\"B=2\n", "A=\"<9>\"B=2\n"),
        ("A=\nB=1\n", "A=<9>\nB=1\n"),
        ("A=\r\n", "A=<9>\r\n"),
        ("A=  \n", "A=<9>  \n"),
        ("A=\u{3000} # c\n", "A=<9>\u{3000} # c\n"),
        ("A=\"\"\n", "A=\"<9>\"\n"),
        ("A=''B=1\n", "A='<9>'B=1\n"),
        ("A=x\nA=\n", "A=x\nA=<9>\n"),
    ];
    for (existing, wanted) in cases {
        check("A=change_this_9\n", existing, wanted);
    }
}

#[test]
fn the_domain_of_glitchtip_gets_the_port_that_is_set() {
    let template = "GLITCHTIP_DOMAIN=http://errors.local:3002\n# GLITCHTIP_PORT=3002\n";
    let cases = [
        ("GLITCHTIP_PORT=13002\n", "http://errors.local:13002"),
        ("GLITCHTIP_PORT=lots\n", "http://errors.local:3002"),
        ("", "http://errors.local:3002"),
    ];
    for (existing, domain) in cases {
        check(
            template,
            existing,
            &format!("{existing}GLITCHTIP_DOMAIN={domain}\n"),
        );
    }
    check(
        template,
        "GLITCHTIP_PORT=13002\nGLITCHTIP_DOMAIN=http://x:1\n",
        "GLITCHTIP_PORT=13002\nGLITCHTIP_DOMAIN=http://x:1\n",
    );
}

#[test]
fn defaults_that_are_not_plain_are_quoted() {
    check("A='a b'\n", "", "A=\"a b\"\n");
    check("A='a\\\"$b'\n", "", "A=\"a\\\\\\\"\\$b\"\n");
}

#[test]
fn secrets_are_rotated_and_nothing_else() {
    let template = "A=change_this_9\nB=change_this_9\nID=change_this_uuid\nC=mine\n";
    let template = Template::parse(template).unwrap();
    let rotate = |existing: &str, keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        template.rotate(existing, &keys, |_| "new".to_owned())
    };
    let all = rotate("# a\nA='old' # kept\nID=u\nC=c\nexport B=old\n", &[]).unwrap();
    assert_eq!(all.text, "# a\nA='new' # kept\nID=u\nC=c\nexport B=new\n");
    assert_eq!(all.keys, ["A", "B"]);
    let text = |existing, keys: &[&str]| rotate(existing, keys).unwrap().text;
    assert_eq!(text("A=old\nB=old\n", &["B"]), "A=old\nB=new\n");
    assert_eq!(text("A=1\nA=2\n", &["A"]), "A=new\nA=new\n");
    assert_eq!(text("A='#1'C=2\n", &["A"]), "A='new'C=2\n");
    assert_eq!(text("A=#1 # c\n", &["A"]), "A=new # c\n");
    assert_eq!(text("C=${HOME:?}\nA=1\n", &["A"]), "C=${HOME:?}\nA=new\n");
    for key in ["ID", "C", "NONE"] {
        let problem = rotate("A=hidden\n", &[key]).unwrap_err();
        assert!(problem.what.contains(key), "{problem}");
        assert_eq!(problem.hint.as_deref(), Some("name one of A, B"));
    }
}

#[test]
fn the_committed_template_is_plain_enough_for_every_reader() {
    let text = include_str!("../../../../deploy/analytics/.env.example");
    let template = Template::parse(text).unwrap();
    let ours = dialect::parse(text).unwrap();
    let assigned = template.variables().iter().filter(|it| !it.is_optional);
    let assigned: Vec<_> = assigned.map(|it| (&it.key, &it.default)).collect();
    let ours: Vec<_> = ours.iter().map(|it| (&it.key, &it.value)).collect();
    assert_eq!(assigned, ours);
    assert!(
        template
            .variables()
            .iter()
            .all(|it| quote(&it.default) == it.default)
    );
    assert!(template.variable("POSTGRES_PASSWORD").unwrap().is_secret());
    assert!(!template.variable("UMAMI_WEBSITE_ID").unwrap().is_secret());
    assert!(template.variable("UMAMI_PORT").unwrap().is_optional);
}

/// Parts of lines; whatever they make, reading and completing must agree on it.
const PARTS: &[&str] = &[
    "\nA=",
    "\nA=change_this",
    "\nA='change_this_9'",
    "\nB=\"change_this\"",
    "\nB=\"\"",
    "\nD=",
    "\n",
    "A",
    "B",
    "C",
    "D",
    "=",
    "=",
    "=",
    ": ",
    "\n",
    "\n",
    "\n",
    "\r\n",
    " ",
    " #",
    "#",
    "'",
    "\"",
    "\\",
    "\t",
    "$Z",
    "$$",
    "export ",
    "change_this",
    "change_this_9",
    "x",
    "\u{a0}",
    "\u{3000}",
    "\u{feff}",
];

const TEMPLATE: &str = "A=change_this_9\n# c\nB=change_this_uuid\nC=2\n";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn completing_changes_no_byte_but_placeholders(
        parts in proptest::collection::vec(proptest::sample::select(PARTS), 0..40)
    ) {
        let existing = parts.concat();
        let Ok(before) = dialect::read(&existing, &|_| None) else {
            return Ok(());
        };
        let template = Template::parse(TEMPLATE).unwrap();
        let completed = template.complete(&existing, &|_| None, |_| "NEW".to_owned()).unwrap();

        // What stands between the new values is what stood between the placeholders.
        let mut rest = existing.as_str();
        let mut segments = completed.text.splitn(completed.filled.len() + 1, "NEW").peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_none() {
                prop_assert!(segment.starts_with(rest));
                break;
            }
            let after = rest.strip_prefix(segment);
            prop_assert!(after.is_some());
            let after = after.unwrap_or_default();
            rest = if after.starts_with("change_this") {
                after.trim_start_matches(|c: char| {
                    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
                })
            } else {
                after
            };
        }

        let after = dialect::read(&completed.text, &|_| None).unwrap();
        let is_new = |key: &String| completed.added.contains(key) || completed.filled.contains(key);
        for key in completed.added.iter().chain(&completed.filled) {
            let value = after.values.get(key).map(String::as_str);
            prop_assert_eq!(value, Some(if key == "C" { "2" } else { "NEW" }));
        }
        let others = |values: BTreeMap<String, String>| -> Vec<(String, String)> {
            values.into_iter().filter(|(key, _)| !is_new(key)).collect()
        };
        prop_assert_eq!(others(before.values), others(after.values));
    }
}

#[test]
fn a_value_is_set_in_its_place_as_a_shell_reads_it() {
    #[track_caller]
    fn check(existing: &str, value: &str, expected: &str) {
        assert_eq!(Template::set(existing, "B", value).unwrap(), expected);
    }
    check(
        "A=1\nB=\nC=3\n",
        "b.example.com",
        "A=1\nB=b.example.com\nC=3\n",
    );
    check("B='old one' # why\n", "new", "B=new # why\n");
    check("B=\n", "smtp://a?b&c", "B='smtp://a?b&c'\n");
    check("A=1", "x", "A=1\nB=x\n");
    assert!(Template::set("B=\n", "B", "it's").is_err());
}
