//! Forgetting history.

use proto::etcdserverpb as pb;

use super::answer::CompactAnswer;
use crate::call::{Attached, awaited};
use crate::number::Revision;

/// The end of the history before a revision: later reads and watches of it fail as compacted.
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// let now = client.get("k").await?.header.revision;
/// client.compact(now).physical().await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Compact<S = Attached> {
    pub(crate) state: S,
    pub(crate) message: pb::CompactionRequest,
}

impl<S> Compact<S> {
    /// Has the call wait until the history is gone from the member's database.
    pub fn physical(mut self) -> Self {
        self.message.physical = true;
        self
    }
}

impl crate::Client {
    /// Ends the history before a revision. See [`Compact`].
    pub fn compact(&self, revision: impl Into<Revision>) -> Compact {
        let message = pb::CompactionRequest { revision: revision.into().0, physical: false };
        Compact { state: Attached::new(self), message }
    }
}

awaited!(Compact => CompactAnswer, kv.compact);
