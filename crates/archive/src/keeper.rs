//! The member that makes the backups: what is due, and what follows what.
//!
//! ```text
//!  leads? ── no ──► everything is forgotten
//!    │ yes
//!    ▼
//!  begun? ── no ──► list ─► the end of what there is ─► of this history? ── no ──► a full backup, of a new chain
//!    │ yes                                                     │ yes: it goes on from there
//!    ▼
//!  full backup due ─► pieces up to its revision ─► full backup ─► read back ─► manifest ─► what is too old is deleted
//!  piece due ───────► pieces ─► read back
//! ```
//!
//! A failure leaves what was written before, and is tried again after a pause that grows. The
//! history after the last piece is kept from compaction meanwhile, for as long as
//! [`HISTORY_KEPT_MAX`] after the last success. If compaction then takes it, the chain is cut: a
//! full backup is made at once, and revisions between cannot be restored.

mod course;
mod samples;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use backup::Frozen;
use mvcc::View;

use self::course::{Course, History};
use self::samples::Samples;
use crate::download::Shelf;
use crate::limits::{HISTORY_KEPT_MAX, LEFT_BEHIND_AGE, RETRY_PAUSE_MAX};
use crate::name::{Millis, directory_of};
use crate::piece::About;
use crate::write::{Full, random_chain, write_full, write_piece};
use crate::{ArchiveError, Catalogue, Keep, Store, retention};

/// What a member leads: another one, another course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reign {
    /// The term.
    pub term: u64,
    /// Which store it has: another number when everything was replaced.
    pub store: u64,
}

/// The member whose state is backed up. All calls may block for a moment.
pub trait Source {
    /// Returns what the member leads; `None` if it does not, or has no state that is worth a backup.
    fn leads(&self) -> Option<Reign>;

    /// Returns when everything that was committed before the call is applied.
    ///
    /// # Errors
    /// Why that is not to be had now.
    fn catch_up(&self) -> Result<(), String>;

    /// Returns the state of this moment.
    ///
    /// # Errors
    /// Why it is not to be had now.
    fn freeze(&self) -> Result<Frozen, String>;

    /// Returns the keys.
    fn view(&self) -> View;
}

/// What is backed up how often.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The cluster's id.
    pub cluster: u64,
    /// This member's id.
    pub member: u64,
    /// The version of the program.
    pub version: String,
    /// Time from one full backup to the next.
    pub interval: Duration,
    /// Time from one piece to the next; `None`: there are none.
    pub piece_interval: Option<Duration>,
    /// What is kept of full backups.
    pub keep: Keep,
    /// Where versions are sorted that do not fit into memory.
    pub spool_dir: PathBuf,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The member makes the backups from now on.
    Began {
        /// The end of what there was; `None`: it begins anew.
        after: Option<i64>,
        /// When the newest full backup was made; 0: there is none of this history.
        full_time: Millis,
    },
    /// Everything that is due was done.
    Done {
        /// The time.
        time: Millis,
    },
    /// A full backup was made and verified.
    Full {
        /// Its name.
        name: String,
        /// Its revision.
        revision: i64,
        /// Its length.
        bytes: u64,
        /// When its state was current.
        time: Millis,
        /// How long it took.
        took: Duration,
    },
    /// A piece was written and verified.
    Piece {
        /// The last revision in it.
        revision: i64,
        /// Its length.
        bytes: u64,
    },
    /// Compaction has taken history that was not shipped: a full backup follows.
    Cut {
        /// The last revision before the gap.
        after: i64,
    },
    /// Old objects were deleted.
    Deleted {
        /// How many.
        objects: u64,
    },
    /// Something failed.
    Failed {
        /// What.
        error: ArchiveError,
        /// When it is tried again.
        pause: Duration,
    },
}

/// Makes the backups of one member while that leads.
pub struct Keeper<S> {
    source: S,
    store: Box<dyn Store + Send>,
    settings: Settings,
    directory: String,
    /// Under which reign it was begun, and how far it is.
    course: Option<(Reign, Course)>,
    samples: Samples,
    /// Failures since the last success, and when the next attempt is.
    failures: u32,
    next_attempt: Millis,
    last_success: Millis,
}

