//! What must survive everything: term and vote, and the few facts that tell what the log is.
//!
//! There are two copies, in two files. Each change writes the first and syncs it, then the second and syncs it, so at
//! any moment at least one is whole, and after a change both say the same. A crash between the two leaves them one
//! change apart: the newer one counts. A copy that is damaged is made anew from the other. Only if both are
//! damaged nobody knows what this node voted (rule W3).

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wal::{Disk, replace_file};

use super::codec::{Input, decode_membership, encode_membership};
use super::error::Error;
use crate::core::id::{Boot, EntryId, Incarnation, Index, NodeId, Term};
use crate::core::loss::Loss;
use crate::core::membership::Membership;
use crate::core::message::SnapshotMeta;
use crate::core::ready::HardState;

const NAMES: [&str; 2] = ["hard-state-a", "hard-state-b"];
const MAGIC: [u8; 8] = *b"QRT-RAFT";
/// The format that is written. Format 1, which is read as well, noted the commit by its index alone.
const FORMAT: u32 = 2;
/// The first format that names the committed entry: index and term.
const FORMAT_NAMES_COMMIT: u32 = 2;
/// Magic, format, length and CRC of the body.
const HEADER: usize = 20;
/// Length of a file. The body takes about 120 bytes and 8 for each member, of two configurations at most.
const FILE_BYTES: usize = 16 * 1024;

/// The content of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Cluster and member.
    pub identity: [u64; 2],
    /// Which life of the data directory it is.
    pub incarnation: Incarnation,
    /// How often the log was opened.
    pub boot: Boot,
    /// Term and vote.
    pub hard_state: HardState,
    /// An entry known to be committed, and durable, when this was written. With its term: an index alone would be
    /// about whatever entry the log has there after a crash (rule X1).
    pub commit: EntryId,
    /// The place before the first entry of the log.
    pub base: EntryId,
    /// The configuration in force at the base.
    pub membership: Membership,
    /// A snapshot that is about to replace the state, and then the log.
    pub expected: Option<SnapshotMeta>,
    /// Entries that were thrown away and are not back yet (rule M5).
    pub loss: Option<Loss>,
    /// What the wal holds is void: throwing it away was decided, and a crash came between.
    pub is_void: bool,
}

impl Facts {
    /// Returns whether the commit is a name: a file of format 1 has its index only, and 0 for the term.
    pub(crate) fn names_commit(&self) -> bool {
        self.commit.term != Term(0) || self.commit == EntryId::ZERO
    }
}

const EXPECTED: u64 = 1;
const LOSS: u64 = 2;
const VOID: u64 = 4;

/// What an intact copy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) facts: Facts,
    format: u32,
    pub(crate) sequence: u64,
    content: Vec<u8>,
}

impl Found {
    /// Returns whether the file names the committed entry. A file of format 1 has only its index, and the term in
    /// [`Facts::commit`] means nothing then: the log must be asked for it.
    pub(crate) fn names_commit(&self) -> bool {
        self.format >= FORMAT_NAMES_COMMIT
    }
}

/// The two copies.
pub(crate) struct HardStateFiles {
    disk: Arc<dyn Disk>,
    paths: [PathBuf; 2],
    sequence: u64,
    /// The copy to be written first: the one that a full disk may have torn, so that the other stays whole meanwhile.
    first: usize,
}

