//! The hosts file: what maps a name, where our block stands, and the edit that makes it as wanted.
//!
//! Bytes in, bytes out: a hosts file has no encoding. Must never propose an edit that reaches
//! outside our block.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::fmt::{self, Write};
use std::io::BufRead;
use std::ops::Range;

/// Where the stack listens, and the twin without which macOS waits 5 s on `.local` names.
pub const ADDRESSES: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Stands in every marker.
const MARKER_CORE: &[u8] = b"cargo xtask hosts";
const BEGIN: &str = "# >>> cargo xtask hosts >>>";
/// Begins a block whose first line ending ends the user's last line: removing takes it out again.
const BEGIN_AFTER_OPEN_LINE: &str =
    "# >>> cargo xtask hosts (the line above had no line ending) >>>";
const END: &str = "# <<< cargo xtask hosts <<<";

const UNCLOSED: &str = "begins our block and nothing ends it; delete what is left of it, or end it with the line \
                        `# <<< cargo xtask hosts <<<`";
const UNOPENED: &str = "ends our block and nothing begins it; delete what is left of it";

/// What it takes until `before` maps `names` to this machine: nothing if it does already, by the user's
/// own lines or by our block.
///
/// # Errors
/// When the user maps a name elsewhere, or our block is not whole; see [`Refusal`].
pub fn with_block(before: &[u8], names: &[Hostname]) -> Result<Plan, Refusal> {
    let (block, mappings) = scan(before, names)?;
    if let Some(Mapping {
        line,
        name,
        address,
    }) = mappings.iter().find(|m| !ADDRESSES.contains(&m.address))
    {
        let reason =
            format!("maps {name} to {address}; delete that line, or choose another name in .env");
        return Err(Refusal::new(*line, reason));
    }
    if let Some(block) = block {
        let wanted = block_lines(names, block.line_ending);
        let is_current = text_lines(&before[block.inner.clone()]).eq(text_lines(&wanted));
        let edit = Edit {
            range: block.inner,
            replacement: wanted,
            line: Some(block.line + 1),
        };
        return Ok(if is_current {
            Plan::Nothing(mappings)
        } else {
            Plan::Change(edit)
        });
    }
    // The ports are published on 127.0.0.1 alone: a name that has only ::1 reaches nothing.
    if names.iter().all(|name| {
        mappings
            .iter()
            .any(|m| m.name == *name && m.address == ADDRESSES[0])
    }) {
        return Ok(Plan::Nothing(mappings));
    }
    let line_ending = last_line_ending(before);
    let ends_open = !before.is_empty() && !before.ends_with(b"\n");
    let (joint, begin) = if ends_open {
        (line_ending, BEGIN_AFTER_OPEN_LINE)
    } else {
        ("", BEGIN)
    };
    let mut replacement = format!("{joint}{begin}{line_ending}").into_bytes();
    replacement.extend(block_lines(names, line_ending));
    replacement.extend(format!("{END}{line_ending}").into_bytes());
    Ok(Plan::Change(Edit {
        range: before.len()..before.len(),
        replacement,
        line: None,
    }))
}

/// What it takes until our block is out of `before`: nothing if there is none.
///
/// # Errors
/// When our block is not whole; see [`Refusal`].
pub fn without_block(before: &[u8]) -> Result<Plan, Refusal> {
    let (block, _) = scan(before, &[])?;
    Ok(match block {
        Some(block) => Plan::Change(Edit {
            range: block.outer,
            replacement: Vec::new(),
            line: Some(block.line),
        }),
        None => Plan::Nothing(Vec::new()),
    })
}

/// Every line of `text` that maps one of `names`, ours included.
///
/// # Errors
/// When our block is not whole; see [`Refusal`].
pub fn mappings(text: &[u8], names: &[Hostname]) -> Result<Vec<Mapping>, Refusal> {
    scan(text, names).map(|(_, mappings)| mappings)
}

/// Our block, for those who edit by hand.
pub fn render_block(names: &[Hostname]) -> String {
    let lines = String::from_utf8(block_lines(names, "\n")).expect("hostnames are ASCII");
    format!("{BEGIN}\n{lines}{END}\n")
}

/// The same for NixOS, where the hosts file is made from the system's configuration.
pub fn render_nixos(names: &[Hostname]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    let mut text = "networking.hosts = {\n".to_owned();
    for address in ADDRESSES {
        let _ = writeln!(text, "  \"{address}\" = [ {} ];", quoted.join(" "));
    }
    text + "};\n"
}

