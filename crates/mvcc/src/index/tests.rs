//! The index against the standard library's ordered map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn entry(version: i64) -> Entry {
    Entry { version, ..Entry::default() }
}

fn key(number: u16) -> Vec<u8> {
    // Different lengths, common prefixes.
    format!("/k/{:0width$}", number, width = usize::from(number % 3)).into_bytes()
}

#[derive(Debug, Clone)]
enum Step {
    Insert(u16, i64),
    Remove(u16),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..2000u16, 0..3i64).prop_map(|(key, version)| Step::Insert(key, version)),
        2 => (0..2000u16).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..3000)
}

fn range_of(start: u16, end: u16) -> KeyRange {
    match end % 7 {
        0 => KeyRange::single(key(start)),
        1 => KeyRange::from(key(start)),
        _ => KeyRange::between(key(start), key(end)),
    }
}

fn contents(index: &Index, start: &[u8], range: &KeyRange) -> Vec<(Vec<u8>, i64)> {
    let mut found = Vec::new();
    index.scan(start, range, &mut |key, entry| {
        found.push((key.to_vec(), entry.version));
        ControlFlow::Continue(())
    });
    found
}

fn check_against(index: &Index, model: &BTreeMap<Vec<u8>, i64>, start: u16, end: u16) {
    let range = range_of(start, end);
    let in_range: Vec<_> = model
        .iter()
        .filter(|(key, _)| range.contains(key))
        .map(|(key, &version)| (key.clone(), version))
        .collect();
    assert_eq!(contents(index, &[], &range), in_range);
    let live = in_range.iter().filter(|(_, version)| *version != 0).count() as u64;
    assert_eq!(index.count(&range), live, "{range:?}");
    assert_eq!(index.get(&key(start)).map(|entry| entry.version), model.get(&key(start)).copied());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_holds_what_an_ordered_map_holds_and_counts_it(
        steps in steps(),
        ranges in prop::collection::vec((0..2000u16, 0..2000u16), 20),
    ) {
        let (mut index, mut model) = (Index::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(number, version) => {
                    let old = index.insert(&key(number), entry(version));
                    assert_eq!(old.map(|old| old.version), model.insert(key(number), version));
                }
                Step::Remove(number) => {
                    let old = index.remove(&key(number));
                    assert_eq!(old.map(|old| old.version), model.remove(&key(number)));
                }
            }
        }
        index.check_invariants();
        for (start, end) in ranges {
            check_against(&index, &model, start, end);
        }
    }

    #[test]
    fn built_from_sorted_keys_it_is_the_same(len in 0..10_000u32) {
        let mut builder = Builder::default();
        let mut model = BTreeMap::new();
        for number in 0..len {
            let key = format!("{number:08}").into_bytes();
            builder.push(&key, entry(i64::from(number % 3)));
            model.insert(key, i64::from(number % 3));
        }
        let index = builder.finish();
        index.check_invariants();
        assert_eq!(contents(&index, &[], &KeyRange::all()), model.into_iter().collect::<Vec<_>>());
    }
}

fn leaves(index: &Index) -> usize {
    fn count(node: &Node) -> usize {
        match node {
            Node::Leaf(_) => 1,
            Node::Branch(branch) => (0..branch.len()).map(|position| count(branch.child(position))).sum(),
        }
    }
    count(&index.root)
}

/// An index of these keys; how many there are, and how many leaves they would fill.
fn filled(keys: impl Iterator<Item = u32>) -> (Index, usize) {
    let mut index = Index::default();
    for number in keys {
        index.insert(&number.to_be_bytes(), entry(1));
    }
    index.check_invariants();
    let full = (index.live() as usize).div_ceil(NODE_MAX);
    (index, full)
}

#[test]
fn keys_in_ascending_order_fill_their_leaves() {
    let (index, full) = filled(0..100_000);
    assert_eq!(leaves(&index), full);
}

/// As they come from many clients that count together: each is up to 64 places early or late.
#[test]
fn keys_nearly_in_order_fill_most_of_their_leaves() {
    let shuffled = (0..100_000u32).map(|number| number / 64 * 64 + number % 64 * 37 % 64);
    let (index, full) = filled(shuffled.map(|number| number ^ 32));
    assert!(leaves(&index) * 4 <= full * 5, "{} leaves for {full}", leaves(&index));
}

#[test]
fn keys_in_any_order_fill_three_quarters_of_their_leaves() {
    let (index, full) = filled((0..100_000u32).map(|number| number.wrapping_mul(2_654_435_761)));
    assert!(leaves(&index) * 3 <= full * 4, "{} leaves for {full}", leaves(&index));
}

#[test]
fn emptied_it_is_one_leaf() {
    let mut index = Index::default();
    (0..10_000u32).for_each(|number| assert!(index.insert(&number.to_be_bytes(), entry(1)).is_none()));
    (0..10_000u32).for_each(|number| assert!(index.remove(&number.to_be_bytes()).is_some()));
    index.check_invariants();
    assert_eq!(index.live(), 0);
    assert!(matches!(&index.root, Node::Leaf(leaf) if leaf.len() == 0));
}
