//! A log file that is put aside when it is long enough.
//!
//! It is done as by the library that etcd uses for it, so that what collects or removes such files finds them: `etcd.log` becomes
//! `etcd-2026-11-23T12-36-09.831.log` before a line that would make it too long, and a thread of its own then compresses those
//! files, and removes those that are too old or too many.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::config::Rotation;

/// How the time stands in the name of a file that was put aside.
const TIME: &str = "%Y-%m-%dT%H-%M-%S%.3f";

/// What is behind the name of a file that was compressed.
const COMPRESSED: &str = ".gz";

/// Who may read a new log file: its owner.
const MODE: u32 = 0o600;

/// A log file that is rotated. Each write is one line, and is not torn apart.
pub(super) struct RotatedFile {
    path: PathBuf,
    rotation: Rotation,
    open: Option<Open>,
    /// Has old files looked after; `None` where there is nothing to do about them.
    keeper: Option<SyncSender<()>>,
}

struct Open {
    file: File,
    bytes: u64,
}

impl RotatedFile {
    /// Opens the file, or makes it, with the directories that it is in.
    ///
    /// # Errors
    /// Those of the operating system.
    pub(super) fn open(path: &Path, rotation: Rotation) -> io::Result<RotatedFile> {
        let has_work = rotation.compress || rotation.age_max.is_some() || rotation.files_max.is_some();
        let keeper = has_work.then(|| start_keeper(path, rotation)).transpose()?;
        let mut file = RotatedFile { path: path.to_owned(), rotation, open: None, keeper };
        file.open_for(0)?;
        file.look_after_old_files();
        Ok(file)
    }

    /// Opens the file that is there, unless it would become too long by so many bytes.
    fn open_for(&mut self, bytes: u64) -> io::Result<&mut Open> {
        let length = match fs::metadata(&self.path) {
            Ok(found) => Some(found.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        match length {
            Some(length) if length + bytes < self.rotation.bytes_max => {
                let file = OpenOptions::new().append(true).open(&self.path)?;
                Ok(self.open.insert(Open { file, bytes: length }))
            }
            _ => self.begin(),
        }
    }

    /// Begins a new file; one that is there is put aside.
    fn begin(&mut self) -> io::Result<&mut Open> {
        self.open = None;
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory)?;
        }
        let before = fs::metadata(&self.path).ok();
        if before.is_some() {
            let name = Name::of(&self.path);
            fs::rename(&self.path, name.put_aside(Timestamp::now(), self.rotation.local_time))?;
        }
        let mode = before.as_ref().map_or(MODE, |before| before.permissions().mode() & 0o777);
        let file = OpenOptions::new().create(true).append(true).mode(mode).open(&self.path)?;
        if let Some(before) = before {
            // Only root can, and only root has reason to.
            let _ = fchown(&file, Some(before.uid()), Some(before.gid()));
        }
        Ok(self.open.insert(Open { file, bytes: 0 }))
    }

    fn look_after_old_files(&self) {
        if let Some(keeper) = &self.keeper {
            // If the keeper is busy, it looks once more afterwards: one request waits.
            let _ = keeper.try_send(());
        }
    }
}

impl Write for RotatedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let (length, max) = (line.len() as u64, self.rotation.bytes_max);
        if length > max {
            return Err(io::Error::other(format!("write length {length} exceeds maximum file size {max}")));
        }
        let is_full = self.open.as_ref().is_some_and(|open| open.bytes + length > max);
        let open = match &mut self.open {
            Some(_) if is_full => self.begin()?,
            Some(open) => open,
            None => self.open_for(length)?,
        };
        open.file.write_all(line)?;
        open.bytes += length;
        if is_full {
            self.look_after_old_files();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The parts of a log file's name that those of its old files have, too.
#[derive(Debug, Clone)]
struct Name {
    directory: PathBuf,
    /// What is before the last dot, and a hyphen.
    before: String,
    /// The last dot and what is behind it.
    behind: String,
}

impl Name {
    fn of(path: &Path) -> Name {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let (before, behind) = name.split_at(name.rfind('.').unwrap_or(name.len()));
        let directory = path.parent().unwrap_or(Path::new("")).to_owned();
        Name { directory, before: format!("{before}-"), behind: behind.to_owned() }
    }

    /// Returns where the file goes that is put aside at this time. No other is there.
    fn put_aside(&self, now: Timestamp, local_time: bool) -> PathBuf {
        let zone = if local_time { TimeZone::system() } else { TimeZone::UTC };
        let at = |time: Timestamp| {
            let time = time.to_zoned(zone.clone()).strftime(TIME).to_string();
            self.directory.join(format!("{}{time}{}", self.before, self.behind))
        };
        // Two in one millisecond: the second is given a later one.
        let mut times =
            (0..1000).filter_map(|milliseconds| now.checked_add(Duration::from_millis(milliseconds)).ok());
        times.find_map(|time| Some(at(time)).filter(|path| !path.exists())).unwrap_or_else(|| at(now))
    }

    /// Returns the time in the name of an old file, taken for one of Greenwich in any case; `None` of any other file.
    fn time_of(&self, name: &str) -> Option<Timestamp> {
        let text = name.strip_prefix(&self.before)?.strip_suffix(&self.behind)?;
        let time = DateTime::strptime(TIME, text).ok()?;
        TimeZone::UTC.to_timestamp(time).ok()
    }
}

/// A file that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct OldFile {
    time: Timestamp,
    /// Its name before it was compressed.
    name: String,
    is_compressed: bool,
}