/// The names that the env file's `UMAMI_HOSTNAME` and `GLITCHTIP_DOMAIN` give this machine, each once.
///
/// # Errors
/// When one of them holds no hostname.
pub fn hostnames_from_env(
    umami_hostname: &str,
    glitchtip_domain: &str,
) -> Result<Vec<Hostname>, InvalidVariable> {
    let parse = |variable, text: &str| {
        Hostname::parse(text).map_err(|reason| InvalidVariable {
            variable,
            text: text.to_owned(),
            reason,
        })
    };
    let umami = parse("UMAMI_HOSTNAME", umami_hostname)?;
    let glitchtip = parse("GLITCHTIP_DOMAIN", host_of(glitchtip_domain))?;
    Ok(if umami == glitchtip {
        vec![umami]
    } else {
        vec![umami, glitchtip]
    })
}

/// A variable of the env file that holds no hostname.
#[derive(Debug)]
pub struct InvalidVariable {
    pub variable: &'static str,
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidVariable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(
            f,
            "{}: {:?} is no hostname: {}",
            self.variable, self.text, self.reason
        )
    }
}

impl std::error::Error for InvalidVariable {}

/// Whether these addresses of a name lead to the stack and nowhere else.
pub fn is_local(addresses: &[IpAddr]) -> bool {
    addresses.contains(&ADDRESSES[0]) && addresses.iter().all(|address| ADDRESSES.contains(address))
}

/// `http://errors.local:3002/path` has the host `errors.local`.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    if host.starts_with('[') {
        return host;
    }
    host.split_once(':').map_or(host, |(host, _)| host)
}

/// A name that can stand in a hosts file, in lower case: labels of letters, digits and hyphens, no address.
#[derive(Clone, Debug, PartialEq)]
pub struct Hostname(String);

impl Hostname {
    /// # Errors
    /// With the reason, when `text` is no hostname by RFC 1123 or would be read as an address.
    pub fn parse(text: &str) -> Result<Hostname, &'static str> {
        let text = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // Browsers take a last label of digits, or 0x…, for an IPv4 address: `127.1`, `0x7f.1`.
        let is_number = |label: &str| match label.strip_prefix("0x") {
            Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
            None => label.bytes().all(|byte| byte.is_ascii_digit()),
        };
        if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
            Err("it is an address, and a hosts file maps names")
        } else if text.len() > 253 {
            Err("it is longer than 253 bytes")
        } else if !text.split('.').all(is_label) {
            Err(
                "it must be labels of letters, digits and inner hyphens, at most 63 long, joined by single dots",
            )
        } else if text.rsplit('.').next().is_some_and(is_number) {
            Err("its last label is a number, so it would be taken for an address")
        } else {
            Ok(Hostname(text))
        }
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A line of the file that maps a wanted name.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// Counted from 1.
    pub line: usize,
    pub name: Hostname,
    pub address: IpAddr,
}

/// Why the file is left alone, by the line that is at fault, counted from 1.
#[derive(Debug)]
pub struct Refusal {
    line: usize,
    reason: String,
}

impl Refusal {
    fn new(line: usize, reason: impl Into<String>) -> Refusal {
        Refusal {
            line,
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "line {} {}", self.line, self.reason)
    }
}

impl std::error::Error for Refusal {}

/// What is to be done to a file.
#[derive(Debug)]
pub enum Plan {
    /// With the lines that map the wanted names.
    Nothing(Vec<Mapping>),
    Change(Edit),
}

/// Bytes to put in the place of a range of the file; everything outside the range stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    pub range: Range<usize>,
    pub replacement: Vec<u8>,
    /// Where that is, counted from 1; `None` at the end.
    pub line: Option<usize>,
}

impl Edit {
    /// What the user is asked about: the lines that go and the lines that come.
    pub fn render(&self, before: &[u8]) -> String {
        let removed = &before[self.range.clone()];
        let mut text = self
            .line
            .map_or("at the end:\n".to_owned(), |line| format!("line {line}:\n"));
        for (sign, bytes) in [('-', removed), ('+', &self.replacement)] {
            for line in text_lines(bytes) {
                let _ = writeln!(text, "{sign} {}", String::from_utf8_lossy(line));
            }
        }
        text
    }
}