/// Where what happens is reported.
type Report<'r> = &'r mut dyn FnMut(Event);

impl<S: Source> Keeper<S> {
    /// Prepares to make the backups of a member; nothing is done yet.
    pub fn new(source: S, store: Box<dyn Store + Send>, settings: Settings) -> Self {
        let directory = directory_of(settings.cluster);
        Self {
            source,
            store,
            settings,
            directory,
            course: None,
            samples: Samples::default(),
            failures: 0,
            next_attempt: 0,
            last_success: 0,
        }
    }

    /// Does what is due. To be called about once a second: that is how finely times can be
    /// restored. Whether this member makes the backups.
    pub fn turn(&mut self, now: Millis, report: Report<'_>) -> bool {
        let Some(reign) = self.source.leads() else {
            self.course = None;
            self.samples = Samples::default();
            (self.failures, self.next_attempt) = (0, 0);
            return false;
        };
        if self.course.as_ref().is_some_and(|(begun, _)| *begun != reign) {
            // Meanwhile another one led, or this member's store is another.
            self.course = None;
        }
        self.clock_is(now);
        let view = self.source.view();
        self.samples.note(now, view.revision(), view.compact_revision());
        if now >= self.next_attempt {
            match self.work(reign, now, report) {
                Ok(()) => {
                    (self.failures, self.last_success) = (0, now);
                    report(Event::Done { time: now });
                }
                Err(error) => self.failed(error, now, report),
            }
        }
        true
    }

    /// Corrects what was noted by a clock that was ahead: nothing is put off by it.
    fn clock_is(&mut self, now: Millis) {
        self.next_attempt = self.next_attempt.min(now + RETRY_PAUSE_MAX.as_millis() as Millis);
        self.last_success = self.last_success.min(now);
        if let Some((_, course)) = &mut self.course {
            course.clock_is(now);
        }
    }

    fn failed(&mut self, error: ArchiveError, now: Millis, report: Report<'_>) {
        let pause = Duration::from_secs(1 << self.failures.min(16)).min(RETRY_PAUSE_MAX);
        self.failures += 1;
        self.next_attempt = now + pause.as_millis() as Millis;
        if now.saturating_sub(self.last_success) > HISTORY_KEPT_MAX.as_millis() as Millis
            && let Some((_, course)) = &mut self.course
        {
            course.release();
        }
        report(Event::Failed { error, pause });
    }

    fn work(&mut self, reign: Reign, now: Millis, report: Report<'_>) -> Result<(), ArchiveError> {
        if self.course.is_none() {
            let course = self.begin(now, report)?;
            self.last_success = now;
            self.course = Some((reign, course));
        }
        let settings = &self.settings;
        let Some((_, course)) = &mut self.course else { return Ok(()) };
        if course.is_full_due(now, settings.interval) {
            return self.make_full(now, report);
        }
        let Some(interval) = settings.piece_interval else { return Ok(()) };
        if let Some(after) = course.keep_history(&self.source.view())? {
            report(Event::Cut { after });
            return self.make_full(now, report);
        }
        if course.is_piece_due(now, interval, self.source.view().revision()) {
            let frozen = self.source.freeze().map_err(ArchiveError::Source)?;
            self.ship(&frozen, now, report)?;
        }
        Ok(())
    }

    /// Finds out where it goes on.
    fn begin(&mut self, now: Millis, report: Report<'_>) -> Result<Course, ArchiveError> {
        // What a former leader has shipped was committed, and is here after this.
        self.source.catch_up().map_err(ArchiveError::Source)?;
        let frozen = self.source.freeze().map_err(ArchiveError::Source)?;
        let shelf = Shelf { store: &*self.store, directory: &self.directory };
        let catalogue = Catalogue::of(&self.store.list(&self.directory)?);
        let course = Course::find(shelf, &catalogue, &self.source.view(), &frozen, now)?;
        let after = course.continues().map(|history| history.revision);
        report(Event::Began { after, full_time: course.last_full().unwrap_or(0) });
        Ok(course)
    }

