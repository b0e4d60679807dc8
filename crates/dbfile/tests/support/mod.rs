//! What the tests of this crate share: tables in memory, written and read.
#![allow(dead_code, reason = "not every test uses all of it")]

pub(crate) mod craft;

use dbfile::{Db, Error, PageSize, Plan, ReadAt, WriteError};

/// Rows of a bucket.
pub(crate) type Rows = Vec<(Vec<u8>, Vec<u8>)>;
/// Buckets by name.
pub(crate) type Tables = Vec<(Vec<u8>, Rows)>;

/// Writes tables as a file.
pub(crate) fn write(page_size: PageSize, tables: &Tables) -> Result<Vec<u8>, WriteError> {
    let mut plan = Plan::new(page_size);
    for (name, rows) in tables {
        plan.bucket(name)?;
        rows.iter().try_for_each(|(key, value)| plan.row(key.len(), value.len()))?;
    }
    let layout = plan.finish();
    let file_bytes = layout.file_bytes();
    let mut file = Vec::new();
    let mut writer = layout.begin(&mut file);
    for (name, rows) in tables {
        writer.bucket(name, &mut file)?;
        rows.iter().try_for_each(|(key, value)| writer.row(key, value, &mut file))?;
    }
    writer.finish(&mut file)?;
    assert_eq!(file.len() as u64, file_bytes, "the plan knows the length");
    Ok(file)
}

/// Reads everything there is.
pub(crate) fn read<S: ReadAt>(source: S) -> Result<Tables, Error> {
    let db = Db::open(source)?;
    let mut tables = Vec::new();
    for bucket in db.buckets()? {
        let bucket = bucket?;
        let mut rows = bucket.rows()?;
        let mut found = Vec::new();
        while let Some(row) = rows.next_row()? {
            found.push((row.key.to_vec(), row.value.to_vec()));
        }
        tables.push((bucket.name().to_vec(), found));
    }
    Ok(tables)
}

/// Returns a table of text.
pub(crate) fn table(name: &str, rows: &[(&str, &str)]) -> (Vec<u8>, Rows) {
    let rows = rows.iter().map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()));
    (name.as_bytes().to_vec(), rows.collect())
}

/// Returns a number as eight bytes, the highest first.
pub(crate) fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

/// Sets the checksum of a meta page that was changed.
pub(crate) fn seal_meta(page: &mut [u8]) {
    let hash = page[16..72].iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    page[72..80].copy_from_slice(&hash.to_le_bytes());
}
