//! When the newest revision was which: a sample for each second in which it changed.

use crate::limits::SAMPLES_MAX;
use crate::name::Millis;
use crate::piece::Sample;

/// Samples that are in no piece yet, in the order in which they were taken.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<Sample>);

impl Samples {
    /// Takes a sample, if something has changed since the last one.
    pub(super) fn note(&mut self, time: Millis, revision: i64, compact_revision: i64) {
        let is_known = |last: &Sample| last.revision >= revision && last.compact_revision >= compact_revision;
        if self.0.last().is_some_and(is_known) {
            return;
        }
        if self.0.len() >= SAMPLES_MAX {
            // Times become coarser; the newest sample stays.
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        self.0.push(Sample { time, revision, compact_revision });
    }

    /// Returns the samples of revisions up to this one.
    pub(super) fn through(&self, revision: i64) -> Vec<Sample> {
        self.0.iter().take_while(|sample| sample.revision <= revision).copied().collect()
    }

    /// Forgets those that are in a piece, but for the last: what comes is compared with it.
    pub(super) fn forget_through(&mut self, revision: i64) {
        let shipped = self.0.iter().take_while(|sample| sample.revision <= revision).count();
        self.0.drain(..shipped.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_sampled_and_what_is_shipped_is_forgotten() {
        let mut samples = Samples::default();
        for (time, revision, compacted) in [(1, 5, -1), (2, 5, -1), (3, 9, -1), (4, 9, 7), (5, 12, 7)] {
            samples.note(time, revision, compacted);
        }
        let times = |samples: &Samples, revision| {
            samples.through(revision).iter().map(|sample| sample.time).collect::<Vec<_>>()
        };
        assert_eq!(times(&samples, 11), [1, 3, 4]);
        samples.forget_through(9);
        assert_eq!(times(&samples, 12), [4, 5]);
    }

    #[test]
    fn there_are_never_more_than_fit_and_the_newest_stays() {
        let mut samples = Samples::default();
        for time in 1..=3 * SAMPLES_MAX as u64 {
            samples.note(time, time as i64, -1);
            assert!(samples.0.len() <= SAMPLES_MAX);
            assert_eq!(samples.0.last().unwrap().time, time);
        }
    }
}
