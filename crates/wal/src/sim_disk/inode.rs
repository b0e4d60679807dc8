//! One simulated file: what is on the disk, what is in the cache, and what lies between.

use std::sync::Arc;

use super::{Coins, Crash};
use crate::sector::SECTOR;

/// A change that no sync has covered yet.
#[derive(Debug, Clone)]
enum Change {
    /// Whole sectors as the cache had them after a write (the last of a file may be short): first sector, content.
    Sectors(usize, Arc<[u8]>),
    /// The length was set.
    Length(usize),
}

/// A file's content. Copies share their bytes until one of them is written.
#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    durable: Arc<Vec<u8>>,
    cached: Arc<Vec<u8>>,
    pending: Vec<Change>,
    /// Open files.
    pub(super) handles: usize,
}

impl Inode {
    /// What reads see.
    pub(super) fn content(&self) -> &[u8] {
        &self.cached
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        let end = offset + data.len();
        let cached = Arc::make_mut(&mut self.cached);
        if cached.len() < end {
            cached.resize(end, 0);
        }
        cached[offset..end].copy_from_slice(data);
        let from = offset / SECTOR * SECTOR;
        let to = end.next_multiple_of(SECTOR).min(cached.len());
        self.pending.push(Change::Sectors(from / SECTOR, cached[from..to].into()));
    }

    pub(super) fn set_len(&mut self, len: usize) {
        Arc::make_mut(&mut self.cached).resize(len, 0);
        self.pending.push(Change::Length(len));
    }

    pub(super) fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            change.apply(Arc::make_mut(&mut self.durable), |_| true);
        }
    }

    /// A sync that fails: the pages count as clean, though they never reached the disk. Lengths are the journal's
    /// business and not lost.
    pub(super) fn fail_sync(&mut self) {
        self.pending.retain(|change| matches!(change, Change::Length(_)));
    }

    /// Forgets the clean pages: what is read next comes from the disk, and what is dirty.
    pub(super) fn drop_clean_pages(&mut self) {
        let mut content = Arc::clone(&self.durable);
        for change in &self.pending {
            change.apply(Arc::make_mut(&mut content), |_| true);
        }
        self.cached = content;
    }

    /// Changes what is on the disk and in the cache.
    pub(super) fn damage(&mut self, damage: impl Fn(&mut Vec<u8>)) {
        damage(Arc::make_mut(&mut self.durable));
        damage(Arc::make_mut(&mut self.cached));
    }

    pub(super) fn crash(&mut self, crash: Crash, coins: &mut Coins) {
        let pending = std::mem::take(&mut self.pending);
        let last = pending.iter().rposition(|change| matches!(change, Change::Sectors(..)));
        for (place, change) in pending.iter().enumerate() {
            let sectors = change.sectors();
            let torn_at = if Some(place) == last { coins.up_to(sectors) } else { sectors };
            match crash {
                Crash::LoseAll => break,
                Crash::KeepAll => change.apply(Arc::make_mut(&mut self.durable), |_| true),
                Crash::TearLast(_) => change.apply(Arc::make_mut(&mut self.durable), |index| index < torn_at),
                Crash::Random(_) => change.apply(Arc::make_mut(&mut self.durable), |_| coins.toss()),
            }
        }
        self.cached = Arc::clone(&self.durable);
        self.handles = 0;
    }
}

impl Change {
    fn sectors(&self) -> usize {
        match self {
            Self::Sectors(_, content) => content.len().div_ceil(SECTOR),
            Self::Length(_) => 1,
        }
    }

    /// Brings to the disk those parts of the change that are `wanted`, by their index.
    fn apply(&self, durable: &mut Vec<u8>, mut wanted: impl FnMut(usize) -> bool) {
        match self {
            Self::Length(len) => {
                if wanted(0) {
                    durable.resize(*len, 0);
                }
            }
            Self::Sectors(first, content) => {
                for (index, sector) in content.chunks(SECTOR).enumerate() {
                    if wanted(index) {
                        let start = (first + index) * SECTOR;
                        let end = start + sector.len();
                        if durable.len() < end {
                            durable.resize(end, 0);
                        }
                        durable[start..end].copy_from_slice(sector);
                    }
                }
            }
        }
    }
}
