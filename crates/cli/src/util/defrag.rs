//! `defrag`: gives back what the database does not use, while no member runs.
//!
//! A store of ours has nothing to defragment: its history goes by whole files, and what redb frees it uses again. But a
//! file that was large once stays so, and offline it can be shortened. Like etcdutl it says nothing on success.

use std::path::Path;
use std::sync::Arc;

use clap::ArgMatches;
use wal::OsDisk;

use super::arguments::Globals;
use super::failure::Failure;
use super::held::Held;

pub(super) fn run(globals: &Globals, matches: &ArgMatches) -> Result<(), Failure> {
    let dir = matches.get_one::<String>("data-dir").map_or("", String::as_str);
    let failed = |what: String| Failure::error(format!("Failed to defragment etcd data[{dir}] ({what})"));
    let held = Held::exclusive(Path::new(dir), globals.timeout).map_err(failed)?;
    let shrunk =
        mvcc::shrink(Arc::new(OsDisk), &held.layout.store()).map_err(|error| failed(error.to_string()))?;
    eprintln!(
        "finished defragmenting directory {} (database {} bytes, {} before)",
        held.layout.store().display(),
        shrunk.after,
        shrunk.before
    );
    Ok(())
}
