//! The bill of materials: which crates are in the programs, in the form of CycloneDX.
//!
//! It comes from what cargo resolves for the target (`Cargo.lock`), without crates that only build or test. It has no serial number
//! and no time, so that the same lock file gives the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use cargo_metadata::{CargoOpt, DependencyKind, Metadata, MetadataCommand, NodeDep, Package, PackageId};
use cyclonedx_bom::external_models::spdx::SpdxExpression;
use cyclonedx_bom::models::bom::SpecVersion;
use cyclonedx_bom::models::component::{Classification, Component, Components};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata as BomMetadata;
use cyclonedx_bom::prelude::{Bom, Purl};

use super::Release;

/// The packages whose programs are handed out.
const SHIPPED: [&str; 2] = ["quorate", "quorate-cli"];

/// Returns the bill of a release as JSON.
///
/// # Errors
/// When cargo cannot resolve the workspace as its lock file says.
pub fn describe(release: &Release<'_>) -> Result<Vec<u8>> {
    let metadata = MetadataCommand::new()
        .current_dir(release.root)
        .features(CargoOpt::SomeFeatures(Vec::new()))
        .other_options(["--locked".to_owned(), "--filter-platform".to_owned(), release.target.to_owned()])
        .exec()?;
    let mut json = Vec::new();
    bill(&metadata, release.version)?.output_as_json(&mut json, SpecVersion::V1_5)?;
    json.push(b'\n');
    Ok(json)
}

fn bill(metadata: &Metadata, version: &str) -> Result<Bom> {
    let packages: BTreeMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let edges = linked(metadata)?;
    let mut components = Vec::new();
    let mut dependencies = Vec::new();
    for (id, uses) in &edges {
        components.push(component(packages[id])?);
        let uses = uses.iter().map(|id| reference(packages[id]));
        dependencies
            .push(Dependency { dependency_ref: reference(packages[id]), dependencies: uses.collect() });
    }
    components.sort_by(|one, other| one.bom_ref.cmp(&other.bom_ref));
    dependencies.sort_by(|one, other| one.dependency_ref.cmp(&other.dependency_ref));
    let whole = Component::new(Classification::Application, "quorate", version, Some("release".to_owned()));
    Ok(Bom {
        serial_number: None,
        metadata: Some(BomMetadata { component: Some(whole), ..BomMetadata::default() }),
        components: Some(Components(components)),
        dependencies: Some(Dependencies(dependencies)),
        ..Bom::default()
    })
}

/// Returns each package that is linked into the programs, with those that it uses.
fn linked(metadata: &Metadata) -> Result<BTreeMap<&PackageId, BTreeSet<&PackageId>>> {
    let resolved = metadata.resolve.as_ref().context("cargo resolves nothing")?;
    let nodes: BTreeMap<&PackageId, &[NodeDep]> =
        resolved.nodes.iter().map(|node| (&node.id, node.deps.as_slice())).collect();
    let packages: BTreeMap<&PackageId, &Package> =
        metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let ours = metadata.workspace_packages().into_iter();
    let shipped = ours.filter(|package| SHIPPED.contains(&package.name.as_str()));
    let mut open: Vec<&PackageId> = shipped.map(|package| &package.id).collect();
    let mut edges = BTreeMap::new();
    while let Some(id) = open.pop() {
        if edges.contains_key(id) {
            continue;
        }
        let linked = nodes[id].iter().filter(|used| is_linked(used)).map(|used| &used.pkg);
        let uses: BTreeSet<&PackageId> = linked.filter(|used| !is_macro(packages[used])).collect();
        open.extend(&uses);
        edges.insert(id, uses);
    }
    Ok(edges)
}

fn is_linked(used: &NodeDep) -> bool {
    used.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal)
}

/// Whether the compiler runs it, so that nothing of it is in a program.
fn is_macro(package: &Package) -> bool {
    package.targets.iter().any(|target| target.is_proc_macro())
}

fn component(package: &Package) -> Result<Component> {
    let (name, version) = (package.name.as_str(), package.version.to_string());
    let mut component = Component::new(Classification::Library, name, &version, Some(reference(package)));
    // Ours are in no registry.
    if package.source.is_some() {
        component.purl = Some(Purl::new("cargo", name, &version)?);
    }
    if let Some(license) = &package.license {
        // `MIT/Apache-2.0` is how it was written once.
        let expression = SpdxExpression::parse_lax(license.clone())?;
        component.licenses = Some(Licenses(vec![LicenseChoice::Expression(expression)]));
    }
    Ok(component)
}

/// Returns the name by which the bill refers to a package.
fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use cyclonedx_bom::prelude::Validate;

    use super::*;
    use crate::dist::build::{HOST, resolve_target};

    /// For the machine's own target: crates of the others need not have been downloaded.
    fn metadata() -> Metadata {
        let target = resolve_target(HOST).unwrap();
        let options = ["--locked", "--offline", "--filter-platform", target.as_str()].map(str::to_owned);
        MetadataCommand::new().current_dir(crate::repository_root()).other_options(options).exec().unwrap()
    }

    #[test]
    fn the_bill_names_what_is_linked_and_not_what_builds_or_tests() {
        let bill = bill(&metadata(), "1.2.3").unwrap();
        let names: BTreeSet<String> =
            bill.components.as_ref().unwrap().0.iter().map(|component| component.name.to_string()).collect();
        for linked in ["quorate", "quorate-cli", "quorate-raft", "redb", "tonic", "clap", "aws-lc-sys"] {
            assert!(names.contains(linked), "{linked}");
        }
        for not_linked in ["xtask", "quorate-bench", "proptest", "cyclonedx-bom", "cmake", "serde_derive"] {
            assert!(!names.contains(not_linked), "{not_linked}");
        }
        assert!(bill.validate().passed(), "{:?}", bill.validate());
    }

    #[test]
    fn every_crate_has_a_licence() {
        for component in bill(&metadata(), "1.2.3").unwrap().components.unwrap().0 {
            assert!(component.licenses.is_some(), "{:?}", component.name);
        }
    }
}
