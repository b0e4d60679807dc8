//! Citations of rules: each number that is cited has a row in `docs/rules.md`.
//!
//! A rule is cited as `rule W6`, `rules R1 to R5`, `rules M2 and M5`, or in parentheses of its own,
//! `(V1, V3)`. A citation that leads nowhere is worse than none: the reader looks for it.

use std::collections::BTreeSet;

use super::Finding;

/// The file with a row for each rule.
pub const FILE: &str = "docs/rules.md";

/// Returns the numbers that have a row: those in bold at the start of a table row.
#[must_use]
pub fn defined(rules: &str) -> BTreeSet<&str> {
    let rows = rules.lines().filter_map(|line| line.strip_prefix("| **"));
    rows.filter_map(|row| row.split_once("**")).map(|(number, _)| number).collect()
}

/// Returns a finding for each citation in the text whose rule is not defined.
#[must_use]
pub fn check(path: &str, text: &str, defined: &BTreeSet<&str>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        for number in cited(line).into_iter().filter(|number| !defined.contains(number)) {
            findings.push(Finding::at(path, at + 1, format!("rule {number} has no row in {FILE}")));
        }
    }
    findings
}

/// Returns the numbers that a line cites.
fn cited(line: &str) -> Vec<&str> {
    let mut numbers = Vec::new();
    for start in ["rule ", "rules ", "Rule ", "Rules "] {
        line.split(start).skip(1).for_each(|rest| numbers.extend(list(rest).0));
    }
    for rest in line.split(" (").skip(1) {
        let (list, rest) = list(rest);
        if rest.starts_with(')') {
            numbers.extend(list);
        }
    }
    numbers
}

/// Returns the numbers at the start of the text, as far as `, `, ` and ` or ` to ` join them, and what follows.
fn list(text: &str) -> (Vec<&str>, &str) {
    let (mut numbers, mut rest) = (Vec::new(), text);
    while let Some((number, after)) = number(rest) {
        numbers.push(number);
        let joined = [", ", " and ", " to "].iter().find_map(|joint| after.strip_prefix(joint));
        match joined.filter(|next| self::number(next).is_some()) {
            Some(next) => rest = next,
            None => return (numbers, after),
        }
    }
    (numbers, rest)
}

/// Splits off a capital letter with one or two digits.
fn number(text: &str) -> Option<(&str, &str)> {
    let digits = text.bytes().skip(1).take_while(u8::is_ascii_digit).count();
    let is_number = text.starts_with(|first: char| first.is_ascii_uppercase()) && (1..=2).contains(&digits);
    let ends = !text.get(1 + digits..)?.starts_with(|next: char| next.is_alphanumeric());
    (is_number && ends).then(|| text.split_at(1 + digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cited() {
        assert_eq!(cited("// Kept here (rule W6), as rules R1 to R5 say."), ["W6", "R1", "R5"]);
        assert_eq!(cited("/// never goes down (V3), nor up (V1, V4)."), ["V3", "V1", "V4"]);
        assert_eq!(cited("// rules M2 and M5, M6 apply"), ["M2", "M5", "M6"]);
        for line in ["a rule of thumb", "Frame(W5)", " (HTTP2)", " (A1 is a cell)", "rule Wx", "rule W123"] {
            assert!(cited(line).is_empty(), "{line}");
        }
    }

    #[test]
    fn a_rule_without_a_row_is_found() {
        let rules = "| rule | why |\n|---|---|\n| **W1** A thing. | because |\n";
        let findings = check("a.rs", "// rule W1\n// rule W2\n", &defined(rules));
        let found: Vec<_> = findings.iter().map(|finding| (finding.line, finding.what.as_str())).collect();
        assert_eq!(found, [(2, "rule W2 has no row in docs/rules.md")]);
    }
}
