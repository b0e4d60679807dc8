//! The compares of a transaction.
//!
//! A compare is about one key, or, with a `range_end`, about every key of a range. Rules that surprise (semantics
//! contract, section 5):
//!
//! * where there is no key, it is compared as if version, revisions and lease were 0; a compare of the *value*,
//!   however, is then false whatever the operator, "not equal" included: protobuf cannot tell a missing value from an
//!   empty one;
//! * an operand that is missing, or of another kind than the target, is 0 or empty;
//! * a target that this version does not know compares as equal; an operator that it does not know is true.

use std::cmp::Ordering;

use mvcc::{KeyRange, Meta, RangeEnd};
use proto::etcdserverpb::Compare;
use proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};

use crate::range::key_range;
use crate::source::{Failure, Source, every_item};

/// Whether all compares hold in the state of the source. No compares at all hold.
pub(crate) fn all_hold(source: &impl Source, compares: &[Compare]) -> Result<bool, Failure> {
    for compare in compares {
        if !holds(source, compare)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn holds(source: &impl Source, compare: &Compare) -> Result<bool, Failure> {
    let by_value = compare.target == CompareTarget::Value as i32;
    let range = key_range(&compare.key, &compare.range_end);
    match (&range.end, by_value) {
        (RangeEnd::Single, false) => {
            let meta = source.meta(&compare.key)?.unwrap_or_default();
            Ok(number_holds(compare, &meta))
        }
        (RangeEnd::Single, true) => {
            let item = source.get(&compare.key)?;
            Ok(item.is_some_and(|item| value_holds(compare, item.value_bytes())))
        }
        _ => range_holds(source, compare, &range, by_value),
    }
}

fn range_holds(
    source: &impl Source,
    compare: &Compare,
    range: &KeyRange,
    by_value: bool,
) -> Result<bool, Failure> {
    if by_value {
        let every = every_item(source, range, false, &|item| value_holds(compare, item.value_bytes()))?;
        return Ok(every.unwrap_or(false));
    }
    let every = source.every_meta(range, &|meta| number_holds(compare, meta))?;
    Ok(every.unwrap_or_else(|| number_holds(compare, &Meta::default())))
}

fn value_holds(compare: &Compare, value: &[u8]) -> bool {
    let operand: &[u8] = match &compare.target_union {
        Some(TargetUnion::Value(operand)) => operand,
        _ => &[],
    };
    operator_holds(compare.result, value.cmp(operand))
}

fn number_holds(compare: &Compare, meta: &Meta) -> bool {
    let union = compare.target_union.as_ref();
    let (actual, operand) = match (CompareTarget::try_from(compare.target), union) {
        (Ok(CompareTarget::Version), Some(TargetUnion::Version(operand))) => (meta.version, *operand),
        (Ok(CompareTarget::Version), _) => (meta.version, 0),
        (Ok(CompareTarget::Create), Some(TargetUnion::CreateRevision(operand))) => {
            (meta.create_revision, *operand)
        }
        (Ok(CompareTarget::Create), _) => (meta.create_revision, 0),
        (Ok(CompareTarget::Mod), Some(TargetUnion::ModRevision(operand))) => {
            (meta.mod_revision.main, *operand)
        }
        (Ok(CompareTarget::Mod), _) => (meta.mod_revision.main, 0),
        (Ok(CompareTarget::Lease), Some(TargetUnion::Lease(operand))) => (meta.lease.0, *operand),
        (Ok(CompareTarget::Lease), _) => (meta.lease.0, 0),
        (Ok(CompareTarget::Value) | Err(_), _) => (0, 0),
    };
    operator_holds(compare.result, actual.cmp(&operand))
}

fn operator_holds(operator: i32, ordering: Ordering) -> bool {
    match CompareResult::try_from(operator) {
        Ok(CompareResult::Equal) => ordering.is_eq(),
        Ok(CompareResult::NotEqual) => ordering.is_ne(),
        Ok(CompareResult::Greater) => ordering.is_gt(),
        Ok(CompareResult::Less) => ordering.is_lt(),
        Err(_) => true,
    }
}
