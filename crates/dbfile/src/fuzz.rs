//! What a fuzzer does with files. Its inputs are kept, and run as a test as well (`tests/corpus.rs`).
//!
//! A file is read in every way there is. If all of it can be read, its rows are written to another file, which must have
//! the same rows and hashes. As few inputs would get past the checksums of the meta pages, each is also tried with
//! checksums that are right.

use crate::etcd::{AuthSettings, ClusterSettings, MetaRows, hash_kv, status};
use crate::format::seal_meta;
use crate::{Db, Error, Options, PageSize, Plan, WriteError};

/// Page size of the copy, and of the inputs whose second meta page is repaired.
const PAGE_BYTES: u32 = 1024;

/// Runs that are longer find nothing new.
const RUN_BYTES_MAX: u64 = 1 << 20;

/// Buckets: names, and their rows.
type Tables = Vec<(Vec<u8>, Vec<(Vec<u8>, Vec<u8>)>)>;

/// Reads an input as a file, as it is and with checksums that are right.
///
/// # Panics
/// When a copy has not the rows of what was read: a bug.
pub fn files(input: &[u8]) {
    examine(input);
    let mut sealed = input.to_vec();
    sealed.chunks_mut(PAGE_BYTES as usize).take(2).for_each(seal_meta);
    examine(&sealed);
}

fn examine(file: &[u8]) {
    let _ = crate::verify(file);
    let Ok(db) = Db::open_with(file, Options { run_bytes_max: RUN_BYTES_MAX }) else { return };
    let is_checked = db.check().is_ok();
    let _ = (MetaRows::read(&db), ClusterSettings::read(&db), AuthSettings::read(&db));
    let (status, hash) = (status(&db).ok(), hash_kv(&db, 0).ok());
    let Ok(tables) = tables(&db) else {
        assert!(!is_checked, "a file that was checked can be read");
        return;
    };
    let copy = copy(&tables).expect("the rows are in order, and short enough");
    let copy = Db::open(&copy[..]).expect("a file of ours");
    copy.check().expect("a file of ours");
    assert!(self::tables(&copy).is_ok_and(|copied| copied == tables));
    let hash_of_copy = self::status(&copy).ok().map(|status| status.hash);
    assert_eq!(hash_of_copy, status.map(|status| status.hash));
    assert_eq!(hash_kv(&copy, 0).ok(), hash);
}

/// Reads all rows; from every one of them on the rest can be read as well.
fn tables(db: &Db<&[u8]>) -> Result<Tables, Error> {
    let mut tables = Tables::new();
    for bucket in db.buckets()? {
        let bucket = bucket?;
        let mut found = Vec::new();
        let mut rows = bucket.rows()?;
        while let Some(row) = rows.next_row()? {
            found.push((row.key.to_vec(), row.value.to_vec()));
        }
        let last = bucket.last_key()?;
        assert_eq!(last.as_ref(), found.last().map(|(key, _)| key));
        if let Some((key, value)) = found.get(found.len() / 2) {
            assert_eq!(bucket.get(key)?.as_ref(), Some(value));
        }
        tables.push((bucket.name().to_vec(), found));
    }
    Ok(tables)
}

fn copy(tables: &Tables) -> Result<Vec<u8>, WriteError> {
    let mut plan = Plan::new(PageSize::new(PAGE_BYTES).unwrap_or_default());
    for (name, rows) in tables {
        plan.bucket(name)?;
        rows.iter().try_for_each(|(key, value)| plan.row(key.len(), value.len()))?;
    }
    let mut file = Vec::new();
    let mut writer = plan.finish().begin(&mut file);
    for (name, rows) in tables {
        writer.bucket(name, &mut file)?;
        rows.iter().try_for_each(|(key, value)| writer.row(key, value, &mut file))?;
    }
    writer.finish(&mut file)?;
    Ok(file)
}
