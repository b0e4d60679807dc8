//! The Prometheus text format, version 0.0.4, byte for byte as Go's client library writes it.
//!
//! Families stand in the order of their names, label pairs in the order of the labels' names (`le` last), and numbers are Go's:
//! the shortest digits that read back the same, with an exponent from a million on and below 1e-4 (`2.147483648e+09`, `1e+06`,
//! yet `20480`).

use std::collections::BTreeMap;
use std::fmt::Write;

/// The content type that etcd answers with. It offers no other: OpenMetrics is not negotiated.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";

/// What can be exposed under one name.
pub trait Metric {
    /// `counter`, `gauge` or `histogram`.
    const TYPE: &'static str;

    /// Writes the samples there are now; a family without samples is left out altogether.
    fn samples(&self, out: &mut Samples<'_>);
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    name: &'a str,
    text: String,
}

impl Samples<'_> {
    /// One sample of the family's own name. `labels` in the order of their names.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: f64) {
        self.suffixed("", labels, value);
    }

    /// One sample of the family's name with a suffix (`_sum`).
    pub fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        for (place, (label, value)) in labels.iter().enumerate() {
            self.text.push(if place == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        self.text.push(' ');
        self.text.push_str(&number(value));
        self.text.push('\n');
    }
}

fn escape(value: &str, out: &mut String) {
    for character in value.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

/// An exposition being put together.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<&'static str, String>,
}

impl Exposition {
    /// Adds a family. Its name must be new.
    pub fn family<M: Metric>(&mut self, name: &'static str, help: &str, metric: &M) {
        let mut samples = Samples { name, text: String::new() };
        metric.samples(&mut samples);
        if samples.text.is_empty() {
            return;
        }
        let text = format!("# HELP {name} {help}\n# TYPE {name} {}\n{}", M::TYPE, samples.text);
        let taken = self.families.insert(name, text);
        assert!(taken.is_none(), "two metrics are called {name}");
    }

    /// The whole text.
    pub fn finish(self) -> String {
        let mut text = String::with_capacity(self.families.values().map(String::len).sum());
        self.families.values().for_each(|family| text.push_str(family));
        text
    }
}

/// A number as Go's `strconv.FormatFloat(value, 'g', -1, 64)` writes it.
pub(super) fn number(value: f64) -> String {
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".to_owned() } else { "-Inf".to_owned() };
    }
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    // Rust's `e` format has the same shortest digits: "-1.2345e6".
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the e format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let mut text = mantissa.to_owned();
        let _ = write!(text, "e{sign}{:02}", exponent.unsigned_abs());
        return text;
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        // The right column is the output of strconv.FormatFloat(x, 'g', -1, 64).
        let cases = [
            (0.0, "0"),
            (1.0, "1"),
            (-1.0, "-1"),
            (20480.0, "20480"),
            (819200.0, "819200"),
            (999999.0, "999999"),
            (1e6, "1e+06"),
            (1234567.0, "1.234567e+06"),
            (2147483648.0, "2.147483648e+09"),
            (1.8446744073709552e19, "1.8446744073709552e+19"),
            (1e22, "1e+22"),
            (52428.8, "52428.8"),
            (838.8608, "838.8608"),
            (123456.7, "123456.7"),
            (0.001, "0.001"),
            (0.000123, "0.000123"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (6.150099999999999e-05, "6.150099999999999e-05"),
            (f64::INFINITY, "+Inf"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let mut text = String::new();
        escape("a\\b\"c\nd", &mut text);
        assert_eq!(text, "a\\\\b\\\"c\\nd");
    }
}
