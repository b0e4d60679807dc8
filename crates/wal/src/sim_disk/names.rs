//! The names on a simulated disk: what processes see, what is on the disk, and the journal in between.
//!
//! Names are journaled: a crash leaves those that are durable and a prefix of the changes since. Syncing a directory makes
//! the changes in it durable. A directory that was renamed takes with it what is in it, durable or not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone)]
enum Change {
    Link(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
    RenameDir(PathBuf, PathBuf),
    RemoveDir(PathBuf),
}

/// One state of the names.
#[derive(Debug, Clone, Default)]
struct Tree {
    files: BTreeMap<PathBuf, u64>,
    dirs: BTreeSet<PathBuf>,
}

/// See the module's text.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    seen: Tree,
    durable: Tree,
    pending: Vec<Change>,
}

/// Where a path is after a directory was renamed.
fn moved(path: &Path, from: &Path, to: &Path) -> PathBuf {
    match path.strip_prefix(from) {
        Ok(rest) if rest.as_os_str().is_empty() => to.to_owned(),
        Ok(rest) => to.join(rest),
        Err(_) => path.to_owned(),
    }
}

impl Change {
    fn is_in(&self, dir: &Path) -> bool {
        let (Self::Link(path, _)
        | Self::Unlink(path)
        | Self::Rename(_, path, _)
        | Self::RenameDir(_, path)
        | Self::RemoveDir(path)) = self;
        path.parent() == Some(dir)
    }

    /// The same change after a directory above was renamed.
    fn follow(&mut self, from: &Path, to: &Path) {
        let (Self::Link(path, _) | Self::Unlink(path) | Self::RemoveDir(path)) = self else {
            if let Self::Rename(one, other, _) | Self::RenameDir(one, other) = self {
                (*one, *other) = (moved(one, from, to), moved(other, from, to));
            }
            return;
        };
        *path = moved(path, from, to);
    }
}

impl Tree {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Link(path, inode) => drop(self.files.insert(path.clone(), *inode)),
            Change::Unlink(path) => drop(self.files.remove(path)),
            Change::Rename(from, to, inode) => {
                self.files.remove(from);
                self.files.insert(to.clone(), *inode);
            }
            Change::RenameDir(from, to) => {
                let files = std::mem::take(&mut self.files);
                self.files = files.into_iter().map(|(path, inode)| (moved(&path, from, to), inode)).collect();
                let dirs = std::mem::take(&mut self.dirs);
                self.dirs = dirs.into_iter().map(|path| moved(&path, from, to)).collect();
            }
            Change::RemoveDir(dir) => {
                self.files.retain(|path, _| !path.starts_with(dir));
                self.dirs.retain(|path| !path.starts_with(dir));
            }
        }
    }
}

impl Names {
    pub(super) fn find(&self, path: &Path) -> Option<u64> {
        self.seen.files.get(path).copied()
    }

    pub(super) fn is_dir(&self, path: &Path) -> bool {
        self.seen.dirs.contains(path)
    }

    /// Paths of all files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.seen.files.keys()
    }

    /// Paths of the files and directories in a directory.
    pub(super) fn list(&self, dir: &Path) -> Vec<PathBuf> {
        let all = self.seen.files.keys().chain(&self.seen.dirs);
        all.filter(|path| path.parent() == Some(dir)).cloned().collect()
    }

    fn change(&mut self, change: Change) {
        self.seen.apply(&change);
        self.pending.push(change);
    }

    pub(super) fn link(&mut self, path: &Path, inode: u64) {
        self.change(Change::Link(path.to_owned(), inode));
    }

    pub(super) fn unlink(&mut self, path: &Path) {
        self.change(Change::Unlink(path.to_owned()));
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path, inode: u64) {
        self.change(Change::Rename(from.to_owned(), to.to_owned(), inode));
    }

    /// Renames a directory; what is in it is named by its new path from now on, in memory and wherever it waits.
    pub(super) fn rename_dir(&mut self, from: &Path, to: &Path) {
        self.change(Change::RenameDir(from.to_owned(), to.to_owned()));
    }

    /// Removes a directory, one file after the other: a crash leaves some of them.
    pub(super) fn remove_dir(&mut self, dir: &Path) {
        let files: Vec<_> = self.seen.files.keys().filter(|path| path.starts_with(dir)).cloned().collect();
        files.iter().for_each(|path| self.unlink(path));
        self.change(Change::RemoveDir(dir.to_owned()));
    }

    /// Makes a directory and those above it, durably.
    pub(super) fn make_dirs(&mut self, dir: &Path) {
        for dir in dir.ancestors().filter(|dir| !dir.as_os_str().is_empty()) {
            self.seen.dirs.insert(dir.to_owned());
            self.durable.dirs.insert(dir.to_owned());
        }
    }

    /// Makes the changes in a directory durable.
    pub(super) fn sync_dir(&mut self, dir: &Path) {
        let mut pending: Vec<Change> = Vec::new();
        for change in std::mem::take(&mut self.pending) {
            if !change.is_in(dir) {
                pending.push(change);
                continue;
            }
            self.durable.apply(&change);
            // What happened in it before happens to the same files still, under their new names.
            if let Change::RenameDir(from, to) = &change {
                pending.iter_mut().for_each(|earlier| earlier.follow(from, to));
            }
        }
        self.pending = pending;
    }

    /// How many changes no sync has covered.
    pub(super) fn unsynced(&self) -> usize {
        self.pending.len()
    }

    /// A crash, after which only the first of those are on the disk.
    pub(super) fn crash(&mut self, kept: usize) {
        for change in std::mem::take(&mut self.pending).iter().take(kept) {
            self.durable.apply(change);
        }
        self.seen = self.durable.clone();
    }

    /// Forgets a file, durably.
    pub(super) fn lose(&mut self, path: &Path) {
        self.seen.files.remove(path);
        self.durable.files.remove(path);
    }

    /// Files that have a name, or had one when the disk was last synced, or may get one by a crash.
    pub(super) fn inodes(&self) -> BTreeSet<u64> {
        let waiting = self.pending.iter().filter_map(|change| match change {
            Change::Link(_, inode) | Change::Rename(_, _, inode) => Some(*inode),
            Change::Unlink(_) | Change::RenameDir(..) | Change::RemoveDir(_) => None,
        });
        self.seen.files.values().chain(self.durable.files.values()).copied().chain(waiting).collect()
    }
}
