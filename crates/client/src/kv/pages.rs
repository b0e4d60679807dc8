//! Large ranges in pages.

use bytes::{BufMut, Bytes, BytesMut};

use super::KeyValue;
use super::get::Get;
use crate::call::Attached;
use crate::error::Error;
use crate::number::Revision;

/// A range in pages, in the order of the keys, all of them as of one revision: that of the first page, or the one that
/// was asked for.
///
/// If that revision is compacted before the end, the next page fails with [`Error::Compacted`].
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let mut pages = client.get(quorate_client::prefix("/logs/")).page(1000);
/// while let Some(page) = pages.next().await? {
///     println!("{} keys", page.len());
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Pages {
    get: Get<Attached>,
    page: usize,
    /// How many keys are still to be read, if there is a limit.
    left: Option<usize>,
    is_at_end: bool,
}

impl Pages {
    pub(crate) fn new(mut get: Get<Attached>, page: usize) -> Pages {
        // Each page begins after the last key of the one before.
        (get.message.sort_order, get.message.sort_target) = (0, 0);
        let left = usize::try_from(get.message.limit).ok().filter(|limit| *limit > 0);
        Pages { get, page: page.max(1), left, is_at_end: false }
    }

    /// Returns the next page, and `None` after the last one.
    ///
    /// # Errors
    /// As any read; the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Vec<KeyValue>>, Error> {
        if self.is_at_end || self.left == Some(0) {
            return Ok(None);
        }
        let size = self.page.min(self.left.unwrap_or(usize::MAX));
        let answer = self.get.clone().limit(size).await?;
        if self.get.message.revision == 0 {
            self.get.message.revision = answer.header.revision.0;
        }
        self.is_at_end = !answer.more;
        self.left = self.left.map(|left| left.saturating_sub(answer.kvs.len()));
        match answer.kvs.last() {
            None => Ok(None),
            Some(last) => {
                self.get.message.key = after(&last.key);
                Ok(Some(answer.kvs))
            }
        }
    }

    /// Returns the revision that all pages are of, once the first one was read.
    pub fn revision(&self) -> Option<Revision> {
        (self.get.message.revision > 0).then_some(Revision(self.get.message.revision))
    }
}

/// Returns the least key after this one.
fn after(key: &[u8]) -> Bytes {
    let mut next = BytesMut::with_capacity(key.len() + 1);
    next.put_slice(key);
    next.put_u8(0);
    next.freeze()
}
