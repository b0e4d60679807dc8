//! From samples to something to read: medians over the rounds, ratios of medians, targets met or missed.
//!
//! Losses look exactly like wins: each ratio says better, same or WORSE, and a run with errors says so in its table and
//! at the end. The JSON has every sample of every round, so nobody has to trust the medians.

use crate::cores::Placement;
use crate::figures::{self, Better, Sample, Unit};
use crate::stats;
use serde::Serialize;
use std::fmt::Write;

/// Ratios this close to 1 are called the same.
const SAME: f64 = 0.05;

/// What a figure is meant to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// Of the ratio to the peer.
    RatioAtMost(f64),
    RatioAtLeast(f64),
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Target {
    pub(crate) figure: &'static str,
    pub(crate) bound: Bound,
}

/// A measured server.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Subject {
    pub(crate) label: String,
    pub(crate) version: String,
}

/// One line of a suite: all samples of all servers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RowResult {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) targets: Vec<Target>,
    /// For each server, in the order of [`Report::subjects`], one sample for each round.
    pub(crate) samples: Vec<Vec<Sample>>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) machine: String,
    pub(crate) subjects: Vec<Subject>,
    pub(crate) rows: Vec<RowResult>,
}

/// One figure of one row: the medians, and what they say.
#[derive(Clone, Debug, PartialEq)]
struct Line {
    name: String,
    unit: Unit,
    better: Better,
    /// One for each server; `None` when it has no such figure.
    medians: Vec<Option<f64>>,
    targets: Vec<Bound>,
}

impl Line {
    /// The first server's value by the second's.
    fn ratio(&self) -> Option<f64> {
        match self.medians[..] {
            [Some(ours), Some(peer)] if peer > 0.0 => Some(ours / peer),
            _ => None,
        }
    }

    fn verdict(&self) -> &'static str {
        match (self.better, self.ratio()) {
            (Better::Neither, _) | (_, None) => "",
            (_, Some(ratio)) if (ratio - 1.0).abs() <= SAME => "same",
            (Better::Lower, Some(ratio)) if ratio < 1.0 => "better",
            (Better::Higher, Some(ratio)) if ratio > 1.0 => "better",
            _ => "WORSE",
        }
    }

    /// Each target with whether it is met; nothing for those that cannot be judged.
    fn judged(&self) -> Vec<(String, bool)> {
        let ours = self.medians.first().copied().flatten();
        let judge = |bound: &Bound| match *bound {
            Bound::AtMost(most) => ours.map(|value| (format!("<= {}", show(most, self.unit)), value <= most)),
            Bound::AtLeast(least) => {
                ours.map(|value| (format!(">= {}", show(least, self.unit)), value >= least))
            }
            Bound::RatioAtMost(most) => self.ratio().map(|ratio| (format!("ratio <= {most}"), ratio <= most)),
            Bound::RatioAtLeast(least) => {
                self.ratio().map(|ratio| (format!("ratio >= {least}"), ratio >= least))
            }
        };
        self.targets.iter().filter_map(judge).collect()
    }

    fn target_text(&self) -> String {
        let text = |(bound, met)| format!("{bound} {}", if met { "met" } else { "MISSED" });
        self.judged().into_iter().map(text).collect::<Vec<_>>().join(", ")
    }
}

impl RowResult {
    fn lines(&self) -> Vec<Line> {
        let Some(first) = self.samples.iter().flatten().next() else { return Vec::new() };
        let line = |figure: &figures::Figure| {
            let values = |samples: &Vec<Sample>| -> Vec<f64> {
                samples.iter().filter_map(|sample| sample.value(&figure.name)).collect()
            };
            Line {
                name: figure.name.clone(),
                unit: figure.unit,
                better: figure.better,
                medians: self.samples.iter().map(|samples| stats::median(&values(samples))).collect(),
                targets: self
                    .targets
                    .iter()
                    .filter(|target| target.figure == figure.name)
                    .map(|target| target.bound)
                    .collect(),
            }
        };
        first.figures.iter().map(line).collect()
    }

    fn errors(&self) -> u64 {
        self.samples.iter().flatten().map(|sample| sample.errors).sum()
    }

