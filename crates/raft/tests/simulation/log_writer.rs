//! The threads of the log writer and the log reader: one piece of work at a time, in the order and
//! with the error handling of the server's.

use raft::durable::Error;
use raft::{Index, Message, Persist};

use crate::figures::Figures;
use crate::process::{LogWork, Process, Report};

/// What the log writer does next, where it has a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The oldest piece of work; a sync if there is none. While a piece waits for space, that one
    /// again.
    Work,
    /// A sync for everything appended.
    Sync,
    /// While a piece waits for space: a release, if one is queued. It may be what makes space.
    Release,
    /// The next file of entries, ahead of need.
    Prepare,
}

impl Process {
    /// Does a piece of work, and returns what may be sent then. An error ends the process (rule
    /// W5).
    pub(crate) fn write(&mut self, next: Next, figures: &mut Figures) -> Result<Vec<Message>, Error> {
        if let Some(persist) = self.waiting.take() {
            return self.write_on_full_disk(persist, next, figures).map(|()| Vec::new());
        }
        match next {
            Next::Prepare => ignore_full_disk(self.log.prepare_next()).map(|()| Vec::new()),
            Next::Sync => self.sync(),
            Next::Work | Next::Release => match self.log_work.pop_front() {
                Some(work) => self.write_piece(work, figures),
                None => self.sync(),
            },
        }
    }

    fn write_on_full_disk(
        &mut self,
        persist: Persist,
        next: Next,
        figures: &mut Figures,
    ) -> Result<(), Error> {
        let synced = self.synced;
        let may_go_first = |work: &LogWork| matches!(work, LogWork::Release(through) if *through <= synced);
        let place = self.log_work.iter().position(may_go_first).filter(|_| next == Next::Release);
        let Some(LogWork::Release(through)) = place.and_then(|place| self.log_work.remove(place)) else {
            return self.append(persist, figures);
        };
        figures.releases_on_full_disk += 1;
        self.waiting = Some(persist);
        self.release(through)
    }

    fn write_piece(&mut self, work: LogWork, figures: &mut Figures) -> Result<Vec<Message>, Error> {
        match work {
            LogWork::Persist(persist) => {
                self.append(persist, figures)?;
                figures.full_disks += u64::from(self.waiting.is_some());
            }
            LogWork::Fetch(fetch) => match self.log.fetch(&fetch) {
                Some(job) => self.to_read.push_back(job),
                None => self.reports.push_back(Report::Fetched(fetch, Vec::new())),
            },
            LogWork::Release(through) => {
                let messages = self.sync()?;
                self.release(through)?;
                return Ok(messages);
            }
            LogWork::Expect(snapshot, content) => {
                self.log.expect_snapshot(&snapshot)?;
                self.reports.push_back(Report::Expected(snapshot, content));
            }
            LogWork::Reset(snapshot) => {
                // What was appended before goes with this, but what was promised with it must be
                // true first.
                let messages = self.sync()?;
                self.log.reset_to(&snapshot)?;
                self.synced = snapshot.last.index;
                figures.snapshots += 1;
                self.reports.push_back(Report::Reset(snapshot));
                return Ok(messages);
            }
        }
        Ok(Vec::new())
    }

    /// Lets the log reader, a thread of its own, read what was asked for longest ago.
    pub(crate) fn read_log(&mut self) -> Result<(), Error> {
        let Some(job) = self.to_read.pop_front() else { return Ok(()) };
        let entries = match job.run() {
            // They were cut off meanwhile: no damage, and nothing that anybody still needs.
            Err(Error::Wal(wal::Error::NoSuchRecord(_))) => Vec::new(),
            read => read?,
        };
        self.reports.push_back(Report::Fetched(*job.fetch(), entries));
        Ok(())
    }

    fn append(&mut self, persist: Persist, figures: &mut Figures) -> Result<(), Error> {
        match self.log.append(&persist) {
            Ok(()) => {
                figures.truncations += u64::from(persist.truncate_from.is_some());
                self.unsynced.push((persist.ack, persist.then_send));
            }
            Err(error) if error.is_no_space() => self.waiting = Some(persist),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Makes everything appended durable by one sync, and returns what waited for it.
    pub(crate) fn sync(&mut self) -> Result<Vec<Message>, Error> {
        let Some((ack, _)) = self.unsynced.last() else { return Ok(Vec::new()) };
        let ack = *ack;
        self.synced = self.log.sync()?;
        self.reports.push_back(Report::Persisted(ack));
        Ok(self.unsynced.drain(..).flat_map(|(_, messages)| messages).collect())
    }

    fn release(&mut self, through: Index) -> Result<(), Error> {
        match self.log.release(through) {
            // The files go with the next release.
            Ok(()) | Err(Error::Wal(_) | Error::NoSpace { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn ignore_full_disk(done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Err(error) if !error.is_no_space() => Err(error),
        _ => Ok(()),
    }
}
