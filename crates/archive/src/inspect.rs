//! What an archive has, and whether it is what it was.

use crate::download::{Shelf, check_full};
use crate::name::{FullName, Name, cluster_of, directory_of};
use crate::{ArchiveError, Catalogue, Store};

/// What there is of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overview {
    /// The cluster.
    pub cluster: u64,
    /// All objects.
    pub catalogue: Catalogue,
    /// What can be restored: by when it begins, the oldest first.
    pub ranges: Vec<Range>,
}

/// Revisions without a gap, each of which can be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// The full backup that it begins with.
    pub full: FullName,
    /// Its last revision.
    pub to: i64,
}

/// An object that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The object.
    pub name: String,
    /// What is wrong.
    pub what: String,
}

/// What became of reading everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Objects read.
    pub objects: u64,
    /// Bytes read.
    pub bytes: u64,
    /// What is damaged.
    pub findings: Vec<Finding>,
}

/// Returns the clusters that an archive holds.
///
/// # Errors
/// Those of the store.
pub fn clusters(store: &dyn Store) -> Result<Vec<u64>, ArchiveError> {
    let mut clusters: Vec<u64> =
        store.directories()?.iter().filter_map(|directory| cluster_of(directory)).collect();
    clusters.sort_unstable();
    Ok(clusters)
}

/// Returns what there is of a cluster: of the one asked for, or of the only one.
///
/// # Errors
/// If it is not there, or there are several; and those of the store.
pub fn overview(store: &dyn Store, asked: Option<u64>) -> Result<Overview, ArchiveError> {
    let has = clusters(store)?;
    let cluster = match (asked, &has[..]) {
        (_, []) => return Err(ArchiveError::Empty(store.place())),
        (Some(asked), has) if has.contains(&asked) => asked,
        (Some(asked), _) => return Err(ArchiveError::NoSuchCluster { asked, has }),
        (None, [only]) => *only,
        (None, _) => return Err(ArchiveError::SeveralClusters(has)),
    };
    let catalogue = Catalogue::of(&store.list(&directory_of(cluster))?);
    let ranges = ranges(&catalogue);
    Ok(Overview { cluster, catalogue, ranges })
}

/// Puts together what leads on from one full backup to the next.
fn ranges(catalogue: &Catalogue) -> Vec<Range> {
    let mut ranges: Vec<(Range, Vec<(i64, u64)>)> = Vec::new();
    for (full, _) in &catalogue.fulls {
        let reached = catalogue.reachable([full]).into_iter().map(|piece| (piece.to, piece.after)).collect();
        let to = catalogue.newest_after(full);
        let node = (full.revision, full.chain);
        match ranges.iter_mut().find(|(_, nodes)| nodes.contains(&node)) {
            Some((range, nodes)) => {
                range.to = range.to.max(to);
                nodes.extend::<Vec<_>>(reached);
            }
            None => {
                let mut nodes: Vec<(i64, u64)> = reached;
                nodes.push(node);
                ranges.push((Range { full: full.clone(), to }, nodes));
            }
        }
    }
    ranges.into_iter().map(|(range, _)| range).collect()
}

/// Reads every object of a cluster and holds it against what it says of itself. `progress` gets
/// each name before it is read.
///
/// # Errors
/// Those of the store. What is damaged is a finding.
pub fn survey(
    store: &dyn Store,
    overview: &Overview,
    mut progress: impl FnMut(&str),
) -> Result<Survey, ArchiveError> {
    let directory = directory_of(overview.cluster);
    let shelf = Shelf { store, directory: &directory };
    let mut survey = Survey::default();
    for (full, bytes) in &overview.catalogue.fulls {
        let name = full.to_string();
        progress(&name);
        let checked = shelf.manifest(full).and_then(|manifest| {
            let read = shelf.read(&name, |_| Ok(()))?;
            check_full(full, &manifest, read)
        });
        survey.note(&name, *bytes, checked)?;
    }
    for (piece, bytes) in &overview.catalogue.pieces {
        let name = piece.to_string();
        progress(&name);
        let checked = shelf.piece(piece, |_| Ok(())).map(drop);
        survey.note(&name, *bytes, checked)?;
    }
    for half in &overview.catalogue.halves {
        let what = match half {
            Name::Full(_) => "it has no manifest: it is being written, or was not finished",
            _ => "it is the manifest of a backup that is not there",
        };
        survey.findings.push(Finding { name: half.to_string(), what: what.to_owned() });
    }
    Ok(survey)
}

impl Survey {
    fn note(
        &mut self,
        name: &str,
        bytes: u64,
        checked: Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        self.objects += 1;
        self.bytes += bytes;
        match checked {
            Err(ArchiveError::Damaged { name, why, .. }) => {
                self.findings.push(Finding { name, what: why });
                Ok(())
            }
            Err(ArchiveError::Store(crate::StoreError::NotFound(_))) => {
                let what = "it is not there any more".to_owned();
                self.findings.push(Finding { name: name.to_owned(), what });
                Ok(())
            }
            checked => checked,
        }
    }
}
