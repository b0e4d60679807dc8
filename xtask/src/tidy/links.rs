//! Links in Markdown, and paths in backticks: both must lead to something that is there.
//!
//! A code map is only worth reading while it is true. So `crates/wal/src/segment.rs` in backticks is held to the same
//! as `[segment](crates/wal/src/segment.rs)`, and `#anchors` to the headings.

use super::Finding;
use super::tree::Tree;

/// Paths in backticks are checked if they start with one of these.
const TOP_DIRECTORIES: [&str; 6] = ["crates/", "dist/", "docs/", "proto/", "xtask/", ".ci/"];

/// Links and paths of one Markdown file that lead nowhere.
pub fn check(path: &str, text: &str, tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in prose(text) {
        for target in link_targets(&without_code(content)) {
            if let Some(what) = broken_link(path, text, target, tree) {
                findings.push(Finding::at(path, line, what));
            }
        }
        for named in code_spans(content).filter(|span| is_path(span)) {
            if !tree.contains(named.trim_end_matches('/')) {
                findings.push(Finding::at(path, line, format!("`{named}` does not exist")));
            }
        }
    }
    findings
}

/// Numbered lines that are not in a fenced block.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

fn code_spans(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect()
}

/// What stands between `](` and `)`.
fn link_targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

fn is_path(span: &str) -> bool {
    TOP_DIRECTORIES.iter().any(|top| span.starts_with(top)) && !span.contains([' ', '*', '<', '{', '('])
}

fn broken_link(path: &str, text: &str, target: &str, tree: &Tree) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let linked = if file.is_empty() { path.to_owned() } else { resolve(path, file) };
    if !tree.contains(&linked) {
        return Some(format!("link to {target}: {linked} does not exist"));
    }
    let content = if linked == path { Some(text) } else { tree.text(&linked) };
    let heads = content.filter(|_| linked.ends_with(".md") && !anchor.is_empty())?;
    let found =
        prose(heads).any(|(_, line)| line.starts_with('#') && slug(line.trim_start_matches('#')) == anchor);
    (!found).then(|| format!("link to {target}: no such heading in {linked}"))
}

/// A relative link as a path below the root.
fn resolve(from: &str, link: &str) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchor that a heading gets.
fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    //! Links that work, and links that do not.

    use super::*;

    fn broken(text: &str) -> Vec<String> {
        let tree = Tree::of([
            ("README.md", "# Quorate\n## Two commands, `one` tour\n"),
            ("docs/a.md", ""),
            ("crates/wal/src/lib.rs", ""),
        ]);
        check("docs/a.md", text, &tree).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn relative_links_are_followed_from_the_file_they_stand_in() {
        assert_eq!(
            broken("[up](../README.md) [here](./a.md) [dir](../crates/wal/) [out](https://x.y/z)"),
            [""; 0]
        );
        assert_eq!(broken("[gone](b.md)"), ["link to b.md: docs/b.md does not exist"]);
    }

    #[test]
    fn anchors_are_headings() {
        assert_eq!(broken("# Own\n[x](../README.md#two-commands-one-tour) [y](#own)"), [""; 0]);
        assert_eq!(
            broken("[x](../README.md#gone)"),
            ["link to ../README.md#gone: no such heading in README.md"]
        );
    }

    #[test]
    fn paths_in_backticks_exist() {
        assert_eq!(broken("`crates/wal/src/lib.rs`, `crates/wal/`, `crates/*/x`, `docs`, `a/b`"), [""; 0]);
        assert_eq!(broken("`crates/wal/src/gone.rs`"), ["`crates/wal/src/gone.rs` does not exist"]);
    }

    #[test]
    fn code_is_not_prose() {
        assert_eq!(broken("```\n[gone](b.md) `docs/b.md`\n```\n`[gone](b.md)`\n"), [""; 0]);
    }
}
