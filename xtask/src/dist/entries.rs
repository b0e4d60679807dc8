//! The content of a package: paths with what is there, and how that becomes a tar file that is always the same.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use flate2::{Compression as Level, GzBuilder};
use tar::{EntryType, Header};

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A directory.
    Directory,
    /// A file with these bytes.
    File(Vec<u8>),
    /// A symbolic link to this path.
    Link(String),
}

/// Something in a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What is there.
    pub content: Content,
    /// The permissions.
    pub mode: u32,
    /// The number of the user and the group; 0 is root.
    pub owner: u64,
}

/// Everything in a package, by its path without a leading `/`, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries(BTreeMap<String, Entry>);

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As small as gzip makes it.
    Best,
    /// In little time, for tests.
    Fast,
}

/// How entries become a file.
#[derive(Debug, Clone, Copy)]
pub struct Packing {
    /// The time of every entry, in seconds since 1970.
    pub epoch: u64,
    /// How hard to compress.
    pub compression: Compression,
}

impl Entries {
    /// Adds a file that anybody may read.
    pub fn file(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.add(path, Entry { content: Content::File(content.into()), mode: 0o644, owner: 0 });
    }

    /// Adds a file that anybody may run.
    pub fn program(&mut self, path: impl Into<String>, content: impl Into<Vec<u8>>) {
        self.add(path, Entry { content: Content::File(content.into()), mode: 0o755, owner: 0 });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: impl Into<String>, to: impl Into<String>) {
        self.add(path, Entry { content: Content::Link(to.into()), mode: 0o777, owner: 0 });
    }

    /// Adds a directory with permissions and an owner of its own.
    pub fn directory(&mut self, path: impl Into<String>, mode: u32, owner: u64) {
        self.add(path, Entry { content: Content::Directory, mode, owner });
    }

    /// Adds an entry, and the directories above it that are not there yet.
    fn add(&mut self, path: impl Into<String>, entry: Entry) {
        let path = path.into();
        for (cut, _) in path.match_indices('/') {
            let above = Entry { content: Content::Directory, mode: 0o755, owner: 0 };
            self.0.entry(path[..cut].to_owned()).or_insert(above);
        }
        self.0.insert(path, entry);
    }

    /// Returns paths and entries, a directory before what is in it.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// Returns the paths and contents of the files.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.iter().filter_map(|(path, entry)| match &entry.content {
            Content::File(bytes) => Some((path, bytes.as_slice())),
            Content::Directory | Content::Link(_) => None,
        })
    }

    /// Returns a compressed tar file. `prefix` stands before each path, as Debian has its `./`.
    ///
    /// # Errors
    /// When a path is longer than tar allows.
    pub fn to_tar_gz(&self, prefix: &str, packing: Packing) -> Result<Vec<u8>> {
        let mut archive = tar::Builder::new(gzip_writer(packing.compression));
        for (path, entry) in self.iter() {
            append(&mut archive, &format!("{prefix}{path}"), entry, packing.epoch)
                .with_context(|| path.to_owned())?;
        }
        Ok(archive.into_inner()?.finish()?)
    }
}

fn append(archive: &mut tar::Builder<impl Write>, path: &str, entry: &Entry, epoch: u64) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.owner);
    header.set_gid(entry.owner);
    header.set_mtime(epoch);
    let (kind, path, bytes) = match &entry.content {
        Content::Directory => (EntryType::Directory, format!("{path}/"), &[][..]),
        Content::File(bytes) => (EntryType::Regular, path.to_owned(), bytes.as_slice()),
        Content::Link(target) => {
            header.set_link_name(target)?;
            (EntryType::Symlink, path.to_owned(), &[][..])
        }
    };
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    if set_path(&mut header, &path) {
        header.set_cksum();
        archive.append(&header, bytes)?;
    } else {
        archive.append_data(&mut header, path, bytes)?;
    }
    Ok(())
}

/// Writes a path into a header as it is, which the library does not: it leaves out `./`. Returns whether there was room for it.
fn set_path(header: &mut Header, path: &str) -> bool {
    let field = &mut header.as_old_mut().name;
    let has_room = path.len() <= field.len();
    if has_room {
        field[..path.len()].copy_from_slice(path.as_bytes());
    }
    has_room
}

/// Returns the bytes as a gzip file, without a name and a time in it.
///
/// # Errors
/// None in memory.
pub fn gzip(bytes: &[u8], compression: Compression) -> Result<Vec<u8>> {
    let mut writer = gzip_writer(compression);
    writer.write_all(bytes)?;
    Ok(writer.finish()?)
}

fn gzip_writer(compression: Compression) -> flate2::write::GzEncoder<Vec<u8>> {
    let level = match compression {
        Compression::Best => Level::best(),
        Compression::Fast => Level::fast(),
    };
    // The default header says on which system it was made.
    GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), level)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const PACKING: Packing = Packing { epoch: 1_700_000_000, compression: Compression::Fast };

    fn sample() -> Entries {
        let mut entries = Entries::default();
        entries.link("usr/bin/etcd", "quorate");
        entries.program("usr/bin/quorate", "program");
        entries.file("etc/quorate.yaml", "name: one\n");
        entries.directory("var/lib/etcd", 0o700, 65532);
        entries
    }

    #[test]
    fn entries_are_sorted_have_one_time_and_belong_to_root() {
        let packed = sample().to_tar_gz("./", PACKING).unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!(header.mtime().unwrap(), PACKING.epoch);
            let path = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
            seen.push((path, header.mode().unwrap(), header.uid().unwrap()));
        }
        let expected = [
            ("./etc/", 0o755, 0),
            ("./etc/quorate.yaml", 0o644, 0),
            ("./usr/", 0o755, 0),
            ("./usr/bin/", 0o755, 0),
            ("./usr/bin/etcd", 0o777, 0),
            ("./usr/bin/quorate", 0o755, 0),
            ("./var/", 0o755, 0),
            ("./var/lib/", 0o755, 0),
            ("./var/lib/etcd/", 0o700, 65532),
        ];
        assert_eq!(seen, expected.map(|(path, mode, owner)| (path.to_owned(), mode, owner)));
    }

    #[test]
    fn the_order_in_which_entries_are_added_does_not_show() {
        let mut other = Entries::default();
        other.directory("var/lib/etcd", 0o700, 65532);
        other.file("etc/quorate.yaml", "name: one\n");
        other.program("usr/bin/quorate", "program");
        other.link("usr/bin/etcd", "quorate");
        assert_eq!(sample().to_tar_gz("", PACKING).unwrap(), other.to_tar_gz("", PACKING).unwrap());
    }

    #[test]
    fn gzip_can_be_read_again() {
        let packed = gzip(b"text", Compression::Best).unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    }
}