    fn make_full(&mut self, now: Millis, report: Report<'_>) -> Result<(), ArchiveError> {
        let started = Instant::now();
        let frozen = self.source.freeze().map_err(ArchiveError::Source)?;
        let revision = frozen.revision();
        let view = self.source.view();
        // From here on nothing is lost, however long it takes.
        let kept = self.settings.piece_interval.and_then(|_| view.keep_history(revision).ok());
        let continues = self.settings.piece_interval.is_some()
            && self.course.as_ref().is_some_and(|(_, course)| course.continues().is_some());
        if continues {
            self.ship(&frozen, now, report)?;
        }
        let Some((_, course)) = &mut self.course else { return Ok(()) };
        let history = match course.continues().filter(|history| continues && history.revision == revision) {
            Some(history) => history.clone(),
            None => {
                let rows = course::rows_of(&view, revision)?;
                History { revision, chain: random_chain(), rows }
            }
        };
        let full = Full {
            cluster: self.settings.cluster,
            member: self.settings.member,
            time: course.time_of_next_full(now),
            chain: history.chain,
            rows: history.rows,
            version: self.settings.version.clone(),
        };
        let shelf = Shelf { store: &*self.store, directory: &self.directory };
        let time_max = self.settings.interval.max(FULL_TIME_MIN);
        let spool_dir = self.settings.spool_dir.clone();
        let (name, manifest) = write_full(shelf, frozen, full, spool_dir, time_max)?;
        course.full_was_made(now, name.time, history, kept);
        let (bytes, took) = (manifest.bytes, started.elapsed());
        report(Event::Full { name: name.to_string(), revision, bytes, time: name.time, took });
        self.samples.forget_through(revision);
        self.tidy(now, report)
    }

    /// Deletes what is too old.
    fn tidy(&self, now: Millis, report: Report<'_>) -> Result<(), ArchiveError> {
        self.store.sweep(&self.directory, LEFT_BEHIND_AGE)?;
        let catalogue = Catalogue::of(&self.store.list(&self.directory)?);
        let mut objects = 0;
        for name in retention::expired(&catalogue, self.settings.keep, now) {
            self.store.delete(&self.directory, &name)?;
            objects += 1;
        }
        if objects > 0 {
            report(Event::Deleted { objects });
        }
        Ok(())
    }

    /// Writes pieces up to the revision of a state.
    fn ship(&mut self, frozen: &Frozen, now: Millis, report: Report<'_>) -> Result<(), ArchiveError> {
        let view = self.source.view();
        let Some((_, course)) = &mut self.course else { return Ok(()) };
        if let Some(after) = course.keep_history(&view)? {
            report(Event::Cut { after });
            return Ok(());
        }
        let through = frozen.revision();
        let applied = frozen.applied();
        let about = About {
            cluster: self.settings.cluster,
            member: self.settings.member,
            raft_term: applied.term,
            raft_index: applied.index,
            time: now,
        };
        let shelf = Shelf { store: &*self.store, directory: &self.directory };
        self.samples.note(now, through, frozen.compact_revision());
        loop {
            let Some(builder) = course.next_piece(through)? else { break };
            // With each: who restores a revision in the midst of many needs the leases of its keys.
            let samples = self.samples.through(builder.revision());
            let built = builder.finish(&about, frozen.tables(), &samples);
            write_piece(shelf, &built)?;
            let revision = built.name.to;
            course.piece_was_made(now, &built.header);
            self.samples.forget_through(revision);
            report(Event::Piece { revision, bytes: built.bytes.len() as u64 });
        }
        course.keep_later(&view);
        Ok(())
    }
}

/// Least time that a full backup may take, however often they are due.
const FULL_TIME_MIN: Duration = Duration::from_secs(3_600);
