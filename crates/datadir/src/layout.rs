//! The names of a member's files.

use std::path::{Path, PathBuf};

/// Where the files of a data directory are. Looks at nothing: the files may be there or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    root: PathBuf,
    /// Name of the directory with all the rest.
    member: &'static str,
}

const MEMBER: &str = "member";
const RESTORING: &str = "restoring";

impl Layout {
    /// Returns the layout of the data directory at `root`.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        Self { root: root.to_owned(), member: MEMBER }
    }

    /// Returns the layout of what a restore is making of it. When all of it is there, its [`member`](Self::member) directory
    /// gets the name that a member's has.
    #[must_use]
    pub fn restoring(&self) -> Self {
        Self { root: self.root.clone(), member: RESTORING }
    }

    /// The data directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory with all the rest.
    #[must_use]
    pub fn member(&self) -> PathBuf {
        self.root.join(self.member)
    }

    /// The marker, which says whose directory it is.
    #[must_use]
    pub fn marker(&self) -> PathBuf {
        self.member().join("quorate.json")
    }

    /// The file that is locked for as long as a process serves the directory.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.member().join("lock")
    }

    /// Where the raft log is, unless `--wal-dir` says otherwise.
    #[must_use]
    pub fn wal(&self) -> PathBuf {
        self.member().join("wal")
    }

    /// Where the store is.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.member().join("kv")
    }

    /// Returns whether a restore was begun here, and not finished.
    #[must_use]
    pub fn is_restoring(&self) -> bool {
        self.root.join(RESTORING).exists()
    }

    /// Returns whether etcd wrote this directory.
    #[must_use]
    pub fn is_etcds(&self) -> bool {
        self.member().join("snap").exists()
    }
}
