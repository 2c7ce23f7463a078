//! Reads what a user would type, and what it is said to print, out of a document. Runs nothing.

use std::fs;

use crate::checkout::repository;

/// A block of code: indented by four blanks, after an empty line.
#[derive(Debug, Default)]
pub struct Block {
    /// The heading that it stands under.
    pub section: String,
    pub lines: Vec<String>,
}

/// A line that is typed, and what the document shows of its output.
#[derive(Debug, Default, PartialEq)]
pub struct Line {
    pub command: String,
    pub shown: Vec<String>,
}

impl Block {
    /// Whether it is part of a file, nothing that is typed.
    pub fn is_content(&self, programs: &[&str]) -> bool {
        let first = self.lines[0].trim_start_matches("$ ");
        !programs.contains(&first.split_whitespace().next().unwrap_or_default())
    }

    /// With `$ ` before what is typed, the rest is output; without it, every line is typed.
    pub fn typed(&self, programs: &[&str]) -> Vec<Line> {
        if self.is_content(programs) {
            return Vec::new();
        }
        let is_session = self.lines[0].starts_with("$ ");
        let mut typed: Vec<Line> = Vec::new();
        for line in &self.lines {
            let command = match line.strip_prefix("$ ") {
                Some(command) => command,
                None if !is_session => line,
                None => {
                    if let Some(last) = typed.last_mut() {
                        last.shown.push(line.clone());
                    }
                    continue;
                }
            };
            typed.push(Line {
                command: without_comment(command).to_owned(),
                shown: Vec::new(),
            });
        }
        typed.retain(|line| !line.command.is_empty());
        typed
    }
}

/// The text of a document of the repository.
#[track_caller]
pub fn read(document: &str) -> String {
    fs::read_to_string(repository().join(document)).unwrap()
}

/// The blocks of code, in their order. What is fenced is a picture.
pub fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut section, mut is_fenced, mut is_open) = (String::new(), false, false);
    let mut previous_is_empty = true;
    for line in text.lines() {
        is_fenced ^= line.starts_with("```");
        if is_fenced {
            continue;
        }
        if let Some(heading) = line.strip_prefix('#') {
            section = heading.trim_start_matches('#').trim().to_owned();
        }
        match line.strip_prefix("    ") {
            Some(code) if is_open => blocks.last_mut().unwrap().lines.push(code.to_owned()),
            Some(code) if previous_is_empty => {
                let section = section.clone();
                blocks.push(Block {
                    section,
                    lines: vec![code.to_owned()],
                });
                is_open = true;
            }
            // An empty line does not end a block of code.
            _ if line.is_empty() && is_open => blocks.last_mut().unwrap().lines.push(String::new()),
            _ => is_open = false,
        }
        previous_is_empty = line.is_empty();
    }
    for block in &mut blocks {
        while block.lines.last().is_some_and(String::is_empty) {
            block.lines.pop();
        }
    }
    blocks
}

/// What stands between backticks.
pub fn spans(text: &str) -> Vec<String> {
    let pieces = text.split('`').enumerate();
    pieces
        .filter(|(index, _)| index % 2 == 1)
        .map(|(_, span)| span.to_owned())
        .collect()
}

/// The arguments that the rows of the table of commands show, each alternative by itself.
pub fn table_commands(text: &str) -> Vec<String> {
    let mut rows = text
        .lines()
        .skip_while(|line| !line.starts_with("| `cargo xtask …`"));
    rows.next();
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    rows.flat_map(|row| alternatives(row.split('`').nth(1).unwrap()))
        .collect()
}

/// `up [--pull]` as `up --pull`; `a [--x\|--y]` as `a --x` and `a --y`.
fn alternatives(usage: &str) -> Vec<String> {
    let usage = usage.replace(['[', ']'], "").replace("\\|", "|");
    let Some(group) = usage.split(' ').find(|word| word.contains('|')) else {
        return vec![usage];
    };
    group
        .split('|')
        .map(|choice| usage.replace(group, choice))
        .collect()
}

fn without_comment(command: &str) -> &str {
    let command = command.split(" #").next().unwrap_or_default();
    if command.starts_with('#') {
        ""
    } else {
        command.trim_end()
    }
}

#[test]
fn a_session_is_parted_into_what_is_typed_and_what_is_shown() {
    let text =
        "# A\n\ntext\n\n    $ cargo one   # why\n    out\n\n    $ cargo two\n\n- item\n    more\n";
    let blocks = blocks(text);
    assert_eq!(blocks.len(), 1);
    let typed = blocks[0].typed(&["cargo"]);
    assert_eq!(typed[0].command, "cargo one");
    assert_eq!(typed[0].shown, ["out", ""]);
    assert_eq!(typed[1].command, "cargo two");
}
