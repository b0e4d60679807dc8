//! `snapshot status` and `hashkv`: what is in a backup, or in the database file of an etcd that does not run.
//!
//! The file is opened for reading, and every byte of it that is used is checked for what it must be; what is wrong is said
//! with its page. etcdutl's `hashkv` opens it for writing and changes it: a backup does not pass its own digest afterwards.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::ArgMatches;
use dbfile::Db;
use dbfile::etcd::{EtcdError, HashKv, hash_kv, status};
use mvcc::ReadError;
use serde::Serialize;

use super::arguments::Globals;
use super::failure::Failure;
use super::held::Held;
use super::shown::Shown;
use super::state::State;
use crate::ctl::print::size;

#[derive(Serialize)]
struct StatusJson<'s> {
    hash: u32,
    revision: i64,
    #[serde(rename = "totalKey")]
    total_key: u64,
    #[serde(rename = "totalSize")]
    total_size: u64,
    version: &'s str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HashJson {
    hash: u32,
    hash_revision: i64,
    compact_revision: i64,
}

/// `snapshot status`.
pub(super) fn run_status(
    globals: &Globals,
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let files: Vec<&String> = matches.get_many("file").into_iter().flatten().collect();
    let [file] = files[..] else {
        return Err(Failure::bad_arguments("snapshot status requires exactly one argument"));
    };
    let db = open(file)?;
    db.check().map_err(|error| damaged(file, error))?;
    let status = status(&db).map_err(|error| explain(file, error))?;
    let shown = Shown {
        titles: &["hash", "revision", "total keys", "total size", "version"],
        cells: vec![
            format!("{:x}", status.hash),
            status.revision.to_string(),
            status.keys.to_string(),
            size::si(status.bytes),
            status.version.clone(),
        ],
        fields: vec![
            ("Hash", status.hash.to_string()),
            ("Revision", status.revision.to_string()),
            ("Keys", status.keys.to_string()),
            ("Size", status.bytes.to_string()),
            ("Version", status.version.clone()),
        ],
        json: StatusJson {
            hash: status.hash,
            revision: status.revision,
            total_key: status.keys,
            total_size: status.bytes,
            version: &status.version,
        },
    };
    shown.print(globals, out)
}

/// `hashkv`.
pub(super) fn run_hash_kv(
    globals: &Globals,
    matches: &ArgMatches,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let file = matches.get_one::<String>("file").map_or("", String::as_str);
    let revision = matches.get_one::<i64>("rev").copied().unwrap_or(0);
    let hashed = match Path::new(file).is_dir() {
        true => hash_of_member(globals, Path::new(file), revision)?,
        false => hash_kv(&open(file)?, revision).map_err(|error| explain(file, error))?,
    };
    let numbers =
        [hashed.hash.to_string(), hashed.hash_revision.to_string(), hashed.compact_revision.to_string()];
    let names = ["Hash", "Hash revision", "Compact revision"];
    let shown = Shown {
        titles: &["hash", "hash revision", "compact revision"],
        fields: names.into_iter().zip(numbers.clone()).collect(),
        cells: numbers.to_vec(),
        json: HashJson {
            hash: hashed.hash,
            hash_revision: hashed.hash_revision,
            compact_revision: hashed.compact_revision,
        },
    };
    shown.print(globals, out)
}

/// The hash of the keys that a member has after its next start.
fn hash_of_member(globals: &Globals, dir: &Path, revision: i64) -> Result<HashKv, Failure> {
    let held = Held::shared(dir, None, globals.timeout, "hash")?;
    let state = State::open(held, dir)?;
    let hashed = state.machine.view().hash_kv(Some(revision)).map_err(|error| match error {
        ReadError::Future { .. } => Failure::error("mvcc: required revision is a future revision"),
        ReadError::Compacted(_) => Failure::error("mvcc: required revision has been compacted"),
        error => Failure::error(error.to_string()),
    })?;
    let mvcc::HashKv { hash, hash_revision, compact_revision, .. } = hashed;
    Ok(HashKv { hash, hash_revision, compact_revision })
}

fn open(file: &str) -> Result<Db<File>, Failure> {
    let opened = File::open(Path::new(file)).map_err(|error| Failure::error(no_file(file, &error)))?;
    Db::open(opened).map_err(|error| damaged(file, error))
}

/// Go's words for the usual case.
fn no_file(file: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => format!("stat {file}: no such file or directory"),
        _ => format!("open {file}: {error}"),
    }
}

fn damaged(file: &str, error: dbfile::Error) -> Failure {
    Failure::error(format!("invalid database {file}: {error}"))
}

fn explain(file: &str, error: EtcdError) -> Failure {
    match error {
        EtcdError::FutureRevision { .. } => Failure::error("mvcc: required revision is a future revision"),
        EtcdError::Compacted { .. } => Failure::error("mvcc: required revision has been compacted"),
        error => Failure::error(format!("invalid database {file}: {error}")),
    }
}
