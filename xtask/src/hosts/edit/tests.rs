//! The edit as text in and text out, and what holds for any file.

use core::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// Spells a file: `<block>` is our block for [`names`], `<block crlf>` with CRLF, `<joined>` the block
/// below a line that had no line ending, `<begin>`, `<joint>` and `<end>` are markers, all with LF.
fn file(pattern: &str) -> Vec<u8> {
    let lines = "127.0.0.1 analytics.local errors.local\n::1 analytics.local errors.local\n";
    let block = format!("{BEGIN}\n{lines}{END}\n");
    let joined = format!("{BEGIN_AFTER_OPEN_LINE}\n{lines}{END}\n");
    let text = pattern
        .replace("<block>", &block)
        .replace("<block crlf>", &block.replace('\n', "\r\n"))
        .replace("<joined>", &joined)
        .replace("<joined crlf>", &joined.replace('\n', "\r\n"))
        .replace("<begin>", BEGIN)
        .replace("<joint>", BEGIN_AFTER_OPEN_LINE)
        .replace("<end>", END);
    // `ÿ` stands for a byte that is never UTF-8.
    text.chars()
        .flat_map(|c| {
            if c == 'ÿ' {
                vec![0xff]
            } else {
                c.to_string().into_bytes()
            }
        })
        .collect()
}

fn names() -> Vec<Hostname> {
    hostname::from_settings("analytics.local", "http://errors.local:3002").unwrap()
}

fn apply(before: &[u8], plan: &Plan) -> Vec<u8> {
    match plan {
        Plan::Nothing(_) => before.to_vec(),
        Plan::Change(edit) => edit.apply(before).concat(),
    }
}

fn add(before: &[u8]) -> Vec<u8> {
    apply(before, &with_block(before, &names()).unwrap())
}

fn remove(before: &[u8]) -> Vec<u8> {
    apply(before, &without_block(before).unwrap())
}

/// A file without our block gets it: again changes nothing, and taking it out gives the file back, ten times over.
#[track_caller]
fn adds(before: &str, after: &str) {
    let (before, after) = (file(before), file(after));
    assert_eq!(show(&add(&before)), show(&after));
    let mut text = before.clone();
    for _ in 0..10 {
        text = add(&text);
        assert_eq!(show(&add(&text)), show(&after), "not idempotent");
        text = remove(&text);
        assert_eq!(show(&text), show(&before), "removing does not undo adding");
    }
}

/// A file that is as wanted is left alone, by these lines.
#[track_caller]
fn keeps(before: &str, lines: &[usize]) {
    match with_block(&file(before), &names()).unwrap() {
        Plan::Nothing(mappings) => {
            let mut found: Vec<usize> = mappings.iter().map(|mapping| mapping.line).collect();
            found.dedup();
            assert_eq!(found, lines);
        }
        Plan::Change(edit) => panic!("changed: {}", edit.render(&file(before))),
    }
}

/// A stale block is replaced where it stands.
#[track_caller]
fn replaces(before: &str, after: &str) {
    let once = add(&file(before));
    assert_eq!(show(&once), show(&file(after)));
    assert_eq!(show(&add(&once)), show(&once), "not idempotent");
    assert_eq!(
        show(&remove(&once)),
        show(&remove(&file(before))),
        "removing gives something else"
    );
}

#[track_caller]
fn removes(before: &str, after: &str) {
    let once = remove(&file(before));
    assert_eq!(show(&once), show(&file(after)));
    assert_eq!(show(&remove(&once)), show(&once), "not idempotent");
}

/// Nothing is planned; adding says why, with the line.
#[track_caller]
fn refuses(before: &str, message: &str) {
    let refusal = with_block(&file(before), &names())
        .expect_err("a plan was made")
        .to_string();
    assert!(refusal.starts_with(message), "{refusal}");
}

fn show(text: &[u8]) -> String {
    text.escape_ascii().to_string().replace("\\n", "\\n\n")
}

