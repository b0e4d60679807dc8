//! Transactions.

mod compare;
mod op;

use proto::etcdserverpb as pb;

pub use self::compare::{
    Compare, Operand, Subject, create_revision, exists, lease, missing, mod_revision, value, version,
};
pub use self::op::{Op, OpAnswer};
use crate::call::{Attached, Detached, awaited};
use crate::channel::OnlyReads;
use crate::kv::{DeleteAnswer, GetAnswer, Header, PutAnswer};

/// A transaction: if all conditions hold, the operations of `then` are done, else those of `or_else`; in one revision,
/// and seen by others as one. A call ([`Client::txn`](crate::Client::txn)), or an operation of another transaction
/// ([`txn`]).
///
/// ```no_run
/// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::Error> {
/// use quorate_client::{get, put, value};
/// let answer = client.txn().when([value("a").eq("1")]).then([put("b", "2")]).or_else([get("a")]).await?;
/// if !answer.succeeded {
///     println!("a is {:?}", answer.gets().next().and_then(|get| get.value()));
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Txn<S = Detached> {
    pub(crate) state: S,
    pub(crate) message: pb::TxnRequest,
}

/// Returns the operation that is a nested transaction.
pub fn txn() -> Txn {
    Txn { state: Detached, message: pb::TxnRequest::default() }
}

impl<S> Txn<S> {
    /// Adds conditions.
    pub fn when(mut self, conditions: impl IntoIterator<Item = Compare>) -> Self {
        self.message.compare.extend(conditions.into_iter().map(|condition| condition.0));
        self
    }

    /// Adds operations for the case that all conditions hold. For operations of several kinds call it several times, or
    /// convert them to [`Op`].
    pub fn then(mut self, operations: impl IntoIterator<Item = impl Into<Op>>) -> Self {
        self.message.success.extend(operations.into_iter().map(|operation| operation.into().0));
        self
    }

    /// Adds operations for the case that a condition does not hold.
    pub fn or_else(mut self, operations: impl IntoIterator<Item = impl Into<Op>>) -> Self {
        self.message.failure.extend(operations.into_iter().map(|operation| operation.into().0));
        self
    }
}

impl crate::Client {
    /// Begins a transaction. See [`Txn`].
    pub fn txn(&self) -> Txn<Attached> {
        Txn { state: Attached::new(self), message: pb::TxnRequest::default() }
    }
}

awaited!(Txn => TxnAnswer, kv.txn, mark_if_read);

/// Marks a transaction that only reads: it may be sent again.
fn mark_if_read(request: &mut tonic::Request<pb::TxnRequest>) {
    let message = request.get_ref();
    if message.success.iter().chain(&message.failure).all(op::is_read) {
        request.extensions_mut().insert(OnlyReads);
    }
}

/// The answer to a [`Txn`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TxnAnswer {
    /// Who answered, and the revision of the transaction if it changed something.
    pub header: Header,
    /// Whether all conditions held.
    pub succeeded: bool,
    /// The answers of the operations that were done, in their order.
    pub answers: Vec<OpAnswer>,
}

impl TxnAnswer {
    /// Returns the answers of the reads.
    pub fn gets(&self) -> impl Iterator<Item = &GetAnswer> {
        self.answers.iter().filter_map(|answer| match answer {
            OpAnswer::Get(get) => Some(get),
            _ => None,
        })
    }

    /// Returns the answers of the puts.
    pub fn puts(&self) -> impl Iterator<Item = &PutAnswer> {
        self.answers.iter().filter_map(|answer| match answer {
            OpAnswer::Put(put) => Some(put),
            _ => None,
        })
    }

    /// Returns the answers of the deletions.
    pub fn deletes(&self) -> impl Iterator<Item = &DeleteAnswer> {
        self.answers.iter().filter_map(|answer| match answer {
            OpAnswer::Delete(delete) => Some(delete),
            _ => None,
        })
    }
}

impl From<pb::TxnResponse> for TxnAnswer {
    fn from(answer: pb::TxnResponse) -> TxnAnswer {
        TxnAnswer {
            header: answer.header.into(),
            succeeded: answer.succeeded,
            answers: answer.responses.into_iter().filter_map(OpAnswer::new).collect(),
        }
    }
}