impl HardStateFiles {
    /// Reads the newest intact copy, and mends the other; `None` if there is no copy at all.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        dir: &Path,
        identity: [u64; 2],
    ) -> Result<(Self, Option<Found>), Error> {
        let paths = NAMES.map(|name| dir.join(name));
        let mut copies = [None, None];
        let mut missing = 0;
        for (path, copy) in paths.iter().zip(&mut copies) {
            if disk.exists(path).map_err(|source| io(path, "look for", source))? {
                *copy = read(&*disk, path, identity)?;
            } else {
                missing += 1;
            }
        }
        let mut files = HardStateFiles { disk, paths, sequence: 0, first: 0 };
        if missing == NAMES.len() {
            return Ok((files, None));
        }
        let [first, second] = &copies;
        let newest = first.iter().chain(second).max_by_key(|copy| copy.sequence);
        let newest = newest.cloned().ok_or_else(|| Error::IdentityLost { dir: dir.to_owned() })?;
        files.sequence = newest.sequence;
        for (place, copy) in copies.iter().enumerate() {
            if copy.as_ref().is_none_or(|copy| copy.sequence != newest.sequence) {
                files.replace(place, &newest.content)?;
            }
        }
        Ok((files, Some(newest)))
    }

    /// Returns whether there is a copy, whole or damaged.
    pub(crate) fn exist(disk: &dyn Disk, dir: &Path) -> Result<bool, Error> {
        for path in NAMES.map(|name| dir.join(name)) {
            if disk.exists(&path).map_err(|source| io(&path, "look for", source))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Makes both files.
    pub(crate) fn create(&mut self, facts: &Facts) -> Result<(), Error> {
        assert_eq!(self.sequence, 0, "the hard state is made once");
        self.sequence = 1;
        let content = encode(self.sequence, facts);
        self.replace(0, &content)?;
        self.replace(1, &content)
    }

    /// Returns the path of the first copy, for errors about what both say.
    pub(crate) fn path(&self) -> &Path {
        &self.paths[0]
    }

    /// Writes a file anew, whatever it was, whole or not at all (rule W4).
    fn replace(&self, place: usize, content: &[u8]) -> Result<(), Error> {
        let mut content = content.to_owned();
        content.resize(FILE_BYTES, 0);
        let path = &self.paths[place];
        replace_file(&*self.disk, path, &content).map_err(|source| io(path, "write", source))
    }

    /// Writes both copies, one after the other; durable when it returns.
    ///
    /// # Errors
    /// [`Error::NoSpace`] when a copy's new blocks find no room, as on file systems that never overwrite: at least one
    /// copy is whole and says what it said before or what was to be written, and the call may be repeated. Any other
    /// error leaves unknown what the disk has: the caller must not go on.
    pub(crate) fn write(&mut self, facts: &Facts) -> Result<(), Error> {
        self.sequence += 1;
        let content = encode(self.sequence, facts);
        for place in [self.first, 1 - self.first] {
            self.first = place;
            let path = &self.paths[place];
            let file = self.disk.open(path).map_err(|source| io(path, "open", source))?;
            file.write_at(0, &content).map_err(|source| write_failed(path, source))?;
            file.sync_data().map_err(|source| io(path, "sync", source))?;
        }
        Ok(())
    }
}

fn write_failed(path: &Path, source: std::io::Error) -> Error {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Error::NoSpace { path: path.to_owned() },
        _ => io(path, "write", source),
    }
}

fn io(path: &Path, op: &'static str, source: std::io::Error) -> Error {
    Error::Io { path: path.to_owned(), op, source }
}

/// Returns the copy in a file; `None` if it is damaged.
fn read(disk: &dyn Disk, path: &Path, identity: [u64; 2]) -> Result<Option<Found>, Error> {
    match read_copy(disk, path) {
        Copy::Newer { found, known } => Err(Error::NewerFormat { path: path.to_owned(), found, known }),
        Copy::Intact(found) if found.facts.identity != identity => {
            Err(Error::Foreign { path: path.to_owned(), found: found.facts.identity, expected: identity })
        }
        Copy::Intact(found) => Ok(Some(found)),
        Copy::Missing | Copy::Damaged { .. } => Ok(None),
    }
}

/// What is found in place of a copy.
#[expect(clippy::large_enum_variant, reason = "two of them exist, while a log is opened")]
pub(crate) enum Copy {
    /// No file.
    Missing,
    /// A file that is damaged, in its first so many bytes.
    Damaged { bytes: u64 },
    /// A file of a format that is not known here.
    Newer { found: u32, known: u32 },
    /// A copy.
    Intact(Found),
}

/// Reads both copies as they are, and mends nothing.
pub(crate) fn read_copies(disk: &dyn Disk, dir: &Path) -> [(PathBuf, Copy); 2] {
    NAMES.map(|name| {
        let path = dir.join(name);
        let copy = read_copy(disk, &path);
        (path, copy)
    })
}

