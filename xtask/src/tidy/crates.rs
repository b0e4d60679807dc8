//! Manifests: who depends on whom, and under which lints.
//!
//! Layers point one way, and what a crate does not depend on it cannot know. [`LAYERS`] is that order; a new edge is a
//! decision that shows in review as a change of this table.

use anyhow::{Context, Result};
use toml::{Table, Value};

use super::Finding;
use super::tree::Tree;

/// A crate by its directory, and which of ours it may use.
struct Layer {
    directory: &'static str,
    uses: &'static [&'static str],
    /// Whether the same input must give the same result on every member: no clock, no threads, no hash order.
    pure: bool,
}

/// From the bottom up.
const LAYERS: [Layer; 19] = [
    Layer { directory: "proto", uses: &[], pure: false },
    Layer { directory: "crates/wal", uses: &[], pure: false },
    Layer { directory: "crates/raft", uses: &["wal"], pure: false },
    Layer { directory: "crates/mvcc", uses: &["wal"], pure: false },
    Layer { directory: "crates/dbfile", uses: &[], pure: false },
    Layer { directory: "crates/gotext", uses: &[], pure: false },
    Layer { directory: "crates/machine", uses: &["mvcc", "proto"], pure: true },
    Layer { directory: "crates/datadir", uses: &["wal"], pure: false },
    Layer { directory: "crates/metrics", uses: &[], pure: false },
    Layer {
        directory: "crates/engine",
        uses: &["machine", "metrics", "mvcc", "proto", "raft", "wal"],
        pure: false,
    },
    Layer {
        directory: "crates/backup",
        uses: &["datadir", "dbfile", "machine", "mvcc", "proto", "raft", "wal"],
        pure: false,
    },
    Layer { directory: "crates/archive", uses: &["backup", "dbfile", "mvcc"], pure: false },
    Layer { directory: "crates/client", uses: &["proto"], pure: false },
    Layer {
        directory: "crates/server",
        uses: &[
            "archive", "backup", "client", "datadir", "dbfile", "engine", "gotext", "machine", "metrics",
            "mvcc", "raft", "wal", "proto",
        ],
        pure: false,
    },
    Layer {
        directory: "crates/cli",
        uses: &[
            "archive", "backup", "client", "datadir", "dbfile", "gotext", "machine", "mvcc", "raft", "wal",
            "proto",
        ],
        pure: false,
    },
    Layer {
        directory: "crates/sim",
        uses: &["engine", "machine", "mvcc", "raft", "wal", "proto"],
        pure: false,
    },
    Layer { directory: "crates/bench", uses: &["proto"], pure: false },
    Layer { directory: "crates/testkit", uses: &["proto"], pure: false },
    Layer { directory: "xtask", uses: &[], pure: false },
];

/// Crates whose builds are not part of the workspace. They test the product from outside, so they know none of it.
const OUTSIDE: [&str; 2] = ["crates/compat", "fuzz"];

/// What only tests may use, in any crate.
const TEST_CRATES: [&str; 1] = ["testkit"];

/// Findings of all manifests.
///
/// # Errors
/// When a manifest is not TOML.
pub fn check(tree: &Tree) -> Result<Vec<Finding>> {
    let workspace = manifest(tree, "Cargo.toml")?;
    let ours = our_names(&workspace);
    let mut findings = Vec::new();
    if text_at(&workspace, &["workspace", "lints", "rust", "unsafe_code"]) != Some("forbid") {
        findings.push(Finding::at("Cargo.toml", 0, "[workspace.lints.rust] must forbid unsafe_code"));
    }
    for (path, _) in tree.texts() {
        let Some(directory) = path.strip_suffix("/Cargo.toml") else { continue };
        if OUTSIDE.contains(&directory) {
            continue;
        }
        let Some(layer) = LAYERS.iter().find(|layer| layer.directory == directory) else {
            findings.push(Finding::at(path, 0, "has no place in LAYERS of xtask/src/tidy/crates.rs"));
            continue;
        };
        findings.extend(check_manifest(path, &manifest(tree, path)?, layer, &ours));
        if layer.pure {
            findings.extend(check_bans(tree, directory)?);
        }
    }
    Ok(findings)
}

fn check_manifest(path: &str, manifest: &Table, layer: &Layer, ours: &[String]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let inherits = value_at(manifest, &["lints", "workspace"]).and_then(Value::as_bool);
    if inherits != Some(true) {
        findings.push(Finding::at(path, 0, "must take the lints of the workspace: [lints] workspace = true"));
    }
    let tables = [("dependencies", layer.uses.to_vec()), ("dev-dependencies", usable_in_tests(layer))];
    for (table, allowed) in tables {
        let named = value_at(manifest, &[table]).and_then(Value::as_table);
        for name in named.into_iter().flat_map(Table::keys).filter(|name| ours.contains(name)) {
            if !allowed.contains(&name.as_str()) {
                let what = format!("[{table}] must not name {name}: see LAYERS in xtask/src/tidy/crates.rs");
                findings.push(Finding::at(path, 0, what));
            }
        }
    }
    findings
}

