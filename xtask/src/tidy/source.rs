//! Checks of one file's text.

use anyhow::{Context, Result};
use proc_macro2::{TokenStream, TokenTree};

use super::Finding;

/// Code that says it is not finished, or was left from debugging.
const UNFINISHED: [&str; 3] = ["todo", "unimplemented", "dbg"];

/// Any text but `.txt`, which holds what programs printed: no trailing white space, one newline at the end.
pub fn check_text(path: &str, text: &str) -> Vec<Finding> {
    if path.ends_with(".txt") {
        return Vec::new();
    }
    let mut findings: Vec<_> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| line.ends_with([' ', '\t']))
        .map(|(at, _)| Finding::at(path, at + 1, "trailing white space"))
        .collect();
    if !text.is_empty() && (!text.ends_with('\n') || text.ends_with("\n\n")) {
        findings.push(Finding::at(path, 0, "must end with exactly one newline"));
    }
    findings
}

/// A Rust source: teaches first, and is finished.
///
/// # Errors
/// When the text is not Rust.
pub fn check_rust(path: &str, text: &str) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        findings.push(Finding::at(path, 1, "must open with `//!`: what is in this file, and why"));
    }
    let tokens: TokenStream =
        text.parse().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| path.to_owned())?;
    find_unfinished(path, tokens, &mut findings);
    Ok(findings)
}

/// Looks at tokens rather than at the syntax tree, as macros hide code from the latter.
fn find_unfinished(path: &str, tokens: TokenStream, findings: &mut Vec<Finding>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => find_unfinished(path, group.stream(), findings),
            TokenTree::Ident(name) if UNFINISHED.iter().any(|unfinished| name == unfinished) => {
                if matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!') {
                    let line = name.span().start().line;
                    findings.push(Finding::at(path, line, format!("`{name}!` must not be committed")));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    //! Each check fails on what it is for, and lets the rest pass.

    use super::*;

    fn whats(findings: Vec<Finding>) -> Vec<(usize, String)> {
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn trailing_white_space_is_found_by_line() {
        assert_eq!(check_text("a", "fine\nnot \nnor\t\n").len(), 2);
        assert_eq!(check_text("a", "fine\n"), []);
    }

    #[test]
    fn what_a_program_printed_stays_as_it_is() {
        assert_eq!(check_text("a.txt", "table  \n\n"), []);
    }

    #[test]
    fn a_text_ends_with_one_newline() {
        assert_eq!(check_text("a", "no end").len(), 1);
        assert_eq!(check_text("a", "two ends\n\n").len(), 1);
        assert_eq!(check_text("a", ""), []);
    }

    #[test]
    fn a_source_opens_with_a_chapter() {
        assert_eq!(check_rust("a.rs", "//! Why.\nfn f() {}\n").unwrap(), []);
        assert_eq!(check_rust("a.rs", "fn f() {}\n").unwrap().len(), 1);
    }

    #[test]
    fn unfinished_code_is_found_inside_macros_too() {
        let text = "//! Why.\nfn f() {\n    vec![\n        todo!()];\n}\n";
        assert_eq!(
            whats(check_rust("a.rs", text).unwrap()),
            [(4, "`todo!` must not be committed".to_owned())]
        );
    }

    #[test]
    fn talking_about_unfinished_code_is_fine() {
        let text = "//! No todo!() here.\nfn todo() -> &'static str { \"dbg!\" }\n";
        assert_eq!(check_rust("a.rs", text).unwrap(), []);
    }
}
