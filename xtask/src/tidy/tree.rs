//! The files that are ours to keep tidy: text under the root, without build output and generated code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Directories (by path below the root, or by name anywhere) that nobody writes by hand.
const SKIPPED_PATHS: [&str; 1] = ["proto/src/gen"];
const SKIPPED_NAMES: [&str; 3] = [".git", "target", "golden"];

/// Endings of the texts that are read.
const TEXT_ENDINGS: [&str; 12] =
    ["rs", "md", "toml", "proto", "tsv", "txt", "sh", "yml", "yaml", "js", "css", "html"];

/// Every text file, by its path below the root, and the names of all files and directories.
#[derive(Debug, Default)]
pub struct Tree {
    texts: BTreeMap<String, String>,
    paths: Vec<String>,
}

impl Tree {
    /// Reads the working tree.
    ///
    /// # Errors
    /// When a directory or file cannot be read, or a text is not UTF-8.
    pub fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_directory(root, "")?;
        Ok(tree)
    }

    /// A tree made by hand, for tests of the checks.
    pub fn of<'a>(texts: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let texts: BTreeMap<_, _> =
            texts.into_iter().map(|(path, text)| (path.to_owned(), text.to_owned())).collect();
        let paths = texts.keys().flat_map(|path| with_parents(path)).collect();
        Self { texts, paths }
    }

    /// Path and content of every text file, in order of path.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The content of one text file.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// Whether there is a file or directory of this path.
    pub fn contains(&self, path: &str) -> bool {
        path.is_empty() || self.paths.iter().any(|known| known == path)
    }

    fn read_directory(&mut self, directory: &Path, below: &str) -> Result<()> {
        for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            self.paths.push(path.clone());
            let skipped = SKIPPED_NAMES.contains(&name.as_str()) || SKIPPED_PATHS.contains(&path.as_str());
            if entry.file_type()?.is_dir() {
                if !skipped {
                    self.read_directory(&entry.path(), &path)?;
                }
            } else if name.rsplit_once('.').is_some_and(|(_, ending)| TEXT_ENDINGS.contains(&ending)) {
                let text = fs::read_to_string(entry.path()).with_context(|| format!("reading {path}"))?;
                self.texts.insert(path, text);
            }
        }
        Ok(())
    }
}

fn with_parents(path: &str) -> Vec<String> {
    let cuts = path.match_indices('/').map(|(at, _)| path[..at].to_owned());
    cuts.chain([path.to_owned()]).collect()
}
