//! A disk that is only read: what is written to it stays in memory.
//!
//! The code that opens a member's files at its start puts right what a crash left, counts the opening, and lets redb write its
//! header. Run on this disk it finds the same and says the same, and the files stay as they are.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use wal::{Disk, DiskDir, DiskFile};

/// What is kept of a file in one piece.
const PAGE: usize = 4096;

/// The disk of the operating system, with a layer of memory above it.
#[derive(Default)]
pub(super) struct ReadOnlyDisk {
    names: Mutex<BTreeMap<PathBuf, Name>>,
}

/// What a name stands for, where it is not what the disk below has.
#[derive(Clone)]
enum Name {
    /// Nothing any more.
    Gone,
    /// A file that is open or was written to.
    File(Arc<Layered>),
    /// A directory: a new one, or one that has another name below.
    Dir(Option<PathBuf>),
}

impl ReadOnlyDisk {
    /// What a name stands for: a layered file, a place below, or nothing.
    fn resolve(&self, path: &Path) -> Name {
        let names = self.names.lock();
        for above in path.ancestors() {
            match names.get(above) {
                Some(name) if above == path => return name.clone(),
                Some(Name::Dir(Some(below))) => {
                    let rest = path.strip_prefix(above).unwrap_or(path);
                    return Name::Dir(Some(below.join(rest)));
                }
                Some(_) => return Name::Gone,
                None => {}
            }
        }
        Name::Dir(Some(path.to_owned()))
    }

    fn set(&self, path: &Path, name: Name) {
        self.names.lock().insert(path.to_owned(), name);
    }

    /// Takes what the layer has within a directory out of it.
    fn take_within(&self, dir: &Path) -> Vec<(PathBuf, Name)> {
        let mut names = self.names.lock();
        let within: Vec<PathBuf> =
            names.keys().filter(|path| path.starts_with(dir) && *path != dir).cloned().collect();
        within.into_iter().filter_map(|path| names.remove_entry(&path)).collect()
    }
}

fn not_found() -> io::Error {
    ErrorKind::NotFound.into()
}

