//! What a member serves at `/metrics`: Prometheus' text form.

use std::collections::HashMap;
use std::time::Duration;

/// The samples of a member at one time.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    samples: HashMap<String, Vec<Sample>>,
}

#[derive(Debug, Clone)]
struct Sample {
    labels: Vec<(String, String)>,
    value: f64,
}

impl Metrics {
    /// Reads the text form. Lines that are not samples are passed over.
    pub fn parse(text: &str) -> Metrics {
        let mut metrics = Metrics::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, sample)) = parse_sample(line) {
                metrics.samples.entry(name.to_owned()).or_default().push(sample);
            }
        }
        metrics
    }

    /// Returns the sum of all samples of this name, or `None` when there are none.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.sum(name, |_| true)
    }

    /// Returns the sum of the samples of this name that have one of these values for a label.
    pub fn value_of(&self, name: &str, label: &str, values: &[&str]) -> Option<f64> {
        self.sum(name, |sample| sample.label(label).is_some_and(|value| values.contains(&value)))
    }

    fn sum(&self, name: &str, wanted: impl Fn(&Sample) -> bool) -> Option<f64> {
        let samples = self.samples.get(name)?;
        Some(samples.iter().filter(|sample| wanted(sample)).map(|sample| sample.value).sum())
    }

    /// Returns the duration that this share of the observations of a histogram (in seconds) did not exceed: the upper
    /// bound of a bucket. `None` without observations, or when only the last, boundless one holds it.
    pub fn quantile(&self, name: &str, share: f64) -> Option<Duration> {
        let buckets = self.samples.get(&format!("{name}_bucket"))?;
        let bound = |sample: &Sample| sample.label("le")?.parse::<f64>().ok();
        let mut bounds: Vec<(f64, f64)> =
            buckets.iter().filter_map(|sample| Some((bound(sample)?, sample.value))).collect();
        bounds.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total = bounds.last()?.1;
        if total == 0.0 {
            return None;
        }
        let (bound, _) = bounds.into_iter().find(|(_, below)| *below >= total * share)?;
        Duration::try_from_secs_f64(bound).ok()
    }

    /// Returns how many observations a histogram has.
    pub fn observations(&self, name: &str) -> Option<f64> {
        self.value_of(&format!("{name}_bucket"), "le", &["+Inf"])
    }
}

impl Sample {
    fn label(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// `name{label="value",...} 1.5`, perhaps with a time behind it.
fn parse_sample(line: &str) -> Option<(&str, Sample)> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => parse_labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_ascii_whitespace().next()?.parse().ok()?;
    Some((name, Sample { labels, value }))
}

/// The labels up to the closing brace, and what follows it.
fn parse_labels(mut text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        let (value, rest) = parse_quoted(rest)?;
        labels.push((name.to_owned(), value));
        text = rest;
    }
}

/// The text up to the closing quote, and what follows it.
fn parse_quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut characters) = (String::new(), text.char_indices());
    loop {
        match characters.next()? {
            (place, '"') => return Some((value, &text[place + 1..])),
            (_, '\\') => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            (_, other) => value.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# HELP a A counter.
# TYPE a counter
a 5
b{method="Put",code="OK"} 3
b{method="Range",code="OK"} 4 1700000000
b{method="say \"}\\",code="x"} 1e1
d_bucket{le="0.001"} 0
d_bucket{le="0.002"} 90
d_bucket{le="0.064"} 99
d_bucket{le="+Inf"} 100
not a sample
"#;

    #[test]
    fn samples_are_summed_by_name_and_label() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.value("a"), Some(5.0));
        assert_eq!(metrics.value("b"), Some(17.0));
        assert_eq!(metrics.value_of("b", "method", &["Put", "say \"}\\"]), Some(13.0));
        assert_eq!(metrics.value("c"), None);
    }

    #[test]
    fn quantiles_are_upper_bounds_of_buckets() {
        let metrics = Metrics::parse(TEXT);
        assert_eq!(metrics.quantile("d", 0.5), Some(Duration::from_millis(2)));
        assert_eq!(metrics.quantile("d", 0.99), Some(Duration::from_millis(64)));
        assert_eq!(metrics.quantile("d", 1.0), None, "beyond the last bound");
        assert_eq!(metrics.observations("d"), Some(100.0));
    }
}