fn read_copy(disk: &dyn Disk, path: &Path) -> Copy {
    let content = match wal::read_file(disk, path, FILE_BYTES as u64) {
        Ok(content) => content,
        Err(error) if error.kind() == ErrorKind::NotFound => return Copy::Missing,
        // A read error is damage like any other (rule W9): there is a second copy.
        Err(_) => return Copy::Damaged { bytes: FILE_BYTES as u64 },
    };
    let Some((format, body)) = open_envelope(&content) else {
        return Copy::Damaged { bytes: content.len() as u64 };
    };
    if format > FORMAT {
        return Copy::Newer { found: format, known: FORMAT };
    }
    match decode(format, body) {
        Some((sequence, facts)) => Copy::Intact(Found { facts, format, sequence, content }),
        None => Copy::Damaged { bytes: (HEADER + body.len()) as u64 },
    }
}

/// The format and the body, if the checksum is right.
fn open_envelope(content: &[u8]) -> Option<(u32, &[u8])> {
    let rest = content.strip_prefix(&MAGIC)?;
    let mut input = Input(rest);
    let (format, length, crc) = (input.u32()?, input.u32()?, input.u32()?);
    let body = input.0.get(..length as usize)?;
    (checksum(format, body) == crc).then_some((format, body))
}

fn checksum(format: u32, body: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&format.to_le_bytes());
    crc.update(&(body.len() as u32).to_le_bytes());
    crc.update(body);
    crc.finalize()
}

fn encode(sequence: u64, facts: &Facts) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    let numbers = [
        sequence,
        facts.identity[0],
        facts.identity[1],
        facts.incarnation.0,
        facts.boot.0,
        facts.hard_state.term.0,
        u64::from(facts.hard_state.vote.is_some()),
        facts.hard_state.vote.unwrap_or_default().0,
        facts.commit.index.0,
        facts.commit.term.0,
        facts.base.index.0,
        facts.base.term.0,
    ];
    for number in numbers {
        body.extend_from_slice(&number.to_le_bytes());
    }
    encode_membership(&facts.membership, &mut body);
    encode_marks(facts, &mut body);
    let mut content = Vec::with_capacity(HEADER + body.len());
    content.extend_from_slice(&MAGIC);
    content.extend_from_slice(&FORMAT.to_le_bytes());
    content.extend_from_slice(&(body.len() as u32).to_le_bytes());
    content.extend_from_slice(&checksum(FORMAT, &body).to_le_bytes());
    content.extend_from_slice(&body);
    assert!(content.len() <= FILE_BYTES, "a hard state of {} bytes", content.len());
    content
}

/// What is seldom there: a word that says which, then those.
fn encode_marks(facts: &Facts, body: &mut Vec<u8>) {
    let mark = |is_set: bool, bit: u64| if is_set { bit } else { 0 };
    let marks = mark(facts.expected.is_some(), EXPECTED)
        | mark(facts.loss.is_some(), LOSS)
        | mark(facts.is_void, VOID);
    body.extend_from_slice(&marks.to_le_bytes());
    if let Some(loss) = facts.loss {
        body.extend_from_slice(&loss.until.0.to_le_bytes());
        body.extend_from_slice(&loss.term.0.to_le_bytes());
    }
    if let Some(snapshot) = &facts.expected {
        body.extend_from_slice(&snapshot.last.index.0.to_le_bytes());
        body.extend_from_slice(&snapshot.last.term.0.to_le_bytes());
        encode_membership(&snapshot.membership, body);
    }
}

fn decode_marks(format: u32, input: &mut Input<'_>, facts: &mut Facts) -> Option<()> {
    // The first directories were written without marks.
    let is_unmarked = format < FORMAT_NAMES_COMMIT && input.0.is_empty();
    let marks = if is_unmarked { 0 } else { input.u64()? };
    if marks & LOSS != 0 {
        facts.loss = Some(Loss { until: Index(input.u64()?), term: Term(input.u64()?) });
    }
    if marks & EXPECTED != 0 {
        let last = EntryId::new(Index(input.u64()?), Term(input.u64()?));
        facts.expected = Some(SnapshotMeta { last, membership: decode_membership(input)? });
    }
    facts.is_void = marks & VOID != 0;
    (marks <= EXPECTED | LOSS | VOID).then_some(())
}