#[test]
fn adds_one_block_at_the_end_and_keeps_every_byte() {
    adds("", "<block>");
    adds("\n", "\n<block>");
    adds("\n\n\n", "\n\n\n<block>");
    adds("127.0.0.1 localhost\n", "127.0.0.1 localhost\n<block>");
    adds(
        "127.0.0.1\tlocalhost\t# tab\n",
        "127.0.0.1\tlocalhost\t# tab\n<block>",
    );
    adds("# only a comment\n", "# only a comment\n<block>");
    adds("a  b   c    \n   \n\t\n", "a  b   c    \n   \n\t\n<block>");
    adds(
        "127.0.0.1 localhost\r\n",
        "127.0.0.1 localhost\r\n<block crlf>",
    );
    adds("a\nb\r\n", "a\nb\r\n<block crlf>");
    adds("a\r\nb\n", "a\r\nb\n<block>");
    adds("a\r\n\r\n", "a\r\n\r\n<block crlf>");
    adds("a\rb\r\n", "a\rb\r\n<block crlf>");
    adds("\r\n", "\r\n<block crlf>");
    adds(
        "\u{feff}127.0.0.1 localhost\n",
        "\u{feff}127.0.0.1 localhost\n<block>",
    );
    adds("ÿÿ 127.0.0.1 ÿ\n", "ÿÿ 127.0.0.1 ÿ\n<block>");
    adds("127.0.0.1 caf\u{e9}ÿ\n", "127.0.0.1 caf\u{e9}ÿ\n<block>");
    adds("a\0b\n\0\n", "a\0b\n\0\n<block>");
    adds(
        "garbage without any address\n",
        "garbage without any address\n<block>",
    );
    adds(
        "10.0.0.1 other.local\n\n# end\n\n",
        "10.0.0.1 other.local\n\n# end\n\n<block>",
    );
    adds(
        "127.0.0.1 docker.internal # Docker Desktop\n",
        "127.0.0.1 docker.internal # Docker Desktop\n<block>",
    );
}

#[test]
fn gives_a_file_without_a_final_newline_back_without_one() {
    adds("127.0.0.1 localhost", "127.0.0.1 localhost\n<joined>");
    adds("a\r\nb", "a\r\nb\r\n<joined crlf>");
    adds("a\nb", "a\nb\n<joined>");
    adds("a\nb\r", "a\nb\r\n<joined>");
    adds("a\r\nb\r", "a\r\nb\r\r\n<joined crlf>");
    adds("a\r\n\r", "a\r\n\r\r\n<joined crlf>");
    adds("\r", "\r\n<joined>");
    adds(" ", " \n<joined>");
    adds("\u{feff}", "\u{feff}\n<joined>");
    adds("\0", "\0\n<joined>");
    adds("ÿ", "ÿ\n<joined>");
    adds("# comment", "# comment\n<joined>");
}

#[test]
fn adds_and_removes_below_a_line_of_a_megabyte() {
    let line = "127.0.0.1 ".to_owned() + &"host ".repeat(200_000);
    adds(&format!("{line}\n"), &format!("{line}\n<block>"));
    adds(&line, &format!("{line}\n<joined>"));
}

