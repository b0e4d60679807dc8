//! A snapshot of the source, in a file without a name.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use backup::restore::Content;

use super::Fault;
use super::source::Source;

/// How long the source may be silent in the middle of a snapshot.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Fetches a snapshot and checks it. This thread serves nobody else, so it may wait for the disk.
pub(super) async fn fetch(source: &Source, dir: &Path) -> Result<Content, Fault> {
    let mut file = tempfile::tempfile_in(dir).map_err(|error| local(dir, &error))?;
    let mut pieces = source.snapshot().await?;
    loop {
        let piece = tokio::time::timeout(SILENCE_MAX, pieces.message()).await;
        let piece = piece.map_err(|_| Fault::Source("the snapshot: it does not go on".to_owned()))?;
        match piece.map_err(|status| Fault::of_call("the snapshot", &status))? {
            Some(piece) => file.write_all(&piece.blob).map_err(|error| local(dir, &error))?,
            None => break,
        }
    }
    let opened = tokio::task::spawn_blocking(move || Content::open(file)).await;
    let opened = opened.map_err(|error| Fault::Source(error.to_string()))?;
    opened.map_err(|error| Fault::Source(format!("the snapshot: {error}")))
}

fn local(dir: &Path, error: &std::io::Error) -> Fault {
    Fault::Source(format!("the snapshot cannot be kept in {}: {error}", dir.display()))
}