/// Our block in a file.
struct Block {
    /// Everything that removing takes out.
    outer: Range<usize>,
    /// The lines between the markers.
    inner: Range<usize>,
    line_ending: &'static str,
    /// Where it begins, counted from 1.
    line: usize,
    /// The length of the line ending above it that came with it.
    joint: usize,
}

/// Finds our block and every line that maps one of `names`.
fn scan(text: &[u8], names: &[Hostname]) -> Result<(Option<Block>, Vec<Mapping>), Refusal> {
    let mut mappings = Vec::new();
    let mut block = None;
    let mut open: Option<Block> = None;
    let mut number = 1;
    let mut counted = 0;
    for Range { start, end } in interesting_lines(text, names) {
        number += count_lines(&text[counted..start]);
        counted = start;
        let line = &text[start..end];
        let marker = line.trim_ascii_end();
        let is_after_open_line = marker == BEGIN_AFTER_OPEN_LINE.as_bytes();
        if is_after_open_line || marker == BEGIN.as_bytes() {
            if let Some(Block { line, .. }) = open {
                return Err(Refusal::new(line, UNCLOSED));
            }
            if block.is_some() {
                return Err(Refusal::new(
                    number,
                    "begins a second block of ours; delete one of the two",
                ));
            }
            let line_ending = last_line_ending(line);
            let is_joined = is_after_open_line && text[..start].ends_with(line_ending.as_bytes());
            let joint = if is_joined { line_ending.len() } else { 0 };
            open = Some(Block {
                outer: start..end,
                inner: end..end,
                line_ending,
                line: number,
                joint,
            });
            continue;
        }
        if marker == END.as_bytes() {
            let begun = open.take().ok_or_else(|| Refusal::new(number, UNOPENED))?;
            let inner = begun.inner.start..start;
            if let Some(at) = text[inner.clone()]
                .split(|&byte| byte == b'\n')
                .position(|line| !is_block_line(line))
            {
                let reason = "is in our block and not ours; move it out of the block";
                return Err(Refusal::new(begun.line + 1 + at, reason));
            }
            // Lines that were added below the block since then need the line ending to stay.
            let joint = if end == text.len() { begun.joint } else { 0 };
            block = Some(Block {
                outer: begun.outer.start - joint..end,
                inner,
                ..begun
            });
            continue;
        }
        let mut fields = fields(line);
        let Some(address) = fields.next() else {
            continue;
        };
        for field in fields {
            for name in names
                .iter()
                .filter(|name| field.eq_ignore_ascii_case(name.0.as_bytes()))
            {
                if let Some(address) = parse_address(address) {
                    mappings.push(Mapping {
                        line: number,
                        name: name.clone(),
                        address,
                    });
                }
            }
        }
    }
    match open {
        Some(Block { line, .. }) => Err(Refusal::new(line, UNCLOSED)),
        None => Ok((block, mappings)),
    }
}

/// The lines, in order, that hold one of `names` or may be a marker; line endings included.
fn interesting_lines(text: &[u8], names: &[Hostname]) -> Vec<Range<usize>> {
    let needles = Needles::new(
        names
            .iter()
            .map(|name| name.0.as_bytes())
            .chain([MARKER_CORE])
            .collect(),
    );
    let mut lines = Vec::new();
    let mut from = 0;
    while let Some(at) = needles.find(text, from) {
        let start = text[from..at]
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(from, |n| from + n + 1);
        let end = at + line_length(&text[at..]);
        lines.push(start..end);
        from = end;
    }
    lines
}

/// Looks for several texts at once, in whatever case, by Horspool's method: most bytes are never looked
/// at, so that a blocklist of 200,000 lines costs little even in the unoptimized build that `cargo xtask`
/// is. (Optimizing this crate would make that build five times as long.)
struct Needles<'a> {
    needles: Vec<&'a [u8]>,
    shortest: usize,
    /// How far to go on from this byte; 0 if a needle may end with it.
    steps: [u8; 256],
}

