//! How a place is written: `file:///path`, a path, or `s3://bucket/prefix`.

use std::path::{Path, PathBuf};

use super::{Directory, S3, S3Options, Stop, Store};
use crate::StoreError;

/// A place, as flags name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A directory.
    Directory(PathBuf),
    /// A bucket, and what all names in it begin with.
    S3 {
        /// The bucket.
        bucket: String,
        /// Directories joined by slashes, without one at either end; may be empty.
        prefix: String,
    },
}

/// Why a text names no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another scheme.
    #[error("{0:?} is no place for backups: it must be file:///directory or s3://bucket/prefix")]
    Scheme(String),
    /// A path that is not absolute.
    #[error("{0:?} must name a directory by its whole path: file:///directory")]
    Relative(String),
    /// A name of a bucket that cannot be.
    #[error("{0:?} names no bucket: s3://bucket/prefix")]
    Bucket(String),
    /// A prefix that cannot be.
    #[error("{0:?} has a part that is empty, \".\" or \"..\"")]
    Prefix(String),
}

impl Address {
    /// Reads a URL.
    ///
    /// # Errors
    /// See [`AddressError`].
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        match text.split_once("://") {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::Directory(PathBuf::from(path))),
            Some(("file", _)) => Err(AddressError::Relative(text.to_owned())),
            Some(("s3", rest)) => Self::s3(text, rest),
            _ => Err(AddressError::Scheme(text.to_owned())),
        }
    }

    fn s3(text: &str, rest: &str) -> Result<Self, AddressError> {
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if bucket.is_empty() || bucket.starts_with('.') || !bucket.bytes().all(is_name) {
            return Err(AddressError::Bucket(text.to_owned()));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && prefix.split('/').any(|part| ["", ".", ".."].contains(&part)) {
            return Err(AddressError::Prefix(text.to_owned()));
        }
        Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }

    /// Reads what a command line names: a URL, or the path of a directory that exists. `None`:
    /// neither.
    #[must_use]
    pub fn of_argument(text: &str) -> Option<Result<Self, AddressError>> {
        match text.contains("://") {
            true => Some(Self::parse(text)),
            false if Path::new(text).is_dir() => Some(Ok(Self::Directory(PathBuf::from(text)))),
            false => None,
        }
    }

    /// Opens the place; nothing is asked of it yet.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub fn open(&self, options: &S3Options, stop: Stop) -> Result<Box<dyn Store + Send>, StoreError> {
        match self {
            Self::Directory(path) => Ok(Box::new(Directory::new(path.clone(), stop))),
            Self::S3 { bucket, prefix } => Ok(Box::new(S3::new(bucket, prefix, options, stop)?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_what_is_none() {
        let s3 = |bucket: &str, prefix: &str| Address::S3 { bucket: bucket.into(), prefix: prefix.into() };
        for (text, expected) in [
            ("file:///var/backups", Address::Directory("/var/backups".into())),
            ("s3://b", s3("b", "")),
            ("s3://b/", s3("b", "")),
            ("s3://my.bucket-1/a/b/", s3("my.bucket-1", "a/b")),
        ] {
            assert_eq!(Address::parse(text), Ok(expected), "{text}");
        }
        let bad = [
            "",
            "/x",
            "http://x",
            "file://x",
            "file:///",
            "s3://",
            "s3:///p",
            "s3://b ucket",
            "s3://b//p",
            "s3://b/../p",
            "s3://../x",
            "s3://b/p//",
        ];
        for text in bad.iter().filter(|text| **text != "file:///") {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }
}
