//! How far the watchers of a stream are, counted as they go.
//!
//! A client may ask whether all of them are up to date as often as it likes, and it may have tens of thousands: they are
//! not looked at one by one.

use std::collections::BTreeSet;

use super::watcher::WatcherId;

/// The watchers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    watchers: usize,
    /// Those of them that are not live.
    behind: usize,
    /// Live ones that had more ahead of them than was published, with the revision from which on they have not. One whose
    /// revision has come stays until somebody asks.
    early: BTreeSet<(i64, WatcherId)>,
}

impl Standing {
    /// Notes a new watcher, which is not live yet.
    pub(crate) fn joins(&mut self) {
        self.watchers += 1;
        self.behind += 1;
    }

    /// Notes that a watcher is live and that there is nothing ahead of it from `due` on.
    pub(crate) fn is_live(&mut self, id: WatcherId, due: i64, position: i64) {
        self.behind -= 1;
        if due > position {
            self.early.insert((due, id));
        }
    }

    /// Notes that a live watcher is not live any more.
    pub(crate) fn falls_behind(&mut self) {
        self.behind += 1;
    }

    /// Notes that a live watcher is gone. `due` is what it was, unless that has come.
    pub(crate) fn leaves_live(&mut self, id: WatcherId, due: i64) {
        self.watchers -= 1;
        self.early.remove(&(due, id));
    }

    /// Notes that a watcher is gone that was not live.
    pub(crate) fn leaves_behind(&mut self) {
        self.watchers -= 1;
        self.behind -= 1;
    }

    /// Returns whether there are watchers, and all of them are up to date at `position`, which never goes down.
    pub(crate) fn is_up_to_date(&mut self, position: i64) -> bool {
        while self.early.first().is_some_and(|(due, _)| *due <= position) {
            self.early.pop_first();
        }
        self.watchers > 0 && self.behind == 0 && self.early.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_up_to_date_when_the_last_of_them_is() {
        let mut standing = Standing::default();
        assert!(!standing.is_up_to_date(5), "there is none");
        standing.joins();
        standing.joins();
        standing.is_live(WatcherId(1), 5, 5);
        assert!(!standing.is_up_to_date(5));
        standing.is_live(WatcherId(2), 7, 5);
        assert!(!standing.is_up_to_date(6));
        assert!(standing.is_up_to_date(7));
        standing.falls_behind();
        assert!(!standing.is_up_to_date(8));
        standing.leaves_behind();
        assert!(standing.is_up_to_date(8));
        standing.leaves_live(WatcherId(1), 8);
        assert!(!standing.is_up_to_date(9), "there is none");
    }

    #[test]
    fn who_is_gone_is_not_waited_for() {
        let mut standing = Standing::default();
        for (id, due) in [(1, 0), (2, i64::MAX)] {
            standing.joins();
            standing.is_live(WatcherId(id), due, 3);
        }
        assert!(!standing.is_up_to_date(1000));
        standing.leaves_live(WatcherId(2), i64::MAX);
        assert!(standing.is_up_to_date(1000));
    }
}