impl Needles<'_> {
    /// Takes texts of 1 to 255 bytes.
    fn new(needles: Vec<&[u8]>) -> Needles<'_> {
        let shortest = needles.iter().map(|needle| needle.len()).min().unwrap_or(1);
        let mut steps = [u8::try_from(shortest).unwrap_or(u8::MAX); 256];
        for needle in &needles {
            for (step, byte) in (0..).zip(needle.iter().rev().take(shortest)) {
                for byte in [byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
                    steps[usize::from(byte)] = step.min(steps[usize::from(byte)]);
                }
            }
        }
        Needles {
            needles,
            shortest,
            steps,
        }
    }

    /// Where one stands in `text[from..]`, by its last byte.
    fn find(&self, text: &[u8], from: usize) -> Option<usize> {
        let mut end = from + self.shortest - 1;
        while end < text.len() {
            let step = self.steps[text[end] as usize] as usize;
            if step > 0 {
                end += step;
                continue;
            }
            let before = &text[from..=end];
            let stands_here = |needle: &&[u8]| {
                before.len() >= needle.len()
                    && before[before.len() - needle.len()..].eq_ignore_ascii_case(needle)
            };
            if self.needles.iter().any(stands_here) {
                return Some(end);
            }
            end += 1;
        }
        None
    }
}

/// The length of the first line, line ending included.
fn line_length(mut text: &[u8]) -> usize {
    // The standard library's own search, which is optimized in every build.
    text.skip_until(b'\n').expect("reading from memory")
}

fn count_lines(text: &[u8]) -> usize {
    let mut rest = text;
    let mut count = 0;
    while !rest.is_empty() {
        rest = &rest[line_length(rest)..];
        count += 1;
    }
    count
}

/// Whether a line between the markers can be ours: one of our addresses and hostnames, or nothing.
fn is_block_line(line: &[u8]) -> bool {
    let mut fields = line
        .trim_ascii()
        .split(|&byte| is_blank(byte))
        .filter(|field| !field.is_empty());
    let Some(address) = fields.next() else {
        return true;
    };
    parse_address(address).is_some_and(|address| ADDRESSES.contains(&address))
        && fields
            .all(|field| str::from_utf8(field).is_ok_and(|field| Hostname::parse(field).is_ok()))
}

/// The words of a line as glibc reads it: `#` begins a comment, and a NUL ends the text.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let content = line
        .split(|&byte| byte == b'#' || byte == 0)
        .next()
        .unwrap_or_default();
    content
        .split(|&byte| is_blank(byte))
        .filter(|field| !field.is_empty())
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// The address that a line begins with; `None` if resolvers would skip the line.
fn parse_address(field: &[u8]) -> Option<IpAddr> {
    // macOS ships this for `localhost`: link-local, and still this machine.
    if field == b"fe80::1%lo0" {
        return None;
    }
    let text = str::from_utf8(field).ok()?;
    let unscoped = text.split_once('%').map_or(text, |(address, _)| address);
    unscoped
        .parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// What the block says between its markers.
fn block_lines(names: &[Hostname], line_ending: &str) -> Vec<u8> {
    let names: Vec<&str> = names.iter().map(|name| name.0.as_str()).collect();
    let lines = ADDRESSES.map(|address| format!("{address} {}{line_ending}", names.join(" ")));
    lines.concat().into_bytes()
}

/// The file's own: what ends its last whole line.
fn last_line_ending(text: &[u8]) -> &'static str {
    match text.iter().rposition(|&byte| byte == b'\n') {
        Some(at) if text[..at].ends_with(b"\r") => "\r\n",
        _ => "\n",
    }
}