/// Tests may also use what is further below, and what only tests use.
fn usable_in_tests(layer: &Layer) -> Vec<&'static str> {
    let mut usable = [layer.uses, &TEST_CRATES].concat();
    for name in layer.uses {
        let below = LAYERS.iter().find(|layer| short_name(layer.directory) == *name);
        usable.extend(below.into_iter().flat_map(usable_in_tests));
    }
    usable
}

/// A pure crate says in its own `clippy.toml` what it bans. That file replaces the workspace's, so it must repeat it.
fn check_bans(tree: &Tree, directory: &str) -> Result<Option<Finding>> {
    let path = format!("{directory}/clippy.toml");
    let bans = manifest(tree, &path)?;
    let types = value_at(&bans, &["disallowed-types"]).and_then(Value::as_array);
    let banned = types.into_iter().flatten().filter_map(|ban| ban.get("path")?.as_str());
    let bans_hash_order = banned.into_iter().any(|path| path == "std::collections::HashMap");
    let repeats = value_at(&bans, &["allow-unwrap-in-tests"]).and_then(Value::as_bool) == Some(true);
    let what = "must ban std::collections::HashMap with a reason, and repeat allow-unwrap-in-tests = true";
    Ok((!bans_hash_order || !repeats).then(|| Finding::at(&path, 0, what)))
}

/// The short names under which our crates are known in the workspace: those with a path.
fn our_names(workspace: &Table) -> Vec<String> {
    let known = value_at(workspace, &["workspace", "dependencies"]).and_then(Value::as_table);
    let with_path = known.into_iter().flatten().filter(|(_, source)| source.get("path").is_some());
    with_path.map(|(name, _)| name.clone()).collect()
}

fn short_name(directory: &str) -> &str {
    directory.rsplit('/').next().unwrap_or(directory)
}

fn manifest(tree: &Tree, path: &str) -> Result<Table> {
    tree.text(path).unwrap_or_default().parse().with_context(|| path.to_owned())
}

fn value_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get(*first)?, |value, key| value.get(key))
}

fn text_at<'a>(table: &'a Table, path: &[&str]) -> Option<&'a str> {
    value_at(table, path).and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    //! Manifests that break the rules, one each.

    use super::*;

    const WORKSPACE: &str = "
        [workspace.lints.rust]
        unsafe_code = \"forbid\"
        [workspace.dependencies]
        wal = { path = \"crates/wal\" }
        raft = { path = \"crates/raft\" }
        mvcc = { path = \"crates/mvcc\" }
        machine = { path = \"crates/machine\" }
        testkit = { path = \"crates/testkit\" }
        bytes = \"1\"
    ";
    const BANS: &str = "allow-unwrap-in-tests = true
        disallowed-types = [{ path = \"std::collections::HashMap\", reason = \"order\" }]";

    fn whats(files: &[(&str, &str)]) -> Vec<String> {
        let tree = Tree::of([("Cargo.toml", WORKSPACE)].iter().chain(files).copied());
        check(&tree).unwrap().into_iter().map(|finding| finding.what).collect()
    }

    fn machine(manifest: &str) -> Vec<String> {
        let manifest = format!("[lints]\nworkspace = true\n{manifest}");
        whats(&[("crates/machine/Cargo.toml", &manifest), ("crates/machine/clippy.toml", BANS)])
    }

    #[test]
    fn dependencies_point_down() {
        assert_eq!(machine("[dependencies]\nmvcc.workspace = true\nbytes = \"1\""), [""; 0]);
        assert_eq!(
            machine("[dependencies]\nraft.workspace = true"),
            ["[dependencies] must not name raft: see LAYERS in xtask/src/tidy/crates.rs"]
        );
    }

    #[test]
    fn tests_may_reach_further_down_but_not_up() {
        assert_eq!(machine("[dev-dependencies]\nwal.workspace = true\ntestkit.workspace = true"), [""; 0]);
        assert_eq!(machine("[dev-dependencies]\nraft.workspace = true").len(), 1);
        assert_eq!(machine("[dependencies]\ntestkit.workspace = true").len(), 1);
    }

    #[test]
    fn a_crate_takes_the_lints_of_the_workspace() {
        assert_eq!(whats(&[("crates/wal/Cargo.toml", "[dependencies]")]).len(), 1);
    }

    #[test]
    fn a_workspace_that_permits_unsafe_code_is_found() {
        let tree = Tree::of([("Cargo.toml", "[workspace.lints.rust]\nunsafe_code = \"deny\"")]);
        assert_eq!(check(&tree).unwrap().len(), 1);
    }

    #[test]
    fn a_crate_must_have_a_place() {
        assert_eq!(
            whats(&[("crates/utils/Cargo.toml", "[lints]\nworkspace = true")]),
            ["has no place in LAYERS of xtask/src/tidy/crates.rs"]
        );
    }

    #[test]
    fn a_pure_crate_bans_what_differs_between_members() {
        let manifest = ("crates/machine/Cargo.toml", "[lints]\nworkspace = true");
        assert_eq!(whats(&[manifest]).len(), 1);
        assert_eq!(
            whats(&[manifest, ("crates/machine/clippy.toml", "allow-unwrap-in-tests = true")]).len(),
            1
        );
        assert_eq!(whats(&[manifest, ("crates/machine/clippy.toml", BANS)]), [""; 0]);
    }
}
