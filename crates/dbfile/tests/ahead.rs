//! Reading ahead is for files whose pages lie one behind the other; of others nothing is read in vain. What is read is the same.

mod support;

use std::cell::Cell;
use std::io;

use dbfile::{Db, PageSize, ReadAt};
use support::{Tables, number, write};

const PAGE_BYTES: usize = 4096;

/// Counts what is read of a file.
#[derive(Default)]
struct Counted {
    file: Vec<u8>,
    reads: Cell<usize>,
    bytes: Cell<usize>,
}

impl ReadAt for Counted {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.set(self.reads.get() + 1);
        self.bytes.set(self.bytes.get() + buffer.len());
        self.file[..].read_exact_at(buffer, offset)
    }

    fn length(&self) -> io::Result<u64> {
        self.file[..].length()
    }
}

fn rows(count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count).map(|row| (number(row), vec![row as u8; 1_500])).collect()
}

fn tables(count: u64) -> Tables {
    vec![(b"things".to_vec(), rows(count))]
}

/// Goes through all rows, and returns how many pages with rows there were.
fn go_through(counted: &Counted, count: u64) -> Result<usize, dbfile::Error> {
    let db = Db::open(counted)?;
    let bucket = db.bucket(b"things")?.expect("it was written");
    counted.reads.set(0);
    counted.bytes.set(0);
    let mut found = Vec::new();
    let mut pages = Vec::new();
    let mut rows_of_file = bucket.rows()?;
    while let Some(row) = rows_of_file.next_row()? {
        assert_eq!(db.value_at(row.value_place())?, row.value, "the value is where the row says");
        // That was a read of its own.
        counted.reads.update(|reads| reads - 1);
        counted.bytes.update(|bytes| bytes - row.value.len());
        found.push((row.key.to_vec(), row.value.to_vec()));
        pages.push(row.page);
    }
    assert_eq!(found, rows(count));
    pages.dedup();
    Ok(pages.len())
}

#[test]
fn pages_one_behind_the_other_are_read_many_at_once() -> Result<(), Box<dyn std::error::Error>> {
    let file = write(PageSize::default(), &tables(4_000))?;
    let counted = Counted { file, ..Counted::default() };
    let pages = go_through(&counted, 4_000)?;
    let (reads, bytes) = (counted.reads.get(), counted.bytes.get());
    assert!(pages > 1_000 && reads < pages / 20, "{reads} reads for {pages} pages");
    assert!(bytes < counted.file.len() + counted.file.len() / 10, "{bytes} bytes read");
    Ok(())
}

#[test]
fn of_pages_anywhere_only_those_are_read_that_are_asked_for() -> Result<(), Box<dyn std::error::Error>> {
    let mut file = write(PageSize::default(), &tables(300))?;
    scatter(&mut file);
    let counted = Counted { file, ..Counted::default() };
    let pages = go_through(&counted, 300)?;
    let (reads, bytes) = (counted.reads.get(), counted.bytes.get());
    assert!(
        reads >= pages && bytes <= reads * PAGE_BYTES,
        "{reads} reads of {bytes} bytes for {pages} pages"
    );
    Ok(())
}

/// Moves the leaves of the one branch so that none is behind the one before it: the first half changes places with the second,
/// one by one.
fn scatter(file: &mut [u8]) {
    let page = |file: &[u8], id: usize| file[id * PAGE_BYTES..][..PAGE_BYTES].to_vec();
    let is_branch = |id: &usize| file[id * PAGE_BYTES + 8..][..2] == [1, 0];
    let branch = (2..file.len() / PAGE_BYTES).find(is_branch).expect("there is a branch");
    let count =
        usize::from(u16::from_le_bytes([file[branch * PAGE_BYTES + 10], file[branch * PAGE_BYTES + 11]]));
    let child_at = |index: usize| branch * PAGE_BYTES + 16 + index * 16 + 8;
    let child = |file: &[u8], index: usize| {
        let bytes = file[child_at(index)..][..8].try_into().expect("eight bytes");
        u64::from_le_bytes(bytes) as usize
    };
    let order: Vec<usize> = (0..count).map(|index| child(file, index)).collect();
    let content: Vec<Vec<u8>> = order.iter().map(|id| page(file, *id)).collect();
    for (index, bytes) in content.into_iter().enumerate() {
        // 7 and the count have no common divisor, or the test fails: two leaves would have one page.
        let id = order[index * 7 % count];
        file[id * PAGE_BYTES..][..PAGE_BYTES].copy_from_slice(&bytes);
        file[id * PAGE_BYTES..][..8].copy_from_slice(&(id as u64).to_le_bytes());
        file[child_at(index)..][..8].copy_from_slice(&(id as u64).to_le_bytes());
    }
}
