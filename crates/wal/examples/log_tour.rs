//! A tour of the log: append, read, stop without ceremony, find everything again, cut off, release.
//!
//! `cargo run -p quorate-wal --example log_tour`

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use wal::{Crash, Head, Options, SimDisk, Wal};

const ENTRY: u8 = 1;
const DIR: &str = "/var/lib/example";

fn open(disk: &SimDisk) -> Result<Wal, wal::Error> {
    // On a real disk: Arc::new(wal::OsDisk).
    let options = Options { segment_bytes: 4096, identity: [0xc1, 0x01] };
    let (log, recovery) = Wal::open(Arc::new(disk.clone()), Path::new(DIR), options)?;
    match recovery.torn {
        Some(torn) => println!("opened; {} bytes of a torn batch dropped at {}", torn.bytes, torn.offset),
        None => println!("opened; {}", if recovery.created { "it is new" } else { "nothing was torn" }),
    }
    Ok(log)
}

fn main() -> Result<(), Box<dyn Error>> {
    let disk = SimDisk::new(2026);
    let mut log = open(&disk)?;

    // Group commit: any number of records, one sync.
    for number in 1..=20 {
        let text = format!("entry {number}");
        log.append(Head { kind: ENTRY, number, tag: 7 }, &[text.as_bytes(), &[b'.'; 400]])?;
    }
    println!("synced up to {}, in {} segments", log.sync()?, log.segments().len());

    // Readable, but not durable: the power fails, and some sectors of the batch were on the disk already.
    log.append(Head { kind: ENTRY, number: 21, tag: 7 }, &[&[b'x'; 2000]])?;
    log.flush()?;
    println!("a reader sees {} records", log.reader().scan_all().count());
    let disk = disk.crash(Crash::Random(1));

    let mut log = open(&disk)?;
    let records: Vec<_> = log.reader().scan_all().collect::<Result<_, _>>()?;
    println!("after the crash there are {}", records.len());

    // Another leader knows better: entries 15 and later are void, whatever happens from here on.
    log.truncate_to(records[14].position)?;
    log.append(Head { kind: ENTRY, number: 15, tag: 8 }, &[b"another entry 15"])?;
    log.sync()?;
    let last = log.reader().last_record(log.end().segment)?.ok_or("it was just appended")?;
    println!("the log ends with number {} of term {}", last.head.number, last.head.tag);

    // Entries before 10 are in a snapshot. Whole segments go.
    log.release_before(records[9].position.segment)?;
    let first = log.reader().scan_all().next().ok_or("there is a record")??;
    println!("the log begins with number {}", first.head.number);
    Ok(())
}
