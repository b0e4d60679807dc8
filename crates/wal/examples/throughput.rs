//! How many records a second one writer gets onto a real disk, by records a sync, and how fast they are read back.
//!
//! `cargo run --release -p quorate-wal --example throughput [DIRECTORY]`; without a directory, one in the system's
//! place for temporary files, which had better not be in memory. CPU time is the process's, kernel included.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wal::{Disk, Head, Options, OsDisk, Wal};

const PAYLOAD_BYTES: usize = 300;
const RUN: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let parent = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = parent.join(format!("quorate-wal-throughput-{}", std::process::id()));
    println!("records of {PAYLOAD_BYTES} bytes, in {}", parent.display());
    println!(
        "{:>14} {:>10} {:>12} {:>14} {:>12}",
        "records/sync", "syncs/s", "records/s", "CPU us/record", "of it kernel"
    );
    for batch in [1, 16, 64, 256, 1024] {
        let outcome = append_for(&dir, batch, true);
        std::fs::remove_dir_all(&dir)?;
        outcome?;
    }
    let outcome = append_for(&dir, 64, false).and_then(|()| read_back(&dir));
    std::fs::remove_dir_all(&dir)?;
    outcome
}

fn open(dir: &Path) -> Result<Wal, wal::Error> {
    let disk: Arc<dyn Disk> = Arc::new(OsDisk);
    Wal::open(disk, dir, Options::default()).map(|(log, _)| log)
}

/// Appends for a while; with a sync for each batch, or a mere flush.
fn append_for(dir: &Path, batch: u64, synced: bool) -> Result<(), Box<dyn Error>> {
    let mut log = open(dir)?;
    let payload = [0x5a; PAYLOAD_BYTES];
    let (mut number, mut batches) = (0, 0u64);
    let cpu_before = Cpu::now()?;
    let started = Instant::now();
    while started.elapsed() < RUN {
        for _ in 0..batch {
            number += 1;
            log.append(Head { kind: 1, number, tag: 1 }, &[&payload[..24], &payload[24..]])?;
        }
        if synced {
            log.sync().map(drop)?
        } else {
            log.flush()?
        };
        batches += 1;
        // Old segments go, so that a long run does not fill the disk.
        if batches.is_multiple_of(1000) && synced {
            log.release_before(log.end().segment)?;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let cpu = Cpu::now()?.since(&cpu_before);
    let each = |ticks: f64| ticks / number as f64 * 1e6;
    println!(
        "{:>14} {:>10.0} {:>12.0} {:>14.2} {:>12.2}",
        if synced { batch.to_string() } else { format!("{batch}, no sync") },
        batches as f64 / seconds,
        number as f64 / seconds,
        each(cpu.user + cpu.kernel),
        each(cpu.kernel),
    );
    log.sync()?;
    Ok(())
}

fn read_back(dir: &Path) -> Result<(), Box<dyn Error>> {
    let opening = Instant::now();
    let log = open(dir)?;
    println!("opened in {:.1} ms: {} segments", opening.elapsed().as_secs_f64() * 1e3, log.segments().len());
    let reading = Instant::now();
    let mut positions = Vec::new();
    for record in log.reader().scan_all() {
        positions.push(record?.position);
    }
    let seconds = reading.elapsed().as_secs_f64();
    println!("scanned {} records, {:.2} M/s", positions.len(), positions.len() as f64 / seconds / 1e6);
    let reading = Instant::now();
    let reader = log.reader();
    let wanted = positions.len().min(200_000);
    for place in 0..wanted {
        reader.read(positions[place * 7919 % positions.len()])?;
    }
    println!(
        "read {wanted} of them one by one, {:.2} us each",
        reading.elapsed().as_secs_f64() * 1e6 / wanted as f64
    );
    Ok(())
}

/// CPU seconds of this process.
struct Cpu {
    user: f64,
    kernel: f64,
}

impl Cpu {
    fn now() -> Result<Self, Box<dyn Error>> {
        // Fields 14 and 15, of which the second may contain spaces: count from behind its parenthesis.
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let seconds = |field: usize| -> Result<f64, Box<dyn Error>> {
            let ticks: f64 = fields.get(field).ok_or("/proc/self/stat is too short")?.parse()?;
            Ok(ticks / 100.0) // USER_HZ, fixed on Linux
        };
        Ok(Self { user: seconds(11)?, kernel: seconds(12)? })
    }

    fn since(&self, before: &Self) -> Self {
        Self { user: self.user - before.user, kernel: self.kernel - before.kernel }
    }
}
