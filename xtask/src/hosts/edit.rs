//! The edit that makes a hosts file as wanted: bytes in, bytes out.
//!
//! Must never propose an edit that reaches outside our block.

use std::fmt::Write;
use std::ops::Range;

use crate::hosts::block::{self, ADDRESSES, BEGIN, BEGIN_AFTER_OPEN_LINE, END};
use crate::hosts::hostname::{self, Hostname};
use crate::hosts::scan::{self, Block, Mapping};
use crate::problem::Problem;

/// What the file is to be like.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// These names are mapped to this machine.
    Mapped(Vec<Hostname>),
    /// Our block is out of it.
    Removed,
}

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

/// What it takes until `before` is as `wanted`.
///
/// # Errors
/// When the user maps a wanted name to another machine, or our block is not whole.
pub fn plan(before: &[u8], wanted: &Wanted) -> Result<Plan, Problem> {
    match wanted {
        Wanted::Mapped(names) => with_block(before, names),
        Wanted::Removed => without_block(before),
    }
}

/// Nothing if the names are mapped already, by the user's own lines or by our block.
fn with_block(before: &[u8], names: &[Hostname]) -> Result<Plan, Problem> {
    let scan = scan::scan(before, names)?;
    if let Some(elsewhere) = scan
        .mappings
        .iter()
        .find(|mapping| leads_elsewhere(mapping))
    {
        return Err(mapped_elsewhere(elsewhere));
    }

    if let Some(block) = scan.block {
        return Ok(match replace_lines(before, &block, names) {
            Some(edit) => Plan::Change(edit),
            None => Plan::Nothing(scan.mappings),
        });
    }
    if names.iter().all(|name| is_mapped(name, &scan.mappings)) {
        return Ok(Plan::Nothing(scan.mappings));
    }
    Ok(Plan::Change(append_block(before, names)))
}

fn without_block(before: &[u8]) -> Result<Plan, Problem> {
    let remove = |block: Block| Edit {
        range: block.outer,
        replacement: Vec::new(),
        line: Some(block.line),
    };
    let block = scan::scan(before, &[])?.block;
    Ok(block.map_or(Plan::Nothing(Vec::new()), |block| {
        Plan::Change(remove(block))
    }))
}

fn leads_elsewhere(mapping: &Mapping) -> bool {
    !ADDRESSES.contains(&mapping.address)
}

fn mapped_elsewhere(mapping: &Mapping) -> Problem {
    let Mapping {
        line,
        name,
        address,
    } = mapping;
    Problem::new(format!("line {line} maps {name} to {address}")).hint(format!(
        "delete line {line}, or set another hostname than {name} in `.env`"
    ))
}

/// The ports are published on 127.0.0.1 alone: a name that has only ::1 reaches nothing.
fn is_mapped(name: &Hostname, mappings: &[Mapping]) -> bool {
    mappings
        .iter()
        .any(|mapping| mapping.name == *name && mapping.address == ADDRESSES[0])
}

/// `None` if the block says what it should.
fn replace_lines(before: &[u8], block: &Block, names: &[Hostname]) -> Option<Edit> {
    let wanted = block::render_lines(names, block.line_ending).into_bytes();
    let is_current = text_lines(&before[block.inner.clone()]).eq(text_lines(&wanted));
    (!is_current).then(|| Edit {
        range: block.inner.clone(),
        replacement: wanted,
        line: Some(block.line + 1),
    })
}

fn append_block(before: &[u8], names: &[Hostname]) -> Edit {
    let line_ending = scan::last_line_ending(before);
    let ends_open = !before.is_empty() && !before.ends_with(b"\n");
    let begin = if ends_open {
        format!("{line_ending}{BEGIN_AFTER_OPEN_LINE}")
    } else {
        BEGIN.to_owned()
    };
    let lines = block::render_lines(names, line_ending);
    let replacement = format!("{begin}{line_ending}{lines}{END}{line_ending}");
    Edit {
        range: before.len()..before.len(),
        replacement: replacement.into_bytes(),
        line: None,
    }
}

impl Wanted {
    /// What a file that is as wanted does; `mappings` are the lines by which it does so, where they are
    /// known.
    pub fn describe(&self, mappings: &[Mapping]) -> String {
        let Wanted::Mapped(names) = self else {
            return "has no block of cargo xtask hosts".to_owned();
        };
        let mut text = format!("maps {} to this machine", hostname::join(names));
        if mappings.is_empty() {
            return text;
        }
        let mut lines: Vec<usize> = mappings.iter().map(|mapping| mapping.line).collect();
        lines.dedup();
        let lines: Vec<String> = lines.iter().map(usize::to_string).collect();
        let _ = write!(text, " (line {})", lines.join(", "));
        if !mappings.iter().any(|mapping| mapping.address.is_ipv6()) {
            text += "; on macOS, map them to ::1 too, or each .local name takes 5 s to resolve";
        }
        text
    }
}

impl Edit {
    /// The parts that the file consists of afterwards.
    pub fn apply<'a>(&'a self, before: &'a [u8]) -> [&'a [u8]; 3] {
        [
            &before[..self.range.start],
            &self.replacement,
            &before[self.range.end..],
        ]
    }

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

/// The lines that say something, without what surrounds them.
fn text_lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests;