fn decode(format: u32, body: &[u8]) -> Option<(u64, Facts)> {
    let mut input = Input(body);
    let sequence = input.u64()?;
    let identity = [input.u64()?, input.u64()?];
    let (incarnation, boot, term) = (input.u64()?, input.u64()?, input.u64()?);
    let (voted, node) = (input.u64()?, input.u64()?);
    let commit = Index(input.u64()?);
    let commit_term = if format >= FORMAT_NAMES_COMMIT { input.u64()? } else { 0 };
    let (index, base_term) = (input.u64()?, input.u64()?);
    let membership = decode_membership(&mut input)?;
    let mut facts = Facts {
        identity,
        incarnation: Incarnation(incarnation),
        boot: Boot(boot),
        hard_state: HardState { term: Term(term), vote: (voted == 1).then_some(NodeId(node)) },
        commit: EntryId::new(commit, Term(commit_term)),
        base: EntryId::new(Index(index), Term(base_term)),
        membership,
        expected: None,
        loss: None,
        is_void: false,
    };
    decode_marks(format, &mut input, &mut facts)?;
    (input.0.is_empty() && voted <= 1).then_some((sequence, facts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wal::SimDisk;

    fn facts(term: u64) -> Facts {
        Facts {
            identity: [0xc1, 0xa1],
            incarnation: Incarnation(1),
            boot: Boot(2),
            hard_state: HardState { term: Term(term), vote: Some(NodeId(5)) },
            commit: EntryId::new(Index(6), Term(4)),
            base: EntryId::new(Index(4), Term(3)),
            membership: Membership::new([NodeId(5)], []),
            expected: None,
            loss: None,
            is_void: false,
        }
    }

    fn open(disk: &SimDisk) -> Result<Option<Facts>, Error> {
        let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa1]);
        opened.map(|(_, found)| found.map(|found| found.facts))
    }

    fn written(terms: &[u64]) -> SimDisk {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa1]);
        let (mut files, found) = opened.unwrap();
        assert!(found.is_none());
        files.create(&facts(0)).unwrap();
        terms.iter().for_each(|term| files.write(&facts(*term)).unwrap());
        disk
    }

    #[test]
    fn the_bytes_are_these() {
        let content = encode(9, &facts(7));
        let mut expected = b"QRT-RAFT\x02\0\0\0\x78\0\0\0".to_vec();
        expected.extend_from_slice(&content[16..20]);
        for number in [9_u64, 0xc1, 0xa1, 1, 2, 7, 1, 5, 6, 4, 4, 3] {
            expected.extend_from_slice(&number.to_le_bytes());
        }
        expected.extend_from_slice(b"\x01\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0");
        expected.extend_from_slice(&[0; 8]);
        assert_eq!(content, expected);
        assert_eq!(open_envelope(&content).map(|(format, body)| (format, body.len())), Some((2, 0x78)));
    }

    /// A file of format 1: the commit has no term.
    fn of_format_1(sequence: u64, marks: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        for number in [sequence, 0xc1, 0xa1, 1, 2, 7, 1, 5, 6, 4, 3] {
            body.extend_from_slice(&number.to_le_bytes());
        }
        body.extend_from_slice(b"\x01\0\x05\0\0\0\0\0\0\0\0\0\0\0\0\0");
        body.extend_from_slice(marks);
        let mut content = b"QRT-RAFT\x01\0\0\0".to_vec();
        content.extend_from_slice(&(body.len() as u32).to_le_bytes());
        content.extend_from_slice(&checksum(1, &body).to_le_bytes());
        content.extend_from_slice(&body);
        content.resize(FILE_BYTES, 0);
        content
    }

    #[test]
    fn files_of_format_1_are_read_and_mended_as_they_are() {
        let disk = SimDisk::new(1);
        disk.create_dir_all(Path::new("/d")).unwrap();
        let [first, second] = NAMES.map(|name| Path::new("/d").join(name));
        replace_file(&disk, &first, &of_format_1(9, &[0; 8])).unwrap();
        replace_file(&disk, &second, &of_format_1(8, &[0; 8])).unwrap();
        let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa1]);
        let (mut files, found) = opened.unwrap();
        let found = found.unwrap();
        assert!(!found.names_commit());
        let without_term = EntryId::new(Index(6), Term(0));
        assert_eq!(found.facts, Facts { commit: without_term, ..facts(7) });
        assert!(disk.content(&first) == disk.content(&second), "the older copy is made anew");
        files.write(&facts(7)).unwrap();
        let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa1]);
        let found = opened.unwrap().1.unwrap();
        assert_eq!((found.names_commit(), found.facts), (true, facts(7)));
    }

    #[test]
    fn the_marks_and_what_they_announce_come_back() {
        let snapshot = SnapshotMeta {
            last: EntryId::new(Index(9), Term(4)),
            membership: Membership::new([NodeId(5), NodeId(6)], []),
        };
        let loss = Loss { until: Index(8), term: Term(3) };
        for (expected, loss, is_void) in [
            (Some(snapshot.clone()), None, false),
            (None, Some(loss), true),
            (Some(snapshot), Some(loss), true),
        ] {
            let marked = Facts { expected, loss, is_void, ..facts(7) };
            let content = encode(9, &marked);
            let (format, body) = open_envelope(&content).unwrap();
            assert_eq!(decode(format, body), Some((9, marked)));
        }
        let unmarked = of_format_1(9, &[]);
        let (format, body) = open_envelope(&unmarked).unwrap();
        let commit = EntryId::new(Index(6), Term(0));
        let expected = Facts { commit, ..facts(7) };
        assert_eq!(decode(format, body), Some((9, expected)), "as the first directories were written");
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let content = encode(9, &facts(7));
        for bit in 0..content.len() * 8 {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open_envelope(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn one_damaged_copy_is_mended_from_the_other_and_loses_nothing() {
        for name in NAMES {
            let disk = written(&[1, 2, 3]);
            let path = Path::new("/d").join(name);
            disk.damage(&path, |content| content[30] ^= 1);
            assert_eq!(open(&disk).unwrap(), Some(facts(3)), "{name}");
            let mended = disk.content(&path).unwrap();
            assert!(open_envelope(&mended).is_some(), "{name}");
        }
    }

    #[test]
    fn with_both_copies_damaged_the_identity_is_lost() {
        let disk = written(&[1]);
        for name in NAMES {
            disk.damage(&Path::new("/d").join(name), |content| content[30] ^= 1);
        }
        assert!(matches!(open(&disk), Err(Error::IdentityLost { .. })));
    }

    #[test]
    fn a_full_disk_leaves_one_whole_copy_until_there_is_space() {
        let path = |place: usize| Path::new("/d").join(NAMES[place]);
        for place in [0, 1] {
            let disk = written(&[1]);
            let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa1]);
            let mut files = opened.unwrap().0;
            let fail = |files: &mut HardStateFiles, term, writes_before, torn: usize| {
                disk.inject_after(wal::Fault::WriteNoSpace, writes_before);
                assert!(matches!(files.write(&facts(term)), Err(Error::NoSpace { .. })));
                // What a file system may have of a write that failed.
                disk.damage(&path(torn), |content| content[30] ^= 1);
                open(&disk.crash(wal::Crash::LoseAll)).unwrap().unwrap().hard_state.term.0
            };
            assert_eq!(fail(&mut files, 2, place as u64, place), 1 + place as u64);
            // The next attempt begins with the torn copy, so that the other may be torn in its turn.
            assert_eq!(fail(&mut files, 3, 1, 1 - place), 3);
            files.write(&facts(4)).unwrap();
            assert_eq!(open(&disk.crash(wal::Crash::LoseAll)).unwrap(), Some(facts(4)));
        }
    }

    #[test]
    fn another_members_files_and_newer_formats_are_refused() {
        let disk = written(&[1]);
        let opened = HardStateFiles::open(Arc::new(disk.clone()), Path::new("/d"), [0xc1, 0xa2]);
        assert!(matches!(opened, Err(Error::Foreign { .. })));
        for name in NAMES {
            disk.damage(&Path::new("/d").join(name), |content| {
                content[8] = 3;
                let crc = checksum(3, &content[HEADER..HEADER + 0x78]);
                content[16..20].copy_from_slice(&crc.to_le_bytes());
            });
        }
        assert!(matches!(open(&disk), Err(Error::NewerFormat { found: 3, .. })));
    }
}
