//! What a hosts file says: which lines map the wanted names, and where our block stands.
//!
//! Reads bytes as the resolvers do, since a hosts file has no encoding. Must never change one.

use core::net::IpAddr;
use std::io::BufRead;
use std::ops::Range;

use crate::hosts::block::{ADDRESSES, BEGIN, BEGIN_AFTER_OPEN_LINE, END, MARKER_CORE};
use crate::hosts::hostname::Hostname;
use crate::problem::Problem;

/// What a hosts file says that matters to us.
pub struct Scan {
    pub block: Option<Block>,
    /// Every line that maps a wanted name, those of the block included.
    pub mappings: Vec<Mapping>,
}

/// A line of the file that maps a wanted name.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    /// Counted from 1.
    pub line: usize,
    pub name: Hostname,
    pub address: IpAddr,
}

/// Our block in a file.
pub struct Block {
    /// Everything that removing takes out.
    pub outer: Range<usize>,
    /// The lines between the markers.
    pub inner: Range<usize>,
    pub line_ending: &'static str,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// The length of the line ending above it that came with it.
    joint: usize,
}

/// Finds our block and every line that maps one of `names`.
///
/// # Errors
/// When there are two blocks, or one that is not whole or holds lines that are not ours.
pub fn scan(text: &[u8], names: &[Hostname]) -> Result<Scan, Problem> {
    let mut reader = Reader::new(text, names);
    let mut cursor = Cursor::new(text);
    for number in candidates(text, names) {
        reader.read(&cursor.advance_to(number))?;
    }
    reader.finish()
}

/// The numbers of the lines that hold one of `names` or may be a marker, in order.
///
/// Only these lines are parsed. The standard library's search through the whole text is optimized even in
/// the debug build that `cargo xtask` is: 200,000 lines take 20 ms, and 90 ms if each of them is parsed.
fn candidates(text: &[u8], names: &[Hostname]) -> Vec<usize> {
    // Neither changes how many lines there are, nor an ASCII letter but for its case.
    let text = String::from_utf8_lossy(text).to_lowercase();
    let needles = names.iter().map(Hostname::as_str).chain([MARKER_CORE]);
    let mut places: Vec<usize> = needles
        .flat_map(|needle| text.match_indices(needle).map(|(place, _)| place))
        .collect();
    places.sort_unstable();

    let (mut number, mut counted) = (1, 0);
    let number_of = |place: usize| {
        number += text[counted..place].matches('\n').count();
        counted = place;
        number
    };
    let mut numbers: Vec<usize> = places.into_iter().map(number_of).collect();
    numbers.dedup();
    numbers
}

/// One line of a text, with its line ending.
struct Line<'a> {
    /// Counted from 1.
    number: usize,
    start: usize,
    bytes: &'a [u8],
}

impl Line<'_> {
    fn end(&self) -> usize {
        self.start + self.bytes.len()
    }
}

/// Goes through a text line by line.
struct Cursor<'a> {
    rest: &'a [u8],
    /// Of the next line.
    number: usize,
    start: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a [u8]) -> Cursor<'a> {
        Cursor {
            rest: text,
            number: 1,
            start: 0,
        }
    }

    /// The line of this number, which is not before the next one.
    fn advance_to(&mut self, number: usize) -> Line<'a> {
        while self.number < number {
            self.next_line();
        }
        self.next_line()
    }

    fn next_line(&mut self) -> Line<'a> {
        let mut rest = self.rest;
        let length = rest.skip_until(b'\n').expect("memory can be read");
        let line = Line {
            number: self.number,
            start: self.start,
            bytes: &self.rest[..length],
        };
        self.rest = rest;
        self.start += length;
        self.number += 1;
        line
    }
}

/// What a line is to our block.
enum Marker {
    Begin,
    BeginAfterOpenLine,
    End,
}

impl Marker {
    /// A marker is a whole line.
    fn of(line: &[u8]) -> Option<Marker> {
        let line = line.trim_ascii_end();
        if line == BEGIN.as_bytes() {
            Some(Marker::Begin)
        } else if line == BEGIN_AFTER_OPEN_LINE.as_bytes() {
            Some(Marker::BeginAfterOpenLine)
        } else if line == END.as_bytes() {
            Some(Marker::End)
        } else {
            None
        }
    }
}