    /// The row as a table: a figure a line, a server a column.
    pub(crate) fn table(&self, subjects: &[Subject]) -> String {
        let rounds = self.samples.first().map_or(0, Vec::len);
        let rounds = if rounds == 1 { "one round".into() } else { format!("medians of {rounds} rounds") };
        let mut text = format!("{}: {} ({rounds})\n", self.name, self.title);
        let columns = subjects.iter().map(|subject| format!("{:>16}", subject.label)).collect::<String>();
        let ratio = if subjects.len() == 2 { "   ratio" } else { "" };
        let _ = writeln!(text, "  {:<42}{columns}{ratio}", "");
        for line in self.lines() {
            let values: String = line
                .medians
                .iter()
                .map(|value| format!("{:>16}", value.map_or("-".into(), |value| show(value, line.unit))))
                .collect();
            let ratio = line.ratio().map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let rest = format!("{ratio:>8}  {:<7}{}", line.verdict(), line.target_text());
            let _ = writeln!(text, "  {:<42}{values}{}", line.name, rest.trim_end());
        }
        for (subject, samples) in subjects.iter().zip(&self.samples) {
            for (round, sample) in samples.iter().enumerate() {
                for remark in &sample.remarks {
                    let _ = writeln!(text, "  ! {}, round {}: {remark}", subject.label, round + 1);
                }
            }
        }
        text
    }
}

impl Report {
    /// What was measured where.
    pub(crate) fn heading(&self, placement: &Placement) -> String {
        let subject = |subject: &Subject| format!("{} (version {})", subject.label, subject.version);
        let subjects: Vec<String> = self.subjects.iter().map(subject).collect();
        let cores = |cores: &[usize]| match cores {
            [] => "not pinned".to_owned(),
            cores => format!("cores {cores:?}"),
        };
        format!(
            "{}\n{}; servers: {}; load: {}\n",
            subjects.join(" and "),
            self.machine,
            cores(&placement.server),
            cores(&placement.load)
        )
    }

    /// The figures that matter, as a Markdown table, and what was missed.
    pub(crate) fn summary(&self) -> String {
        let labels: Vec<&str> = self.subjects.iter().map(|subject| subject.label.as_str()).collect();
        let mut text = format!("| workload | figure | {} | ratio | target |\n", labels.join(" | "));
        let _ = writeln!(text, "|---|---|{}---:|---|", "---:|".repeat(labels.len()));
        let (mut met, mut missed) = (0, 0);
        for row in &self.rows {
            for line in row.lines() {
                if !is_headline(&line) {
                    continue;
                }
                met += line.judged().iter().filter(|(_, met)| *met).count();
                missed += line.judged().iter().filter(|(_, met)| !met).count();
                let cell = |value: &Option<f64>| value.map_or("-".into(), |value| show(value, line.unit));
                let values: Vec<String> = line.medians.iter().map(cell).collect();
                let ratio =
                    line.ratio().map_or(String::new(), |ratio| format!("{ratio:.2} {}", line.verdict()));
                let _ = writeln!(
                    text,
                    "| {} | {} | {} | {} | {} |",
                    row.name,
                    line.name,
                    values.join(" | "),
                    ratio.trim_end(),
                    line.target_text()
                );
            }
        }
        if met + missed > 0 {
            let _ = writeln!(text, "\n{met} targets met, {missed} missed.");
        }
        let errors: u64 = self.rows.iter().map(RowResult::errors).sum();
        if errors > 0 {
            let rows = self.rows.iter().filter(|row| row.errors() > 0).map(|row| row.name.as_str());
            let rows: Vec<&str> = rows.collect();
            let _ = writeln!(text, "\nWITH ERRORS: {errors} operations failed, in {}.", rows.join(", "));
        }
        text
    }
}

fn is_headline(line: &Line) -> bool {
    !line.targets.is_empty() || [figures::RATE, figures::P99, figures::CPU].contains(&line.name.as_str())
}

/// A value with its unit, as short as it stays readable.
fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::PerSecond => thousands(value),
        Unit::Seconds if value < 1e-3 => format!("{:.0} us", value * 1e6),
        Unit::Seconds if value < 1.0 => format!("{:.2} ms", value * 1e3),
        Unit::Seconds => format!("{value:.2} s"),
        Unit::CpuSeconds => format!("{value:.2}"),
        Unit::Bytes if value < 10_240.0 => format!("{value:.0} B"),
        Unit::Bytes if value < 1_048_576.0 => format!("{:.1} KiB", value / 1024.0),
        Unit::Bytes => format!("{:.1} MiB", value / 1_048_576.0),
        Unit::Percent => format!("{value:.0} %"),
        Unit::Factor => format!("{value:.2}"),
    }
}

