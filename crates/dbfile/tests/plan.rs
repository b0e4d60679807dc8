//! What a plan refuses, and a writer whose rows are not those planned.

#![allow(clippy::unwrap_used)] // helpers of tests are tests, too

mod support;

use dbfile::{Layout, PageSize, Plan, WriteError};

fn layout(buckets: &[(&str, &[(usize, usize)])]) -> Layout {
    let mut plan = Plan::new(PageSize::default());
    for (name, rows) in buckets {
        plan.bucket(name.as_bytes()).unwrap();
        rows.iter().for_each(|(key, value)| plan.row(*key, *value).unwrap());
    }
    plan.finish()
}

/// Writes buckets with rows of text to a layout.
fn write(layout: Layout, buckets: &[(&str, &[(&str, &str)])]) -> Result<(), WriteError> {
    let mut out = Vec::new();
    let mut writer = layout.begin(&mut out);
    for (name, rows) in buckets {
        writer.bucket(name.as_bytes(), &mut out)?;
        for (key, value) in *rows {
            writer.row(key.as_bytes(), value.as_bytes(), &mut out)?;
        }
    }
    writer.finish(&mut out).map(drop)
}

#[test]
fn rows_that_are_not_those_planned_end_without_a_digest() {
    let planned = || layout(&[("a", &[(1, 2), (1, 3)]), ("b", &[])]);
    let rows = |rows, found: &str| {
        let error = write(planned(), &[("a", rows), ("b", &[])]).unwrap_err().to_string();
        let expected = format!(
            "the rows of bucket \"a\" are not those planned: {found} instead of 2 rows with 7 bytes on 1 pages"
        );
        assert_eq!(error, expected);
    };
    write(planned(), &[("a", &[("k", "vv"), ("l", "vvv")]), ("b", &[])]).unwrap();
    rows(&[], "0 rows with 0 bytes on 1 pages");
    rows(&[("k", "vv")], "1 rows with 3 bytes on 1 pages");
    rows(&[("k", "vv"), ("l", "vv")], "2 rows with 6 bytes on 1 pages");
    rows(&[("k", "vv"), ("l", "vvv"), ("m", "")], "3 rows with 8 bytes on 1 pages");
    let long = "v".repeat(5000);
    rows(&[("k", "vv"), ("l", &long)], "2 rows with 5004 bytes on 4 pages");
}

/// The same number of rows and bytes, on other pages.
#[test]
fn rows_of_other_lengths_are_noticed_by_their_pages() {
    let layout = layout(&[("a", &[(1, 4000), (1, 4000), (1, 10)])]);
    let (short, long) = ("v".repeat(2000), "v".repeat(6010));
    let error = write(layout, &[("a", &[("k", &short), ("l", &long), ("m", "")])]).unwrap_err();
    assert!(matches!(error, WriteError::RowsNotPlanned { .. }), "{error}");
}

#[test]
fn buckets_that_are_not_those_planned_are_refused() {
    let planned = || layout(&[("a", &[]), ("b", &[])]);
    let error = |buckets: &[&str]| {
        let buckets: Vec<(&str, &[(&str, &str)])> = buckets.iter().map(|name| (*name, &[][..])).collect();
        write(planned(), &buckets).unwrap_err().to_string()
    };
    assert_eq!(error(&["a"]), "the plan has bucket \"b\" next, not \"\"");
    assert_eq!(error(&["b"]), "the plan has bucket \"a\" next, not \"b\"");
    assert_eq!(error(&["a", "b", "c"]), "the plan has bucket \"\" next, not \"c\"");
}

#[test]
fn rows_are_written_in_order_and_each_once() {
    for key in ["k", "j", ""] {
        let layout = layout(&[("a", &[(1, 0), (1, 0)])]);
        let error = write(layout, &[("a", &[("k", ""), (key, "")])]).unwrap_err();
        let is_refused = matches!(error, WriteError::KeyOrder { .. } | WriteError::KeyLength { bytes: 0 });
        assert!(is_refused, "{error}");
    }
}

#[test]
fn lengths_that_bbolt_does_not_have_are_refused() {
    let mut plan = Plan::new(PageSize::default());
    assert_eq!(plan.row(1, 1), Err(WriteError::NoBucket));
    assert_eq!(plan.bucket(b""), Err(WriteError::KeyLength { bytes: 0 }));
    plan.bucket(b"b").unwrap();
    let order = WriteError::BucketOrder { name: b"b".to_vec(), before: b"b".to_vec() };
    assert_eq!(plan.bucket(b"b"), Err(order));
    assert_eq!(plan.row(0, 1), Err(WriteError::KeyLength { bytes: 0 }));
    assert_eq!(plan.row(32769, 1), Err(WriteError::KeyLength { bytes: 32769 }));
    plan.row(32768, 0).unwrap();
    // Header, element, key and value together stay below 2 GiB by the largest page.
    let max = (1 << 31) - (1 << 24) - 1 - 16 - 16 - 1;
    plan.row(1, max).unwrap();
    assert_eq!(plan.row(1, max + 1), Err(WriteError::ValueLength { bytes: max + 1 }));
    assert_eq!(plan.row(1, usize::MAX), Err(WriteError::ValueLength { bytes: usize::MAX }));
    // Two leaves, and a branch that has the first key of each.
    assert_eq!(plan.finish().pages(), 4 + 9 + (1 << 19) - (1 << 12) + 9);
}

/// What a plan of ten million rows takes is a few pages of lengths.
#[test]
fn many_rows_are_planned() {
    let mut plan = Plan::new(PageSize::default());
    plan.bucket(b"key").unwrap();
    for _ in 0..1_000_000 {
        plan.row(17, 100).unwrap();
    }
    let layout = plan.finish();
    // 30 rows a leaf, 123 leaves a branch, 123 branches a branch.
    let leaves = 1_000_000_u64.div_ceil(30);
    let branches = leaves.div_ceil(123);
    assert_eq!(layout.pages(), 4 + leaves + branches + branches.div_ceil(123) + 1);
    assert_eq!(layout.db_bytes() + 32, layout.file_bytes());
}
