//! Keys at the cursor, one segment of their path at a time, as shells complete the names of files.

use std::future::Future;

use super::super::range::prefix_end;

/// What ends a segment of a path.
const SEPARATOR: u8 = b'/';

/// The keys that are read at once.
pub(super) const PAGE: usize = 256;

/// The candidates that are looked for. Nobody reads more.
const CANDIDATES_MAX: usize = 200;

/// Returns the keys that begin with `typed`, each cut after the next separator. `read` returns the first keys, at most
/// [`PAGE`] of them, of a range; when it fails, what was found before is returned.
///
/// A segment with more keys than a page is skipped in one step, so that a million keys in ten directories take ten
/// calls.
pub(super) async fn segments<F>(typed: &str, read: impl Fn(Vec<u8>, Vec<u8>) -> F) -> Vec<String>
where
    F: Future<Output = Option<Vec<Vec<u8>>>>,
{
    let typed = typed.as_bytes();
    let end = prefix_end(typed).to_vec();
    let mut from = if typed.is_empty() { b"\0".to_vec() } else { typed.to_vec() };
    let mut found: Vec<String> = Vec::new();
    while found.len() < CANDIDATES_MAX {
        let Some(keys) = read(from.clone(), end.clone()).await else { break };
        for key in &keys {
            let segment = segment(key, typed.len());
            if found.last().is_none_or(|last| last.as_bytes() != segment) {
                found.extend(readable(segment));
            }
        }
        match keys.last() {
            Some(last) if keys.len() == PAGE => from = after(last, segment(last, typed.len())),
            _ => break,
        }
    }
    found
}

/// Returns the beginning of a key up to and with the first separator behind what is typed.
fn segment(key: &[u8], typed_bytes: usize) -> &[u8] {
    let rest = key.get(typed_bytes..).unwrap_or_default();
    rest.iter().position(|byte| *byte == SEPARATOR).map_or(key, |at| &key[..=typed_bytes + at])
}

/// Returns the first key that is not in the segment of `key`.
fn after(key: &[u8], segment: &[u8]) -> Vec<u8> {
    if segment.last() == Some(&SEPARATOR) && segment.len() < key.len() {
        return prefix_end(segment).to_vec();
    }
    [key, b"\0"].concat()
}

/// Returns a key that can be typed.
fn readable(key: &[u8]) -> Option<String> {
    let key = std::str::from_utf8(key).ok()?;
    (!key.chars().any(|character| character.is_control() || character == ' ')).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Completes `typed` among these keys, and counts the calls.
    async fn completed(typed: &str, keys: &[String]) -> (Vec<String>, usize) {
        let calls = Cell::new(0);
        let read = |from: Vec<u8>, end: Vec<u8>| {
            calls.set(calls.get() + 1);
            let mut keys: Vec<Vec<u8>> = keys.iter().map(|key| key.clone().into_bytes()).collect();
            keys.sort();
            keys.retain(|key| *key >= from && (end == b"\0" || *key < end));
            keys.truncate(PAGE);
            async { Some(keys) }
        };
        let found = segments(typed, read).await;
        (found, calls.get())
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(|key| (*key).to_owned()).collect()
    }

    #[tokio::test]
    async fn one_segment_is_completed_at_a_time() {
        let keys = keys(&["/a/1", "/a/2/x", "/b", "/b/c", "other", "/a/with space", "/a/\u{7}"]);
        assert_eq!(completed("", &keys).await.0, ["/", "other"]);
        assert_eq!(completed("/", &keys).await.0, ["/a/", "/b", "/b/"]);
        assert_eq!(completed("/a/", &keys).await.0, ["/a/1", "/a/2/"]);
        assert_eq!(completed("/a/2/", &keys).await.0, ["/a/2/x"]);
        assert!(completed("/c", &keys).await.0.is_empty());
    }

    #[tokio::test]
    async fn a_segment_with_many_keys_is_skipped() {
        let mut all: Vec<String> = (0..5000).map(|at| format!("/a/{at:05}")).collect();
        all.extend(keys(&["/b/1", "/c"]));
        assert_eq!(completed("/", &all).await, (keys(&["/a/", "/b/", "/c"]), 2));
        let (found, calls) = completed("/a/", &all).await;
        assert!((CANDIDATES_MAX..CANDIDATES_MAX + PAGE).contains(&found.len()) && calls == 1, "{calls}");
    }
}