/// `1234567.8` as `1,234,568`.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::Figure;

    fn sample(rate: f64, cpu: f64) -> Sample {
        let figures = vec![
            Figure::rate(figures::RATE, rate),
            Figure::new(figures::CPU, cpu, Unit::CpuSeconds, Better::Lower),
        ];
        Sample { figures, ..Sample::default() }
    }

    fn subjects() -> Vec<Subject> {
        ["ours", "peer"].map(|label| Subject { label: label.into(), version: "1".into() }).into()
    }

    fn row(ours: Vec<Sample>, peer: Vec<Sample>) -> RowResult {
        RowResult {
            name: "put".into(),
            title: "64 clients".into(),
            targets: vec![
                Target { figure: figures::CPU, bound: Bound::AtMost(1.8) },
                Target { figure: figures::RATE, bound: Bound::RatioAtLeast(2.5) },
            ],
            samples: vec![ours, peer],
        }
    }

    #[test]
    fn a_table_has_medians_ratios_of_medians_and_targets() {
        let ours = vec![sample(50_000.0, 1.5), sample(10.0, 9.0), sample(51_000.0, 1.4)];
        let peer = vec![sample(12_500.0, 5.0), sample(12_000.0, 5.5), sample(99_000.0, 4.0)];
        let expected = "\
put: 64 clients (medians of 3 rounds)
                                                        ours            peer   ratio
  operations/s                                        50,000          12,500    4.00  better ratio >= 2.5 met
  server CPU s per 100,000                              1.50            5.00    0.30  better <= 1.80 met
";
        assert_eq!(row(ours, peer).table(&subjects()), expected);
    }

    #[test]
    fn losses_and_errors_are_as_plain_as_wins() {
        let mut failed = sample(9_000.0, 6.0);
        failed.errors = 3;
        failed.remarks.push("3 x Unavailable: no leader".into());
        let row = row(vec![failed], vec![sample(10_000.0, 5.9)]);
        let table = row.table(&subjects());
        assert!(table.contains("0.90  WORSE  ratio >= 2.5 MISSED"), "{table}");
        assert!(table.contains("1.02  same   <= 1.80 MISSED"), "{table}");
        assert!(table.contains("! ours, round 1: 3 x Unavailable: no leader"), "{table}");
        let report =
            Report { command: String::new(), machine: String::new(), subjects: subjects(), rows: vec![row] };
        let expected = "\
| workload | figure | ours | peer | ratio | target |
|---|---|---:|---:|---:|---|
| put | operations/s | 9,000 | 10,000 | 0.90 WORSE | ratio >= 2.5 MISSED |
| put | server CPU s per 100,000 | 6.00 | 5.90 | 1.02 same | <= 1.80 MISSED |

0 targets met, 2 missed.

WITH ERRORS: 3 operations failed, in put.
";
        assert_eq!(report.summary(), expected);
    }

    #[test]
    fn without_a_peer_there_is_no_ratio_and_only_absolute_targets_are_judged() {
        let mut alone = row(vec![sample(9_000.0, 1.0)], vec![]);
        alone.samples.truncate(1);
        let table = alone.table(&subjects()[..1]);
        assert!(table.contains("<= 1.80 met") && !table.contains("ratio >="), "{table}");
    }

    #[test]
    fn values_are_shown_in_units_a_reader_knows() {
        for (value, unit, text) in [
            (1_234_567.8, Unit::PerSecond, "1,234,568"),
            (123.0, Unit::PerSecond, "123"),
            (0.000_042, Unit::Seconds, "42 us"),
            (0.042, Unit::Seconds, "42.00 ms"),
            (4.2, Unit::Seconds, "4.20 s"),
            (75.4, Unit::Bytes, "75 B"),
            (20_480.0, Unit::Bytes, "20.0 KiB"),
            (3_145_728.0, Unit::Bytes, "3.0 MiB"),
            (12.4, Unit::Percent, "12 %"),
            (1.499, Unit::Factor, "1.50"),
        ] {
            assert_eq!(show(value, unit), text);
        }
    }
}