impl OldFile {
    fn path(&self, directory: &Path) -> PathBuf {
        let suffix = if self.is_compressed { COMPRESSED } else { "" };
        directory.join(format!("{}{suffix}", self.name))
    }
}

/// Starts the thread that looks after old files, one request at a time.
fn start_keeper(path: &Path, rotation: Rotation) -> io::Result<SyncSender<()>> {
    let (sender, requests): (SyncSender<()>, Receiver<()>) = sync_channel(1);
    let name = Name::of(path);
    let run = move || {
        while requests.recv().is_ok() {
            if let Err(error) = look_after(&name, rotation, SystemTime::now()) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "old log files cannot be compressed or removed");
            }
        }
    };
    engine::spawn::thread("log-keeper", run)?;
    Ok(sender)
}

/// Removes old files that are too many or too old, and then compresses those that stay. What fails keeps nothing else from being
/// done: on a full disk, nothing can be compressed before something was removed. Returns the first error.
fn look_after(name: &Name, rotation: Rotation, now: SystemTime) -> io::Result<()> {
    let cut_off = rotation.age_max.and_then(|age| now.checked_sub(age));
    let cut_off = cut_off.and_then(|time| Timestamp::try_from(time).ok());
    let mut names: Vec<String> = Vec::new();
    let mut kept = Vec::new();
    let mut result = Ok(());
    for old in old_files(name)? {
        // A file that is there twice, compressed and not, is one.
        if names.last() != Some(&old.name) {
            names.push(old.name.clone());
        }
        let is_one_too_many = rotation.files_max.is_some_and(|max| names.len() > max);
        if is_one_too_many || cut_off.is_some_and(|cut_off| old.time < cut_off) {
            result = result.and(fs::remove_file(old.path(&name.directory)));
        } else {
            kept.push(old);
        }
    }
    for old in kept.iter().filter(|old| rotation.compress && !old.is_compressed) {
        result = result.and(compress(&old.path(&name.directory)));
    }
    result
}