impl Disk for ReadOnlyDisk {
    fn create(&self, path: &Path, len: u64) -> io::Result<Box<dyn DiskFile>> {
        if self.exists(path)? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(Layered::empty(len));
        self.set(path, Name::File(file.clone()));
        Ok(Box::new(Handle(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = match self.resolve(path) {
            Name::Gone | Name::Dir(None) => return Err(not_found()),
            Name::File(file) => file,
            Name::Dir(Some(below)) => {
                let file = Arc::new(Layered::above(File::open(below)?)?);
                self.set(path, Name::File(file.clone()));
                file
            }
        };
        Ok(Box::new(Handle(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if !self.exists(from)? {
            return Err(not_found());
        }
        let name = self.resolve(from);
        let within = self.take_within(from);
        self.take_within(to);
        self.set(from, Name::Gone);
        self.set(to, name);
        for (path, name) in within {
            if let Ok(rest) = path.strip_prefix(from) {
                self.set(&to.join(rest), name);
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if !self.exists(path)? {
            return Err(not_found());
        }
        self.set(path, Name::Gone);
        Ok(())
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.take_within(dir);
        self.remove(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        match self.resolve(dir) {
            Name::Gone | Name::File(_) => return Err(not_found()),
            Name::Dir(None) => {}
            Name::Dir(Some(below)) => {
                for entry in fs::read_dir(below)? {
                    paths.push(dir.join(entry?.file_name()));
                }
            }
        }
        let names = self.names.lock();
        paths.retain(|path| !names.contains_key(path));
        let here =
            names.iter().filter(|(path, name)| path.parent() == Some(dir) && !matches!(name, Name::Gone));
        paths.extend(here.map(|(path, _)| path.clone()));
        Ok(paths)
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        for above in dir.ancestors().filter(|above| !above.as_os_str().is_empty()) {
            if self.exists(above)? {
                break;
            }
            self.set(above, Name::Dir(None));
        }
        Ok(())
    }

    fn open_dir(&self, dir: &Path) -> io::Result<Box<dyn DiskDir>> {
        if self.exists(dir)? { Ok(Box::new(Nothing)) } else { Err(not_found()) }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        match self.resolve(path) {
            Name::Gone => Ok(false),
            Name::File(_) | Name::Dir(None) => Ok(true),
            Name::Dir(Some(below)) => below.try_exists(),
        }
    }
}

/// There is nothing to make durable.
struct Nothing;

impl DiskDir for Nothing {
    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A file with a layer of memory above it.
struct Layered {
    below: Option<File>,
    layer: Mutex<Layer>,
}

struct Layer {
    len: u64,
    /// How much of the file below still counts.
    below_len: u64,
    pages: BTreeMap<u64, Box<[u8; PAGE]>>,
}

impl Layered {
    fn empty(len: u64) -> Self {
        Self { below: None, layer: Mutex::new(Layer { len, below_len: 0, pages: BTreeMap::new() }) }
    }

    fn above(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        // Only advice: the disk is read ahead while what came before is checked.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let layer = Layer { len, below_len: len, pages: BTreeMap::new() };
        Ok(Self { below: Some(file), layer: Mutex::new(layer) })
    }

    /// Fills `buf` with what the file below has from `offset` on, and zeros behind that.
    fn read_below(&self, layer: &Layer, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let there = layer.below_len.saturating_sub(offset).min(buf.len() as u64) as usize;
        let (there, beyond) = buf.split_at_mut(there);
        beyond.fill(0);
        match &self.below {
            Some(file) if !there.is_empty() => file.read_exact_at(there, offset),
            _ => Ok(()),
        }
    }
}

/// An open layered file.
struct Handle(Arc<Layered>);

impl DiskFile for Handle {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let layer = self.0.layer.lock();
        let end = offset + buf.len() as u64;
        if end > layer.len {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.0.read_below(&layer, offset, buf)?;
        let first = offset / PAGE as u64;
        for (number, page) in layer.pages.range(first..end.div_ceil(PAGE as u64)) {
            let page_start = number * PAGE as u64;
            let (from, to) = (page_start.max(offset), (page_start + PAGE as u64).min(end));
            let source = &page[(from - page_start) as usize..(to - page_start) as usize];
            buf[(from - offset) as usize..(to - offset) as usize].copy_from_slice(source);
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut layer = self.0.layer.lock();
        let (mut at, mut rest) = (offset, data);
        while !rest.is_empty() {
            let (number, within) = (at / PAGE as u64, (at % PAGE as u64) as usize);
            let (now, later) = rest.split_at(rest.len().min(PAGE - within));
            if !layer.pages.contains_key(&number) {
                let mut page = Box::new([0; PAGE]);
                self.0.read_below(&layer, number * PAGE as u64, &mut page[..])?;
                layer.pages.insert(number, page);
            }
            if let Some(page) = layer.pages.get_mut(&number) {
                page[within..within + now.len()].copy_from_slice(now);
            }
            at += now.len() as u64;
            rest = later;
        }
        layer.len = layer.len.max(at);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.layer.lock().len)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut layer = self.0.layer.lock();
        layer.below_len = layer.below_len.min(len);
        let (number, within) = (len / PAGE as u64, (len % PAGE as u64) as usize);
        layer.pages.split_off(&len.div_ceil(PAGE as u64));
        if let Some(page) = layer.pages.get_mut(&number) {
            page[within..].fill(0);
        }
        layer.len = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(disk: &dyn Disk, path: &Path) -> Vec<u8> {
        wal::read_file(disk, path, u64::MAX).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back_and_the_file_stays_what_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let below: Vec<u8> = (0..20_000).map(|byte| byte as u8).collect();
        fs::write(&path, &below).unwrap();
        let disk = ReadOnlyDisk::default();
        let file = disk.open(&path).unwrap();
        let mut expected = below.clone();
        for (offset, len) in [(0, 1), (4090, 12), (8192, 4096), (19_990, 30), (25_000, 5)] {
            file.write_at(offset, &vec![0xee; len]).unwrap();
            expected.resize(expected.len().max(offset as usize + len), 0);
            expected[offset as usize..offset as usize + len].fill(0xee);
            assert_eq!(content(&disk, &path), expected, "{offset}");
        }
        for len in [24_000_u64, 9_000, 4_096, 30_000] {
            file.set_len(len).unwrap();
            expected.resize(len as usize, 0);
            assert_eq!(content(&disk, &path), expected, "cut to {len}");
        }
        assert!(file.read_at(29_999, &mut [0; 2]).is_err());
        assert_eq!(fs::read(&path).unwrap(), below);
    }

    #[test]
    fn names_change_in_memory_only() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/a"), "a").unwrap();
        fs::write(at("d/b"), "b").unwrap();
        let disk = ReadOnlyDisk::default();
        disk.remove(&at("d/b")).unwrap();
        disk.create(&at("d/c"), 3).unwrap();
        disk.rename(&at("d"), &at("e")).unwrap();
        let mut listed = disk.list(&at("e")).unwrap();
        listed.sort();
        assert_eq!(listed, [at("e/a"), at("e/c")]);
        assert_eq!((content(&disk, &at("e/a")), content(&disk, &at("e/c"))), (b"a".to_vec(), vec![0; 3]));
        assert!(!disk.exists(&at("d")).unwrap() && !disk.exists(&at("d/a")).unwrap());
        assert!(!disk.exists(&at("e/b")).unwrap());
        disk.remove_dir_all(&at("e")).unwrap();
        assert!(disk.open(&at("e/a")).is_err());
        disk.create_dir_all(&at("e/f")).unwrap();
        assert_eq!(disk.list(&at("e")).unwrap(), [at("e/f")]);
        assert_eq!(fs::read(at("d/b")).unwrap(), b"b");
        assert!(!at("e").exists());
    }
}
