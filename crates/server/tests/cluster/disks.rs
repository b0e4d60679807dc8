//! Members on disks that hang, and fill up, when a test says so.
//!
//! Such a member is this test's own binary, run once more: a process that can be killed, and that serves as `quorate` does
//! on a [`Disk`] of ours. Before it changes anything, the disk looks at two files beside the data directory:
//!
//! * `gate` is locked for a moment. As long as the test holds the lock ([`hang`]), everything waits that changes the disk,
//!   in the kernel as it would with a real one, and nothing of it has happened when the member is killed meanwhile.
//! * `full` is there ([`fill`]): files do not get longer. What was reserved before can be written, as on ext4 and XFS,
//!   unless the file says otherwise ([`exhaust`]), as on file systems that never overwrite.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use server::config::{Config, Invocation};
use testkit::{Program, Server};
use wal::{Disk, DiskDir, DiskFile, OsDisk};

/// `ENOSPC`, on every system that has it.
const NO_SPACE: i32 = 28;

/// In the file `full`: not even what was reserved.
const EXHAUSTED: &str = "exhausted";

/// The member that this binary turns into.
pub(crate) fn program() -> Program {
    let own = std::env::current_exe().expect("the path of this test");
    let serve = ["--exact", "disks::serve", "--ignored", "--nocapture", "--"];
    Program::within(&own, &serve).expect("this test serves")
}

/// A disk that hangs until this is dropped.
pub(crate) struct Hang {
    _gate: File,
}

/// From now on nothing reaches the disk of this member.
pub(crate) fn hang(member: &Server) -> Hang {
    let gate = open_gate(&gate_of(member.data_dir())).expect("a file beside the data directory");
    gate.lock().expect("the file can be locked");
    Hang { _gate: gate }
}

/// From now on there is no space on the disk of this member.
pub(crate) fn fill(member: &Server) {
    fs::write(full_of(member.data_dir()), "").expect("a file beside the data directory");
}

/// The same, and what was reserved before cannot be written either.
pub(crate) fn exhaust(member: &Server) {
    fs::write(full_of(member.data_dir()), EXHAUSTED).expect("a file beside the data directory");
}

/// There is space again.
pub(crate) fn make_space(member: &Server) {
    fs::remove_file(full_of(member.data_dir())).expect("the disk was full");
}

fn gate_of(data: &Path) -> PathBuf {
    data.with_file_name("gate")
}

fn full_of(data: &Path) -> PathBuf {
    data.with_file_name("full")
}

fn open_gate(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).open(path)
}

/// The disk of the operating system, if it feels like it.
#[derive(Clone)]
struct MoodyDisk {
    gate: PathBuf,
    full: PathBuf,
}

impl MoodyDisk {
    /// Returns when the disk does something.
    fn wait(&self) -> io::Result<()> {
        open_gate(&self.gate)?.lock_shared()
    }

    /// Whether a file may get longer.
    fn has_room(&self) -> io::Result<()> {
        if self.full.try_exists()? { Err(io::Error::from_raw_os_error(NO_SPACE)) } else { Ok(()) }
    }

    /// Whether a file takes what it has been given room for.
    fn has_reserves(&self) -> io::Result<()> {
        match fs::read_to_string(&self.full) {
            Ok(what) if what == EXHAUSTED => self.has_room(),
            _ => Ok(()),
        }
    }

    fn file(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(MoodyFile { disk: self.clone(), file })
    }
}

impl Disk for MoodyDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        self.wait()?;
        if len > 0 {
            self.has_room()?;
        }
        Ok(self.file(OsDisk.create(path, len)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(OsDisk.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.wait()?;
        OsDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.wait()?;
        OsDisk.remove(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.wait()?;
        OsDisk.remove_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        OsDisk.list(dir)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.wait()?;
        OsDisk.create_dir_all(dir)
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>> {
        Ok(Box::new(MoodyDir { disk: self.clone(), dir: OsDisk.open_dir(dir)? }))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        OsDisk.exists(path)
    }
}

struct MoodyDir {
    disk: MoodyDisk,
    dir: Box<dyn DiskDir>,
}

impl DiskDir for MoodyDir {
    fn sync(&self) -> io::Result<()> {
        self.disk.wait()?;
        self.dir.sync()
    }
}

struct MoodyFile {
    disk: MoodyDisk,
    file: Box<dyn DiskFile>,
}

impl DiskFile for MoodyFile {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.disk.wait()?;
        self.disk.has_reserves()?;
        if offset + data.len() as u64 > self.file.len()? {
            self.disk.has_room()?;
        }
        self.file.write_at(offset, data)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.wait()?;
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.disk.wait()?;
        if len > self.file.len()? {
            self.disk.has_room()?;
        }
        self.file.set_len(len)
    }
}

/// The member. It ends when it is killed.
#[test]
#[ignore = "not a test: a member that the others start"]
fn serve() {
    let flags: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(1).collect();
    // Somebody runs every test there is.
    if flags.is_empty() {
        return;
    }
    match Config::load(&flags, &[]).expect("flags of the test kit") {
        Invocation::Print(text) => io::stdout().write_all(text.as_bytes()).expect("the test kit reads"),
        Invocation::Serve(config) => serve_as(&config),
    }
}

fn serve_as(config: &Config) {
    server::logging::init(&config.log).expect("a log to standard error");
    let disk = MoodyDisk { gate: gate_of(&config.data_dir), full: full_of(&config.data_dir) };
    let mut member = match server::start_on(Arc::new(disk), config) {
        Ok(member) => member,
        Err(error) => {
            let error: &dyn std::error::Error = &error;
            tracing::error!(target: server::logging::FATAL, error, "no start");
            std::process::exit(1);
        }
    };
    member.when_ready(|| {}).expect("a thread");
    member.when_it_ends(|| std::process::exit(1)).expect("a thread");
    loop {
        std::thread::park();
    }
}