/// Returns the old files, the newest first.
fn old_files(name: &Name) -> io::Result<Vec<OldFile>> {
    let directory = if name.directory.as_os_str().is_empty() { Path::new(".") } else { &name.directory };
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        if entry.file_type()?.is_dir() {
            continue;
        }
        let plain = file.strip_suffix(COMPRESSED).filter(|plain| name.time_of(plain).is_some());
        let (plain, is_compressed) = plain.map_or((file.as_str(), false), |plain| (plain, true));
        if let Some(time) = name.time_of(plain) {
            found.push(OldFile { time, name: plain.to_owned(), is_compressed });
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// Compresses a file, and removes it. If that fails, it stays as it was.
fn compress(path: &Path) -> io::Result<()> {
    let mut target = path.as_os_str().to_owned();
    target.push(COMPRESSED);
    let target = PathBuf::from(target);
    let written = write_compressed(path, &target);
    if written.is_err() {
        let _ = fs::remove_file(&target);
    }
    written.and_then(|()| fs::remove_file(path))
}

fn write_compressed(path: &Path, target: &Path) -> io::Result<()> {
    let mut plain = File::open(path)?;
    let found = plain.metadata()?;
    let mode = found.permissions().mode() & 0o777;
    let file = OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(target)?;
    let _ = fchown(&file, Some(found.uid()), Some(found.gid()));
    let mut encoder = GzEncoder::new(file, Compression::default());
    io::copy(&mut plain, &mut encoder)?;
    encoder.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const SMALL: Rotation =
        Rotation { bytes_max: 20, age_max: None, files_max: None, local_time: false, compress: false };

    /// The names in a directory, sorted.
    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn masked(name: &str) -> String {
        name.chars().map(|letter| if letter.is_ascii_digit() { '0' } else { letter }).collect()
    }

    #[test]
    fn a_file_is_put_aside_before_it_becomes_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/etcd.log");
        let mut file = RotatedFile::open(&path, SMALL).unwrap();
        for line in ["first.....\n", "second..\n", "third\n", "fourth\n"] {
            file.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "third\nfourth\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let names = names(path.parent().unwrap());
        assert_eq!(names.len(), 2);
        assert_eq!(masked(&names[0]), "etcd-0000-00-00T00-00-00.000.log");
        let aside = fs::read_to_string(path.with_file_name(&names[0])).unwrap();
        assert_eq!(aside, "first.....\nsecond..\n");
    }

    #[test]
    fn a_file_that_is_there_is_appended_to_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("etcd.log");
        fs::write(&path, "before\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut file = RotatedFile::open(&path, SMALL).unwrap();
        file.write_all(b"after\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nafter\n");
        file.write_all(b"much too much\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "much too much\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        // At the next start it is full already.
        fs::write(&path, "x".repeat(20)).unwrap();
        drop(RotatedFile::open(&path, SMALL).unwrap());
        assert_eq!((names(dir.path()).len(), fs::read(&path).unwrap().len()), (3, 0));
        let error = file.write_all(&[b'x'; 21]).unwrap_err();
        assert_eq!(error.to_string(), "write length 21 exceeds maximum file size 20");
    }

    #[test]
    fn old_files_have_the_time_in_their_names() {
        let time: Timestamp = "2026-11-23T12:36:09.831767Z".parse().unwrap();
        for (path, expected) in [
            ("/var/log/etcd.log", "/var/log/etcd-2026-11-23T12-36-09.831.log"),
            ("a.b.c", "a.b-2026-11-23T12-36-09.831.c"),
            ("log", "log-2026-11-23T12-36-09.831"),
        ] {
            let name = Name::of(Path::new(path));
            let aside = name.put_aside(time, false);
            assert_eq!(aside, Path::new(expected));
            let file = aside.file_name().unwrap().to_str().unwrap();
            assert_eq!(name.time_of(file).unwrap().as_millisecond(), time.as_millisecond());
        }
        let name = Name::of(Path::new("etcd.log"));
        for other in
            ["etcd.log", "etcd-.log", "etcd-2026.log", "etcd-2026-11-23T12-36-09.831.txt", "other.log"]
        {
            assert_eq!(name.time_of(other), None, "{other}");
        }
    }

    #[test]
    fn old_files_that_are_too_many_or_too_old_go_and_the_others_are_compressed() {
        let dir = tempfile::tempdir().unwrap();
        let days = ["10", "11", "12", "13"];
        let old = |day: &str| format!("etcd-2026-11-{day}T00-00-00.000.log");
        for day in days {
            fs::write(dir.path().join(old(day)), day).unwrap();
        }
        fs::write(dir.path().join("etcd-notes.log"), "not ours").unwrap();
        let name = Name::of(&dir.path().join("etcd.log"));
        let now = SystemTime::from("2026-11-13T12:00:00Z".parse::<Timestamp>().unwrap());
        let day = Duration::from_secs(86_400);

        look_after(&name, Rotation { age_max: Some(3 * day), ..SMALL }, now).unwrap();
        assert_eq!(names(dir.path()), [&old("11"), &old("12"), &old("13"), "etcd-notes.log"]);

        let both = Rotation { files_max: Some(2), compress: true, ..SMALL };
        look_after(&name, both, now).unwrap();
        let compressed = |day| format!("{}.gz", old(day));
        assert_eq!(names(dir.path()), [&compressed("12"), &compressed("13"), "etcd-notes.log"]);
        let mut text = String::new();
        let file = File::open(dir.path().join(compressed("13"))).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        assert_eq!(text, "13");

        // A crash while one was compressed left both: they count once, and are one again.
        fs::write(dir.path().join(old("13")), "13").unwrap();
        look_after(&name, both, now).unwrap();
        assert_eq!(names(dir.path()), [&compressed("12"), &compressed("13"), "etcd-notes.log"]);
        look_after(&name, Rotation { files_max: Some(1), ..SMALL }, now).unwrap();
        assert_eq!(names(dir.path()), [&compressed("13"), "etcd-notes.log"]);
    }
}
