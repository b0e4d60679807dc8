//! `version`: under which etcd's name it stands.

use std::io::Write;

use super::failure::Failure;

/// The etcd release whose etcdutl this program follows.
const ETCD: &str = "3.7.1";
/// The version of the API of that release.
const API: &str = "3.7";

pub(super) fn run(program: &str, out: &mut dyn Write) -> Result<(), Failure> {
    writeln!(out, "{program} version: {ETCD}")?;
    writeln!(out, "API version: {API}")?;
    if program != super::arguments::ETCDUTL {
        writeln!(out, "Quorate version: {}", env!("CARGO_PKG_VERSION"))?;
    }
    Ok(())
}
