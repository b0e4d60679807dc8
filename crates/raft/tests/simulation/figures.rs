//! How much happened: a simulation in which nothing happens proves nothing.

use std::fmt;
use std::ops::AddAssign;

macro_rules! figures {
    ($($name:ident: $text:literal,)*) => {
        /// Counts of one history, or of many.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub(crate) struct Figures {
            $(pub(crate) $name: u64,)*
        }

        impl AddAssign for Figures {
            fn add_assign(&mut self, other: Figures) {
                $(self.$name += other.$name;)*
            }
        }

        impl fmt::Display for Figures {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let parts = [$(format!("{} {}", self.$name, $text)),*];
                f.write_str(&parts.join(", "))
            }
        }
    };
}

figures! {
    histories: "histories",
    events: "events",
    commits: "entries committed",
    elections: "leaders",
    crashes: "crashes",
    failed_disks: "errors of disks",
    snapshots: "snapshots installed",
    truncations: "logs cut",
    full_disks: "appends without space",
    releases_on_full_disk: "releases meanwhile",
    changes: "changes of members",
    reads: "reads",
    forgets: "logs thrown away",
    losses: "losses found by a heartbeat",
    batches: "pieces of work from several inputs",
    quorums: "quorums looked up on disks",
}

impl Figures {
    /// Asserts that everything that a simulation is for happened, and often enough.
    ///
    /// # Panics
    /// If not.
    pub(crate) fn assert_enough(&self) {
        let floor = self.histories / 4;
        let all = [
            self.commits / 10,
            self.elections,
            self.crashes,
            self.snapshots,
            self.truncations,
            self.full_disks,
            self.changes,
            self.reads,
            self.failed_disks,
            self.batches,
            10 * self.forgets,
            20 * self.losses,
        ];
        assert!(all.iter().all(|count| *count >= floor), "too little happened to prove anything: {self}");
    }
}
