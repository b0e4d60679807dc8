//! `migrate`: what the schema of a data directory is changed to, for another etcd.
//!
//! Arguments are checked as etcdutl checks them. A data directory of ours has one schema, whatever versions a backup of it is good
//! for: asked for that, there is nothing to do, and asked for another, the answer says how to get to another etcd.

use std::path::Path;

use clap::ArgMatches;
use serde_json::json;

use super::arguments::Globals;
use super::failure::Failure;
use super::held::Held;
use super::log_line::{Level, print};

/// The version of etcd whose data our schema holds: that of the API.
const SCHEMA: (u64, u64) = (3, 7);

pub(super) fn run(globals: &Globals, matches: &ArgMatches) -> Result<(), Failure> {
    let text = |name: &str| matches.get_one::<String>(name).map_or("", String::as_str);
    let target = version(text("target-version")).map_err(Failure::bad_arguments)?;
    let dir = Path::new(text("data-dir"));
    let _held = Held::shared(dir, None, globals.timeout, "migrate")?;
    if target == SCHEMA {
        let shown = json!(format!("{}.{}", target.0, target.1));
        print(Level::Info, "storage version up-to-date", &[("storage-version", shown)]);
        return Ok(());
    }
    Err(Failure::error(format!(
        "a data directory of Quorate has no schema of etcd {}.{}: make a snapshot, and restore it with etcdutl",
        target.0, target.1
    )))
}

/// Reads `X.Y`, in etcdutl's words where it is none.
fn version(text: &str) -> Result<(u64, u64), String> {
    let Some((major, minor)) = text.split_once('.').filter(|(_, minor)| !minor.contains('.')) else {
        return Err(format!("wrong target version format, expected \"X.Y\", got {text:?}"));
    };
    let number = |part: &str| {
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let number = if is_number { part.parse::<u64>().ok() } else { None };
        number.ok_or_else(|| {
            format!("failed to parse target version: strconv.ParseInt: parsing {part:?}: invalid syntax")
        })
    };
    let version = (number(major)?, number(minor)?);
    if version < (3, 5) {
        let (major, minor) = version;
        return Err(format!("target version \"{major}.{minor}\" not supported. Minimal \"3.5\""));
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_etcdutl_reads_them() {
        assert_eq!(version("3.7"), Ok((3, 7)));
        let cases = [
            ("3", "wrong target version format, expected \"X.Y\", got \"3\""),
            ("3.6.1", "wrong target version format, expected \"X.Y\", got \"3.6.1\""),
            ("3.x", "failed to parse target version: strconv.ParseInt: parsing \"x\": invalid syntax"),
            ("3.4", "target version \"3.4\" not supported. Minimal \"3.5\""),
        ];
        for (text, error) in cases {
            assert_eq!(version(text), Err(error.to_owned()));
        }
    }
}
