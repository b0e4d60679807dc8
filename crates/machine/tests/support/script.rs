//! Script files: commands and what they are expected to print.
//!
//! ```text
//! # A comment.
//! > put a 1
//! r2
//! event PUT a=1 create=2 mod=2 version=1
//!
//! > txn
//! >   if mod a = 2
//! >   then get a
//! ...
//! ```
//!
//! Lines that start with `>` are the command; those below it that are indented belong to it. What follows up to the
//! next empty line or comment is the output. With `QUORATE_UPDATE_GOLDEN=1` the output is written instead of
//! compared.

use std::fmt::Write as _;
use std::path::Path;

/// A command line and the lines indented below it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Command {
    pub(crate) words: Vec<Vec<u8>>,
    pub(crate) children: Vec<Command>,
}

impl Command {
    /// The word at this place as text.
    pub(crate) fn text(&self, place: usize) -> &str {
        self.words.get(place).map_or("", |word| std::str::from_utf8(word).expect("UTF-8"))
    }
}

/// Runs the script and compares, or rewrites it.
#[allow(clippy::disallowed_methods)] // the runner has files and an environment, the machine has not
pub(crate) fn run(path: &Path, mut execute: impl FnMut(&Command) -> String) {
    let script = std::fs::read_to_string(path).expect("script is readable");
    let actual = rewrite(&script, &mut execute);
    if std::env::var_os("QUORATE_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, actual).expect("script is writable");
        return;
    }
    for (number, (expected, actual)) in script.lines().zip(actual.lines()).enumerate() {
        let shown = path.file_name().unwrap().to_string_lossy();
        assert_eq!(actual, expected, "{shown}:{}", number + 1);
    }
    assert_eq!(script.lines().count(), actual.lines().count(), "{}: length of the output", path.display());
}

fn rewrite(script: &str, execute: &mut impl FnMut(&Command) -> String) -> String {
    let mut result = String::new();
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        writeln!(result, "{line}").unwrap();
        if !line.starts_with('>') {
            continue;
        }
        let mut block = vec![line];
        while let Some(line) = lines.next_if(|line| line.starts_with(">  ")) {
            writeln!(result, "{line}").unwrap();
            block.push(line);
        }
        while lines
            .next_if(|line| !(line.is_empty() || line.starts_with('#') || line.starts_with('>')))
            .is_some()
        {}
        result.push_str(&execute(&parse(&block)));
    }
    result
}

/// How far a line is indented, and its words.
type Line = (usize, Vec<Vec<u8>>);

fn parse(block: &[&str]) -> Command {
    let lines: Vec<Line> = block
        .iter()
        .map(|line| {
            let line = &line[1..];
            (line.len() - line.trim_start().len(), words(line))
        })
        .collect();
    let (command, rest) = parse_tree(&lines);
    assert!(rest.is_empty(), "one command in {block:?}");
    command
}

fn parse_tree(lines: &[Line]) -> (Command, &[Line]) {
    let ((indent, words), mut rest) = lines.split_first().expect("a command");
    let mut children = Vec::new();
    while rest.first().is_some_and(|(inner, _)| inner > indent) {
        let (child, after) = parse_tree(rest);
        children.push(child);
        rest = after;
    }
    (Command { words: words.clone(), children }, rest)
}

/// Words are separated by spaces; within quotes there may be any byte, also as `\xNN`.
fn words(line: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut bytes = line.bytes().peekable();
    while bytes.peek().is_some() {
        if bytes.next_if_eq(&b' ').is_some() {
            continue;
        }
        let (mut word, mut quoted) = (Vec::new(), false);
        while let Some(byte) = bytes.next_if(|&byte| quoted || byte != b' ') {
            match byte {
                b'"' => quoted = !quoted,
                b'\\' => {
                    assert_eq!(bytes.next(), Some(b'x'), "the only escape is \\xNN");
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    word.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                byte => word.push(byte),
            }
        }
        words.push(word);
    }
    words
}
