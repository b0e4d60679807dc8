//! The names of metrics in an expression of PromQL: as much of the language as that takes.

use std::collections::BTreeSet;

/// Words that take a list of labels in parentheses.
const WITH_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// Words between operands.
const OPERATORS: [&str; 6] = ["and", "or", "unless", "bool", "offset", "atan2"];

/// Returns the names of the metrics in an expression: words that are not called, and are not in braces, brackets or quotes.
pub(crate) fn metrics_of(expression: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '{' => after(rest, '}'),
            '[' => after(rest, ']'),
            '"' => after(&rest[1..], '"'),
            first if first.is_ascii_alphabetic() || first == '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
                let (word, tail) = rest.split_at(end.unwrap_or(rest.len()));
                let is_called =
                    ["(", "by ", "without "].iter().any(|next| tail.trim_start().starts_with(next));
                if WITH_LABELS.contains(&word) {
                    after(tail, ')')
                } else {
                    if !is_called && !OPERATORS.contains(&word) {
                        names.insert(word.to_owned());
                    }
                    tail
                }
            }
            // A number, with the unit of a duration.
            first if first.is_ascii_digit() => {
                rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
            }
            first => &rest[first.len_utf8()..],
        };
    }
    names
}

/// Returns what follows the next such character. None of our label values has a brace or a bracket.
fn after(text: &str, end: char) -> &str {
    text.split_once(end).unwrap_or_else(|| panic!("no {end} in {text}")).1
}

#[test]
fn functions_labels_and_durations_are_no_metrics() {
    let expression = "histogram_quantile(0.99, sum by (instance, le) (rate(a_bucket{job=\"b\", x=~\"c|d\"}[5m:1m]))) \
                      > bool 4e3 or 0*absent(e_total) unless on(f) time() - g:h offset 1h";
    let names: Vec<_> = metrics_of(expression).into_iter().collect();
    assert_eq!(names, ["a_bucket", "e_total", "g:h"]);
}
