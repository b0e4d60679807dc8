//! `cargo xtask tidy`: what a reviewer would otherwise have to say again and again.
//!
//! Each check is a pure function from text to [`Finding`]s, in a file of its own, with tests that show it failing. They
//! run under `cargo test --workspace` (`xtask/tests/tidy.rs`), so that nobody needs to know this command to stay tidy.
//!
//! | check | file |
//! |---|---|
//! | a source file opens with `//!`, is of bearable length, has no unfinished code, no trailing white space | `source` |
//! | a function is of bearable length | `functions` |
//! | what is too long already may only get shorter | `exceptions` |
//! | links and paths in Markdown lead somewhere | `links` |
//! | a rule that is cited has a row in `docs/rules.md` | `rules` |
//! | crates depend in one direction, take the workspace's lints, and ban what would make members differ | `crates` |

pub mod crates;
pub mod exceptions;
pub mod functions;
pub mod links;
pub mod rules;
pub mod source;
pub mod tree;

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};

use exceptions::Exceptions;
use tree::Tree;

/// Something untidy, and where.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Path below the root, with `/`.
    pub path: String,
    /// From 1; 0 where the file as a whole is meant.
    pub line: usize,
    /// What is wrong, and what to do about it.
    pub what: String,
}

impl Finding {
    /// A finding at a line (0: the whole file).
    pub fn at(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.what),
            line => write!(formatter, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// All findings of the tree below `root`, in order of path and line.
///
/// # Errors
/// When a file cannot be read, or a Rust source or manifest cannot be parsed.
pub fn check(root: &Path) -> Result<Vec<Finding>> {
    let tree = Tree::read(root)?;
    let mut findings = Vec::new();
    let mut lengths = Vec::new();
    let rules = rules::defined(tree.text(rules::FILE).unwrap_or_default());
    for (path, text) in tree.texts() {
        findings.extend(source::check_text(path, text));
        if path.ends_with(".rs") {
            findings.extend(source::check_rust(path, text)?);
            lengths.extend(functions::lengths(path, text)?);
        }
        if path.ends_with(".rs") || path.ends_with(".md") {
            findings.extend(rules::check(path, text, &rules));
        }
        if path.ends_with(".md") {
            findings.extend(links::check(path, text, &tree));
        }
    }
    let allowed = Exceptions::parse(tree.text(exceptions::FILE).unwrap_or_default())?;
    findings.extend(allowed.check(&lengths));
    findings.extend(crates::check(&tree)?);
    findings.sort();
    Ok(findings)
}

/// Prints the findings.
///
/// # Errors
/// When there are any, or the tree cannot be read.
pub fn run(root: &Path) -> Result<()> {
    let findings = check(root)?;
    findings.iter().for_each(|finding| println!("{finding}"));
    ensure!(findings.is_empty(), "{} findings", findings.len());
    Ok(())
}