/// Takes the candidates one after the other and remembers what they said.
struct Reader<'a> {
    text: &'a [u8],
    names: &'a [Hostname],
    /// A block that has begun and not ended; its ranges end where it begins.
    open: Option<Block>,
    block: Option<Block>,
    mappings: Vec<Mapping>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], names: &'a [Hostname]) -> Reader<'a> {
        Reader {
            text,
            names,
            open: None,
            block: None,
            mappings: Vec::new(),
        }
    }

    fn read(&mut self, line: &Line) -> Result<(), Problem> {
        match Marker::of(line.bytes) {
            Some(Marker::Begin) => self.begin(line, 0),
            Some(Marker::BeginAfterOpenLine) => {
                let line_ending = last_line_ending(line.bytes).as_bytes();
                let is_joined = self.text[..line.start].ends_with(line_ending);
                self.begin(line, if is_joined { line_ending.len() } else { 0 })
            }
            Some(Marker::End) => self.end(line),
            None => {
                self.mappings.extend(mappings_of(line, self.names));
                Ok(())
            }
        }
    }

    fn begin(&mut self, line: &Line, joint: usize) -> Result<(), Problem> {
        if let Some(open) = &self.open {
            return Err(unclosed(open));
        }
        if let Some(first) = &self.block {
            let what = format!(
                "line {} begins a second block of cargo xtask hosts; the first is in line {}",
                line.number, first.line
            );
            return Err(Problem::new(what).hint("delete one of the two blocks"));
        }
        self.open = Some(Block {
            outer: line.start..line.end(),
            inner: line.end()..line.end(),
            line_ending: last_line_ending(line.bytes),
            line: line.number,
            joint,
        });
        Ok(())
    }

    fn end(&mut self, line: &Line) -> Result<(), Problem> {
        let Some(begun) = self.open.take() else {
            return Err(unopened(line));
        };
        let inner = begun.inner.start..line.start;
        if let Some(foreign) = first_foreign_line(&self.text[inner.clone()]) {
            let what = format!(
                "line {} is inside the block of cargo xtask hosts, which did not write it",
                begun.line + 1 + foreign
            );
            return Err(Problem::new(what).hint("move that line out of the block"));
        }
        // Lines that were added below the block since then need the line ending to stay.
        let joint = if line.end() == self.text.len() {
            begun.joint
        } else {
            0
        };
        self.block = Some(Block {
            outer: begun.outer.start - joint..line.end(),
            inner,
            ..begun
        });
        Ok(())
    }

    fn finish(self) -> Result<Scan, Problem> {
        match &self.open {
            Some(open) => Err(unclosed(open)),
            None => Ok(Scan {
                block: self.block,
                mappings: self.mappings,
            }),
        }
    }
}

fn unclosed(open: &Block) -> Problem {
    let what = format!(
        "line {} begins a block of cargo xtask hosts that has no end",
        open.line
    );
    Problem::new(what).hint(format!(
        "delete what is left of the block, or end it with the line `{END}`"
    ))
}

fn unopened(line: &Line) -> Problem {
    let what = format!(
        "line {} ends a block of cargo xtask hosts that has no beginning",
        line.number
    );
    Problem::new(what).hint("delete what is left of the block")
}

/// The index of the first line between the markers that cannot be ours.
fn first_foreign_line(inner: &[u8]) -> Option<usize> {
    inner
        .split(|&byte| byte == b'\n')
        .position(|line| !is_block_line(line))
}

/// Whether a line between the markers can be ours: one of our addresses and hostnames, or nothing.
fn is_block_line(line: &[u8]) -> bool {
    let is_hostname =
        |field: &[u8]| str::from_utf8(field).is_ok_and(|field| Hostname::parse(field).is_ok());
    let mut fields = line
        .trim_ascii()
        .split(|&byte| is_blank(byte))
        .filter(|field| !field.is_empty());
    let Some(address) = fields.next() else {
        return true;
    };
    parse_address(address).is_some_and(|address| ADDRESSES.contains(&address))
        && fields.all(is_hostname)
}

/// What a line maps, once for each time that it says so.
fn mappings_of(line: &Line, names: &[Hostname]) -> Vec<Mapping> {
    let mut fields = fields(line.bytes);
    let Some(address) = fields.next().and_then(parse_address) else {
        return Vec::new();
    };
    let wanted = fields.filter_map(|field| {
        names
            .iter()
            .find(|name| field.eq_ignore_ascii_case(name.as_str().as_bytes()))
    });
    wanted
        .map(|name| Mapping {
            line: line.number,
            name: name.clone(),
            address,
        })
        .collect()
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

/// The file's own line ending: what ends its last whole line.
pub fn last_line_ending(text: &[u8]) -> &'static str {
    match text.iter().rposition(|&byte| byte == b'\n') {
        Some(at) if text[..at].ends_with(b"\r") => "\r\n",
        _ => "\n",
    }
}
