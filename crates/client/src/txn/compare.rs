//! Conditions of a transaction.

use bytes::Bytes;
use proto::etcdserverpb as pb;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use crate::kv::{IntoBytes, KeyRange};
use crate::number::{LeaseId, Revision};

/// A condition: of one key, or of every key of a range.
///
/// A key that does not exist has version, revisions and lease 0. It has no value: every condition about its value is
/// false, even that it is unequal to something.
///
/// ```
/// use quorate_client::{create_revision, prefix, value, version};
/// let conditions = [value("a").eq("1"), version("b").gt(3), create_revision(prefix("locks/")).lt(100)];
/// # let _ = conditions;
/// ```
#[derive(Debug, Clone, PartialEq)]
#[must_use]
pub struct Compare(pub(crate) pb::Compare);

/// What a condition is about; `eq`, `ne`, `gt` and `lt` complete it.
#[derive(Debug, Clone)]
#[must_use]
pub struct Subject<T> {
    keys: KeyRange,
    target: CompareTarget,
    operand: fn(T) -> TargetUnion,
}

impl<T> Subject<T> {
    fn is(self, result: CompareResult, operand: T) -> Compare {
        Compare(pb::Compare {
            result: result.into(),
            target: self.target.into(),
            key: self.keys.key,
            range_end: self.keys.end,
            target_union: Some((self.operand)(operand)),
        })
    }

    /// It is equal to this.
    pub fn eq(self, operand: impl Operand<T>) -> Compare {
        self.is(CompareResult::Equal, operand.into_operand())
    }

    /// It is unequal to this.
    pub fn ne(self, operand: impl Operand<T>) -> Compare {
        self.is(CompareResult::NotEqual, operand.into_operand())
    }

    /// It is greater than this.
    pub fn gt(self, operand: impl Operand<T>) -> Compare {
        self.is(CompareResult::Greater, operand.into_operand())
    }

    /// It is less than this.
    pub fn lt(self, operand: impl Operand<T>) -> Compare {
        self.is(CompareResult::Less, operand.into_operand())
    }
}

/// What something can be compared with: values with text and bytes, numbers with numbers.
pub trait Operand<T> {
    /// Returns it as it is compared.
    fn into_operand(self) -> T;
}

impl<V: IntoBytes> Operand<Bytes> for V {
    fn into_operand(self) -> Bytes {
        self.into_bytes()
    }
}

impl Operand<i64> for i64 {
    fn into_operand(self) -> i64 {
        self
    }
}

impl<R: Into<Revision>> Operand<Revision> for R {
    fn into_operand(self) -> Revision {
        self.into()
    }
}

impl<L: Into<LeaseId>> Operand<LeaseId> for L {
    fn into_operand(self) -> LeaseId {
        self.into()
    }
}

/// A condition about values.
pub fn value(keys: impl Into<KeyRange>) -> Subject<Bytes> {
    Subject { keys: keys.into(), target: CompareTarget::Value, operand: TargetUnion::Value }
}

/// A condition about how often a key was put since it was created.
pub fn version(keys: impl Into<KeyRange>) -> Subject<i64> {
    Subject { keys: keys.into(), target: CompareTarget::Version, operand: TargetUnion::Version }
}

/// A condition about the revision that created a key.
pub fn create_revision(keys: impl Into<KeyRange>) -> Subject<Revision> {
    let operand = |revision: Revision| TargetUnion::CreateRevision(revision.0);
    Subject { keys: keys.into(), target: CompareTarget::Create, operand }
}

/// A condition about the revision that last changed a key.
pub fn mod_revision(keys: impl Into<KeyRange>) -> Subject<Revision> {
    let operand = |revision: Revision| TargetUnion::ModRevision(revision.0);
    Subject { keys: keys.into(), target: CompareTarget::Mod, operand }
}

/// A condition about the lease that a key is attached to; 0 is none.
pub fn lease(keys: impl Into<KeyRange>) -> Subject<LeaseId> {
    Subject {
        keys: keys.into(),
        target: CompareTarget::Lease,
        operand: |lease: LeaseId| TargetUnion::Lease(lease.0),
    }
}

/// The condition that a key exists.
pub fn exists(key: impl IntoBytes) -> Compare {
    create_revision(key.into_bytes()).ne(0)
}

/// The condition that a key does not exist.
pub fn missing(key: impl IntoBytes) -> Compare {
    create_revision(key.into_bytes()).eq(0)
}
