//! A directory: local, or of a file system that all members share.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{Listed, Stop, Store, Upload};
use crate::StoreError;
use crate::write::random_tag;

/// What the name of an object begins with that is not all there.
const TEMPORARY: &str = ".tmp-";

/// A directory as a store. Backups hold hashes of passwords, so nobody else may read them.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    stop: Stop,
}

impl Directory {
    /// A directory, which need not exist yet.
    #[must_use]
    pub fn new(path: PathBuf, stop: Stop) -> Self {
        Self { path, stop }
    }

    fn make(&self, directory: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(directory);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(StoreError::io("create", &path))?;
        sync_dir(&self.path)?;
        Ok(path)
    }
}

impl Store for Directory {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    fn directories(&self) -> Result<Vec<String>, StoreError> {
        let entries = entries(&self.path)?.into_iter().filter(|(_, entry)| entry.is_dir());
        Ok(entries.map(|(name, _)| name).collect())
    }

    fn list(&self, directory: &str) -> Result<Vec<Listed>, StoreError> {
        let path = self.path.join(directory);
        let mut listed = Vec::new();
        for (name, file) in entries(&path)?.into_iter().filter(|(name, _)| !name.starts_with(TEMPORARY)) {
            if file.is_file() {
                listed.push(Listed { name, bytes: file.len() });
            }
        }
        Ok(listed)
    }

    fn begin<'s>(
        &'s self,
        directory: &str,
        name: &str,
        _bytes: u64,
    ) -> Result<Box<dyn Upload + 's>, StoreError> {
        self.stop.check()?;
        let directory = self.make(directory)?;
        let temporary = directory.join(format!("{TEMPORARY}{:08x}-{name}", random_tag()));
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary);
        let file = opened.map_err(StoreError::io("create", &temporary))?;
        let target = directory.join(name);
        Ok(Box::new(Writing { store: self, file, directory, temporary, target, is_finished: false }))
    }

    fn read<'s>(&'s self, directory: &str, name: &str) -> Result<Box<dyn Read + 's>, StoreError> {
        let path = self.path.join(directory).join(name);
        match File::open(&path) {
            Ok(file) => Ok(Box::new(Reading { store: self, file })),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Err(StoreError::NotFound(path.display().to_string()))
            }
            Err(error) => Err(StoreError::io("open", &path)(error)),
        }
    }

    fn delete(&self, directory: &str, name: &str) -> Result<(), StoreError> {
        let path = self.path.join(directory).join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(StoreError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    fn sweep(&self, directory: &str, age: Duration) -> Result<(), StoreError> {
        let path = self.path.join(directory);
        let now = SystemTime::now();
        for (name, file) in entries(&path)? {
            let changed = file.modified().ok().and_then(|changed| now.duration_since(changed).ok());
            if name.starts_with(TEMPORARY) && changed.is_some_and(|changed| changed > age) {
                self.delete(directory, &name)?;
            }
        }
        Ok(())
    }
}

/// What is in a directory; nothing if there is none. Names that are no text are not ours.
fn entries(path: &Path) -> Result<Vec<(String, fs::Metadata)>, StoreError> {
    let read = match fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(StoreError::io("list", path))?,
    };
    let mut entries = Vec::new();
    for entry in read {
        let entry = entry.map_err(StoreError::io("list", path))?;
        // One that was removed a moment ago is not there.
        if let (Ok(name), Ok(metadata)) = (entry.file_name().into_string(), entry.metadata()) {
            entries.push((name, metadata));
        }
    }
    Ok(entries)
}

fn sync_dir(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(StoreError::io("sync", path))
}

struct Writing<'s> {
    store: &'s Directory,
    file: File,
    directory: PathBuf,
    temporary: PathBuf,
    target: PathBuf,
    is_finished: bool,
}

impl Upload for Writing<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.store.stop.check()?;
        self.file.write_all(bytes).map_err(StoreError::io("write", &self.temporary))
    }

    fn finish(mut self: Box<Self>) -> Result<(), StoreError> {
        self.file.sync_all().map_err(StoreError::io("sync", &self.temporary))?;
        fs::rename(&self.temporary, &self.target).map_err(StoreError::io("rename", &self.temporary))?;
        self.is_finished = true;
        sync_dir(&self.directory)
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        if !self.is_finished {
            // What cannot be removed now is swept away later.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

struct Reading<'s> {
    store: &'s Directory,
    file: File,
}

impl Read for Reading<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.store.stop.check().map_err(io::Error::other)?;
        self.file.read(buffer)
    }
}