#[test]
fn leaves_a_file_alone_that_is_as_wanted() {
    keeps("<block>", &[2, 3]);
    keeps("a\n<block>b\n", &[3, 4]);
    keeps("a\r\n<block crlf>", &[3, 4]);
    keeps("a\n<joined>", &[3, 4]);
    keeps("a\n<joined>b", &[3, 4]);
    keeps(
        "127.0.0.1 analytics.local\n127.0.0.1 errors.local\n",
        &[1, 2],
    );
    keeps("127.0.0.1 localhost analytics.local errors.local\n", &[1]);
    keeps("127.0.0.1\tANALYTICS.Local\terrors.LOCAL\n", &[1]);
    keeps("  127.0.0.1 analytics.local errors.local", &[1]);
    keeps("127.0.0.1 analytics.local errors.local # mine\r\n", &[1]);
    keeps("127.0.0.1 analytics.local errors.local#mine\n", &[1]);
    keeps("127.0.0.1\u{b}analytics.local\u{c}errors.local\n", &[1]);
    keeps(
        "#\n\n::1 analytics.local errors.local\n127.0.0.1 errors.local analytics.local\n",
        &[3, 4],
    );
    keeps("::ffff:127.0.0.1 analytics.local errors.local\n", &[1]);
    keeps(
        "127.0.0.1 analytics.local errors.local\n<block>",
        &[1, 3, 4],
    );
    keeps(
        "127.0.0.1 analytics.local analytics.local errors.local\n",
        &[1],
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn takes_only_whole_uncommented_names_for_the_name() {
    adds(
        "127.0.0.1 myanalytics.local errors.local.example\n",
        "127.0.0.1 myanalytics.local errors.local.example\n<block>",
    );
    adds(
        "10.0.0.1 analytics.locale\n",
        "10.0.0.1 analytics.locale\n<block>",
    );
    adds(
        "10.0.0.1 analytics.local.\n",
        "10.0.0.1 analytics.local.\n<block>",
    );
    adds(
        "10.0.0.1 -analytics.local\n",
        "10.0.0.1 -analytics.local\n<block>",
    );
    adds(
        "# 127.0.0.1 analytics.local errors.local\n",
        "# 127.0.0.1 analytics.local errors.local\n<block>",
    );
    adds(
        "#10.0.0.1 analytics.local\n",
        "#10.0.0.1 analytics.local\n<block>",
    );
    adds(
        "10.0.0.1 other # analytics.local\n",
        "10.0.0.1 other # analytics.local\n<block>",
    );
    adds(
        "10.0.0.1 other\0 analytics.local\n",
        "10.0.0.1 other\0 analytics.local\n<block>",
    );
    adds(
        "analytics.local 10.0.0.1\n",
        "analytics.local 10.0.0.1\n<block>",
    );
    adds(
        "10.0.0 analytics.local\n",
        "10.0.0 analytics.local\n<block>",
    );
    adds(
        "ÿ10.0.0.1 analytics.local\n",
        "ÿ10.0.0.1 analytics.local\n<block>",
    );
    adds(
        "fe80::1%lo0 analytics.local\n",
        "fe80::1%lo0 analytics.local\n<block>",
    );
    // One of two is not both, and ::1 alone does not reach a port that is published on 127.0.0.1.
    adds(
        "127.0.0.1 analytics.local\n",
        "127.0.0.1 analytics.local\n<block>",
    );
    adds(
        "::1 analytics.local errors.local\n",
        "::1 analytics.local errors.local\n<block>",
    );
}

#[test]
fn replaces_a_stale_block_where_it_stands() {
    replaces(
        "a\n<begin>\n127.0.0.1 old.local\n::1 old.local\n<end>\nb\n",
        "a\n<block>b\n",
    );
    replaces("<begin>\n<end>\n", "<block>");
    replaces(
        "<begin>\n\n \n127.0.0.1 analytics.local\n<end>\nb",
        "<block>b",
    );
    replaces(
        "a\r\n<begin>\r\n127.0.0.1 old.local\r\n<end>\r\nb\r\n",
        "a\r\n<block crlf>b\r\n",
    );
    replaces("a\n<joint>\n127.0.0.1 old.local\n<end>\n", "a\n<joined>");
    replaces(
        "a\n<joint>\n127.0.0.1 old.local\n<end>\nb\n",
        "a\n<joined>b\n",
    );
    replaces(
        "127.0.0.1 analytics.local errors.local\n<begin>\n::1 old.local\n<end>\n",
        "127.0.0.1 analytics.local errors.local\n<block>",
    );
}

#[test]
fn removes_exactly_the_block() {
    removes("", "");
    removes("127.0.0.1 analytics.local\n", "127.0.0.1 analytics.local\n");
    removes("a\n<block>b\n", "a\nb\n");
    removes("a\n<block>b", "a\nb");
    removes("a\r\n<block crlf>b\r\n", "a\r\nb\r\n");
    removes("<begin>\n127.0.0.1 old.local\n<end>", "");
    removes(
        "10.0.0.1 analytics.local\n<block>",
        "10.0.0.1 analytics.local\n",
    );
    // The line below has been added since, and needs the line ending that came with the block.
    removes("a\n<joined>b\n", "a\nb\n");
    removes("<joined>", "");
    // Whoever changed the line endings has made them theirs.
    removes("a\n<joined crlf>", "a\n");
    removes("a\r\n<joined>", "a\r");
}

#[test]
fn refuses_a_name_that_the_user_maps_elsewhere() {
    refuses(
        "10.0.0.1 analytics.local\n",
        "line 1 maps analytics.local to 10.0.0.1",
    );
    refuses(
        "a\n\n10.0.0.1\tx\tErrors.LOCAL # mine",
        "line 3 maps errors.local to 10.0.0.1",
    );
    refuses(
        "0.0.0.0 errors.local\n",
        "line 1 maps errors.local to 0.0.0.0",
    );
    refuses(
        "127.0.1.1 errors.local\n",
        "line 1 maps errors.local to 127.0.1.1",
    );
    refuses(
        "fe80::1%eth0 errors.local\n",
        "line 1 maps errors.local to fe80::1",
    );
    refuses(
        "127.0.0.1 errors.local\r\n192.168.0.7 errors.local\r\n",
        "line 2 maps errors.local to 192.168.0.7",
    );
    refuses(
        "<block>2001:db8::1 analytics.local\n",
        "line 5 maps analytics.local to 2001:db8::1",
    );
    refuses(
        "::ffff:10.0.0.1 analytics.local",
        "line 1 maps analytics.local to 10.0.0.1",
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refuses_a_block_that_is_not_whole_or_not_ours() {
    refuses(
        "<begin>\n",
        "line 1 begins a block of cargo xtask hosts that has no end",
    );
    refuses(
        "a\n<begin>\n127.0.0.1 localhost\n",
        "line 2 begins a block of cargo xtask hosts that has no end",
    );
    refuses(
        "<begin>",
        "line 1 begins a block of cargo xtask hosts that has no end",
    );
    refuses(
        "<joint>\r\nb\r\n",
        "line 1 begins a block of cargo xtask hosts that has no end",
    );
    refuses(
        "a\n<end>\n",
        "line 2 ends a block of cargo xtask hosts that has no beginning",
    );
    refuses(
        "<block><end>\n",
        "line 5 ends a block of cargo xtask hosts that has no beginning",
    );
    refuses(
        "<end>\n<begin>\n",
        "line 1 ends a block of cargo xtask hosts that has no beginning",
    );
    refuses("<block>a\n<block>", "line 6 begins a second block");
    refuses("<joined><joined>", "line 5 begins a second block");
    refuses(
        "<begin>\n<begin>\n<end>\n",
        "line 1 begins a block of cargo xtask hosts that has no end",
    );
    refuses(
        "a\n<begin>\n127.0.0.1 analytics.local\n10.0.0.1 mine\n<end>\n",
        "line 4 is inside the block of cargo xtask hosts",
    );
    refuses(
        "<begin>\n# my note\n<end>\n",
        "line 2 is inside the block of cargo xtask hosts",
    );
    refuses(
        "<begin>\n127.0.0.1 analytics.local # note\n<end>\n",
        "line 2 is inside the block of cargo xtask hosts",
    );
    refuses(
        "<begin>\n127.0.0.1 ÿ\n<end>\n",
        "line 2 is inside the block of cargo xtask hosts",
    );
    for whole in [
        "<begin>\n",
        "<end>\n",
        "<block><block>",
        "<begin>\n10.0.0.1 mine\n<end>\n",
    ] {
        without_block(&file(whole)).expect_err("removing does not refuse");
    }
}

#[test]
fn takes_a_marker_only_as_a_whole_line() {
    adds(" <begin>\n", " <begin>\n<block>");
    adds("#<begin>\n", "#<begin>\n<block>");
    adds("<begin> or so\n", "<begin> or so\n<block>");
    adds(
        "# see cargo xtask hosts\n",
        "# see cargo xtask hosts\n<block>",
    );
}

#[test]
fn shows_the_lines_that_go_and_come() {
    let shown = |pattern: &str| match with_block(&file(pattern), &names()).unwrap() {
        Plan::Change(edit) => edit.render(&file(pattern)),
        Plan::Nothing(_) => String::new(),
    };
    let (first, second) = (
        "127.0.0.1 analytics.local errors.local",
        "::1 analytics.local errors.local",
    );
    assert_eq!(
        shown("a"),
        format!("at the end:\n+ {BEGIN_AFTER_OPEN_LINE}\n+ {first}\n+ {second}\n+ {END}\n")
    );
    assert_eq!(
        shown("a\n<begin>\n::1 old.local\n<end>\n"),
        format!("line 3:\n- ::1 old.local\n+ {first}\n+ {second}\n")
    );
}

/// Bytes with what matters to us strewn in.
fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        3 => prop::collection::vec(any::<u8>(), 0..20),
        3 => prop::sample::select(vec!["\n", "\r\n", "127.0.0.1 ", "::1 ", "10.0.0.1 ", "\t", "#", "\0", "\u{feff}"])
            .prop_map(|text| text.as_bytes().to_vec()),
        2 => prop::sample::select(vec!["analytics.local", "Errors.Local", "x.local ", "cargo xtask hosts"])
            .prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::sample::select(vec!["<begin>", "<end>", "<joint>", "<begin>\n", "<end>\n", "\n<end>", "<block>", "<joined>"])
            .prop_map(file),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_file_only_the_block_changes(before in any_file()) {
        let Ok(plan) = with_block(&before, &names()) else {
            return Ok(());
        };
        let after = apply(&before, &plan);
        prop_assert_eq!(&add(&after), &after, "adding is not idempotent");
        let without = remove(&before);
        prop_assert_eq!(&remove(&without), &without, "removing is not idempotent");
        prop_assert_eq!(&remove(&after), &without, "removing does not undo adding");
        if let Plan::Change(edit) = plan {
            // What goes lies in a block of ours: removing the block would have taken it too.
            let Ok(Plan::Change(block)) = without_block(&before) else {
                prop_assert!(edit.range.is_empty() && edit.range.start == before.len(), "changed without a block");
                return Ok(());
            };
            prop_assert!(block.range.start <= edit.range.start && edit.range.end <= block.range.end);
        }
    }

    #[test]
    fn finds_what_a_plain_reading_finds(before in any_file()) {
        if let Ok(scan) = scan::scan(&before, &names()) {
            let plain = before.split(|&byte| byte == b'\n').enumerate().flat_map(|(index, line)| {
                let content = line.split(|&byte| byte == b'#' || byte == 0).next().unwrap_or_default();
                let words: Vec<String> = content
                    .split(|&byte| b" \t\r\x0b\x0c".contains(&byte))
                    .filter(|word| !word.is_empty())
                    .map(|word| String::from_utf8_lossy(word).to_lowercase())
                    .collect();
                let is_address = words.first().is_some_and(|word| word.parse::<IpAddr>().is_ok());
                let hits = words.into_iter().skip(1).filter(|word| word == "analytics.local" || word == "errors.local");
                hits.filter(|_| is_address).map(|word| (index + 1, word)).collect::<Vec<_>>()
            });
            let found: Vec<(usize, String)> = scan.mappings.iter().map(|m| (m.line, m.name.to_string())).collect();
            prop_assert_eq!(found, plain.collect::<Vec<_>>());
        }
    }
}