/// The lines that say something, without what surrounds them.
fn text_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
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
        hostnames_from_env("analytics.local", "http://errors.local:3002").unwrap()
    }

    fn apply(before: &[u8], plan: &Plan) -> Vec<u8> {
        match plan {
            Plan::Nothing(_) => before.to_vec(),
            Plan::Change(edit) => [
                &before[..edit.range.start],
                &edit.replacement,
                &before[edit.range.end..],
            ]
            .concat(),
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
    fn refuses_a_block_that_is_not_whole_or_not_ours() {
        refuses("<begin>\n", "line 1 begins our block and nothing ends it");
        refuses(
            "a\n<begin>\n127.0.0.1 localhost\n",
            "line 2 begins our block and nothing ends it",
        );
        refuses("<begin>", "line 1 begins our block and nothing ends it");
        refuses(
            "<joint>\r\nb\r\n",
            "line 1 begins our block and nothing ends it",
        );
        refuses("a\n<end>\n", "line 2 ends our block and nothing begins it");
        refuses(
            "<block><end>\n",
            "line 5 ends our block and nothing begins it",
        );
        refuses(
            "<end>\n<begin>\n",
            "line 1 ends our block and nothing begins it",
        );
        refuses("<block>a\n<block>", "line 6 begins a second block");
        refuses("<joined><joined>", "line 5 begins a second block");
        refuses(
            "<begin>\n<begin>\n<end>\n",
            "line 1 begins our block and nothing ends it",
        );
        refuses(
            "a\n<begin>\n127.0.0.1 analytics.local\n10.0.0.1 mine\n<end>\n",
            "line 4 is in our block and not ours",
        );
        refuses(
            "<begin>\n# my note\n<end>\n",
            "line 2 is in our block and not ours",
        );
        refuses(
            "<begin>\n127.0.0.1 analytics.local # note\n<end>\n",
            "line 2 is in our block and not ours",
        );
        refuses(
            "<begin>\n127.0.0.1 ÿ\n<end>\n",
            "line 2 is in our block and not ours",
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

    #[track_caller]
    fn reads(umami_hostname: &str, glitchtip_domain: &str, expected: &[&str]) {
        let names = hostnames_from_env(umami_hostname, glitchtip_domain).unwrap();
        assert_eq!(
            names.iter().map(Hostname::to_string).collect::<Vec<_>>(),
            expected
        );
    }

    #[track_caller]
    fn is_no_hostname(umami_hostname: &str, glitchtip_domain: &str, variable: &str) {
        let error =
            hostnames_from_env(umami_hostname, glitchtip_domain).expect_err("taken for hostnames");
        assert_eq!(error.variable, variable);
        assert!(!error.to_string().contains('\n'), "{error}");
    }

    #[test]
    fn reads_the_hostnames_of_the_env_file() {
        reads(
            "analytics.local",
            "http://errors.local:3002",
            &["analytics.local", "errors.local"],
        );
        reads(
            "analytics.local",
            "https://errors.local",
            &["analytics.local", "errors.local"],
        );
        reads(
            "a",
            "http://user:pass@errors.local:3002/path?x#y",
            &["a", "errors.local"],
        );
        reads("a", "errors.local:3002", &["a", "errors.local"]);
        reads("same.local", "http://SAME.local:3002", &["same.local"]);
        reads("localhost", "http://localhost:3002", &["localhost"]);
        reads(
            "xn--caf-dma.local",
            "http://3com.local",
            &["xn--caf-dma.local", "3com.local"],
        );
        let longest = ["a"; 127].join(".");
        reads(&longest, "http://b", &[&longest, "b"]);
    }

    #[test]
    fn refuses_what_is_no_hostname() {
        let no_hostnames = [
            "",
            " ",
            "a b",
            "a\nb",
            "a\n127.0.0.1 evil",
            "a\tb",
            "a\0b",
            "*.local",
            "a..b",
            ".a",
            "a.",
            "-a",
            "a-",
            "a_b",
            "a#b",
            "a/b",
            "caf\u{e9}.local",
            "127.0.0.1",
            "::1",
            "[::1]",
            "127.1",
            "0x7f.1",
            "a.0x10",
            "2130706433",
            "fe80::1%lo0",
        ];
        for text in no_hostnames {
            is_no_hostname(text, "http://errors.local:3002", "UMAMI_HOSTNAME");
        }
        is_no_hostname(&"a".repeat(64), "http://b", "UMAMI_HOSTNAME");
        is_no_hostname(&["a"; 128].join("."), "http://b", "UMAMI_HOSTNAME");
        for url in [
            "",
            "http://",
            "http://*.local",
            "http://127.0.0.1:3002",
            "http://[::1]:3002",
            "http://a b:3002",
            "http://:3002",
        ] {
            is_no_hostname("analytics.local", url, "GLITCHTIP_DOMAIN");
        }
    }

    #[test]
    fn prints_the_snippet_for_nixos() {
        let expected = "networking.hosts = {\n  \"127.0.0.1\" = [ \"analytics.local\" \"errors.local\" ];\n  \
                        \"::1\" = [ \"analytics.local\" \"errors.local\" ];\n};\n";
        assert_eq!(render_nixos(&names()), expected);
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
            if let Ok(found) = mappings(&before, &names()) {
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
                let found: Vec<(usize, String)> = found.iter().map(|m| (m.line, m.name.to_string())).collect();
                prop_assert_eq!(found, plain.collect::<Vec<_>>());
            }
        }
    }
}
