//! What a side's connections are made of, as it is now, and the watch over the files it comes from.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::facts::{Validity, unix_seconds};
use super::load::{Content, KeyPair, LoadError};
use super::revocation::Revoked;
use super::roots::Roots;

/// Certificates, keys and lists at one moment; replaced as a whole when a file changes.
#[derive(Debug, Clone)]
pub(crate) struct Material {
    /// For listeners, and for outgoing connections if there is no `outgoing`.
    pub(super) own: Option<Arc<KeyPair>>,
    /// For outgoing connections.
    pub(super) outgoing: Option<Arc<KeyPair>>,
    /// Whom the others' certificates must be signed by, if that is said.
    pub(super) trusted: Option<Arc<Roots>>,
    /// Which of them do not count.
    pub(super) revoked: Option<Arc<Revoked>>,
}

impl Material {
    /// Whom the others' certificates must be signed by.
    pub(super) fn roots(&self) -> Arc<Roots> {
        self.trusted.clone().unwrap_or_else(Roots::of_system)
    }
}

/// What has a time of validity.
pub(super) trait Dated {
    /// What it is called in a log line.
    const WHAT: &'static str;

    /// When it is valid; `None`: always.
    fn validity(&self) -> Option<Validity>;
}

impl Dated for KeyPair {
    const WHAT: &'static str = "certificate";

    fn validity(&self) -> Option<Validity> {
        Some(self.facts.validity)
    }
}

impl Dated for Roots {
    const WHAT: &'static str = "CA certificate";

    /// That of the one that ends first.
    fn validity(&self) -> Option<Validity> {
        self.validities.iter().copied().min_by_key(|validity| validity.not_after)
    }
}

impl Dated for Revoked {
    const WHAT: &'static str = "revocation list";

    /// A list has no begin that matters; its end is when the next one is due.
    fn validity(&self) -> Option<Validity> {
        self.next_update.map(|not_after| Validity { not_before: i64::MIN, not_after })
    }
}

/// How to tell that a file has changed. The time of the last change of its inode cannot be set by whoever writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Stamp {
    /// `None` if there is no such file, or it cannot be looked at.
    fn of(path: &Path) -> Option<Stamp> {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// A file that changed as recently as this is read again at the next look: the clock of the file system is coarse, and
/// another write at the same tick would not show. (git calls such files racy.)
const SETTLING_TIME: Duration = Duration::from_secs(2);

/// A file that was refused is read again after this, changed or not: it may have been refused for the time of day.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Makes something of the content of files.
type Parse<T> = Box<dyn Fn(&[Content]) -> Result<T, LoadError> + Send>;

/// Files, and what was made of them.
pub(super) struct Watched<T> {
    paths: Vec<PathBuf>,
    read: fn(&Path) -> Result<Content, LoadError>,
    parse: Parse<T>,
    value: Arc<T>,
    /// As the files were when they were last read, whether taken or refused.
    stamps: Vec<Option<Stamp>>,
    is_settled: bool,
    checksum: u32,
    refused: Option<Refused>,
}

/// Why the files as they are now were not taken.
struct Refused {
    text: String,
    at: SystemTime,
}

/// What a look at files has brought.
#[derive(Debug)]
pub(super) enum Change {
    /// They are as they were, or as bad as they were.
    None,
    /// They have changed, and what is in them counts from now on.
    Taken,
    /// They have changed, and cannot be used; what was in them before still counts.
    Refused(LoadError),
}

impl<T: Dated> Watched<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        read: fn(&Path) -> Result<Content, LoadError>,
        parse: impl Fn(&[Content]) -> Result<T, LoadError> + Send + 'static,
        now: SystemTime,
    ) -> Result<Self, LoadError> {
        let stamps = stamps(&paths);
        let contents = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
        let value = Arc::new(parse(&contents)?);
        Ok(Self {
            is_settled: is_settled(&stamps, now),
            checksum: checksum(&contents),
            paths,
            read,
            parse: Box::new(parse),
            value,
            stamps,
            refused: None,
        })
    }

    /// What counts.
    pub(super) fn value(&self) -> &Arc<T> {
        &self.value
    }

    /// The first of the files.
    pub(super) fn path(&self) -> &Path {
        &self.paths[0]
    }

    /// Looks whether the files have changed, and takes what is in them if it can be used. Between two changes this costs
    /// one system call a file.
    pub(super) fn refresh(&mut self, now: SystemTime) -> Change {
        let stamps = stamps(&self.paths);
        if stamps == self.stamps && self.is_settled && !self.is_retry_due(now) {
            return Change::None;
        }
        self.is_settled = is_settled(&stamps, now);
        self.stamps = stamps;
        let contents = match self.paths.iter().map(|path| (self.read)(path)).collect::<Result<Vec<_>, _>>() {
            Ok(contents) => contents,
            Err(error) => return self.refuse(error, now),
        };
        let checksum = checksum(&contents);
        if checksum == self.checksum && self.refused.is_none() {
            return Change::None;
        }
        match (self.parse)(&contents).and_then(|value| self.check_time(value, now)) {
            Ok(value) => {
                let is_new = checksum != self.checksum;
                (self.value, self.checksum, self.refused) = (Arc::new(value), checksum, None);
                if is_new { Change::Taken } else { Change::None }
            }
            Err(error) => self.refuse(error, now),
        }
    }

    fn is_retry_due(&self, now: SystemTime) -> bool {
        // Not after a step of the clock to the past either.
        self.refused
            .as_ref()
            .is_some_and(|refused| now.duration_since(refused.at).is_ok_and(|past| past >= RETRY_AFTER))
    }

    /// What is not valid now does not take the place of what is.
    fn check_time(&self, value: T, now: SystemTime) -> Result<T, LoadError> {
        let now = unix_seconds(now);
        let is_valid = |value: &T| value.validity().is_none_or(|validity| validity.contains(now));
        match value.validity() {
            Some(validity) if !is_valid(&value) && is_valid(&self.value) => {
                Err(LoadError::not_now(self.path(), T::WHAT, validity))
            }
            _ => Ok(value),
        }
    }

    fn refuse(&mut self, error: LoadError, now: SystemTime) -> Change {
        let text = error.to_string();
        let is_known = self.refused.as_ref().is_some_and(|refused| refused.text == text);
        self.refused = Some(Refused { text, at: now });
        if is_known { Change::None } else { Change::Refused(error) }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

fn is_settled(stamps: &[Option<Stamp>], now: SystemTime) -> bool {
    let settled_before = unix_seconds(now) - SETTLING_TIME.as_secs() as i64;
    stamps.iter().flatten().all(|stamp| stamp.changed.0 < settled_before)
}

fn checksum(contents: &[Content]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for content in contents {
        hasher.update(&(content.bytes.len() as u64).to_le_bytes());
        hasher.update(&content.bytes);
    }
    hasher.finalize()
}
