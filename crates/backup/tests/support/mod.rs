//! Files as an etcd writes them, of histories that are made up.

use std::collections::BTreeMap;

use dbfile::etcd::{KeyValue, MetaRows, RevisionKey, bucket};
use dbfile::{PageSize, Plan};
use testkit::Random;

/// A row: key and value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// A change as a row has it.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) revision: RevisionKey,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Change {
    pub(crate) fn row(&self) -> Row {
        (self.revision.bytes().to_vec(), self.value.clone())
    }
}

/// Puts and deletes of some keys up to a main revision, several in a transaction, each as an etcd records it.
pub(crate) fn history(random: &mut Random, newest: i64, keys: usize) -> Vec<Change> {
    let mut live: BTreeMap<Vec<u8>, (i64, i64)> = BTreeMap::new();
    let mut changes = Vec::new();
    for main in 2..=newest {
        for sub in 0..=random.below(3) as i64 {
            let key = format!("key/{}", random.below(keys)).into_bytes();
            let is_delete = random.below(4) == 0 && live.contains_key(&key);
            let revision = RevisionKey { main, sub, is_delete };
            let value = if is_delete {
                live.remove(&key);
                KeyValue { key: &key, ..KeyValue::default() }.encoded()
            } else {
                let (create_revision, version) =
                    *live.entry(key.clone()).and_modify(|life| life.1 += 1).or_insert((main, 1));
                let text = vec![b'v'; random.below(300)];
                let lease = if random.below(5) == 0 { 7 } else { 0 };
                let put =
                    KeyValue { key: &key, create_revision, mod_revision: main, version, value: &text, lease };
                put.encoded()
            };
            changes.push(Change { revision, key, value });
        }
    }
    changes
}

/// What an etcd leaves of a history after a compaction; deletes at its revision are kept by newer ones.
pub(crate) fn compacted(history: &[Change], at: i64, keeps_deletes: bool) -> Vec<Change> {
    let until = history.iter().filter(|change| change.revision.main <= at);
    let newest: BTreeMap<&[u8], RevisionKey> =
        until.map(|change| (&change.key[..], change.revision)).collect();
    let is_kept = |change: &&Change| {
        let RevisionKey { main, is_delete, .. } = change.revision;
        main > at
            || (!is_delete && newest[&change.key[..]] == change.revision)
            || (keeps_deletes && is_delete && main == at)
    };
    history.iter().filter(is_kept).cloned().collect()
}

/// The lease that some keys are attached to.
pub(crate) fn lease() -> Row {
    use prost::Message;
    let lease = proto::leasepb::Lease { id: 7, ttl: 3_600, remaining_ttl: 60 };
    (dbfile::etcd::lease_key(7).to_vec(), lease.encode_to_vec())
}

/// A backup file with these versions, and other buckets.
pub(crate) fn file(rows: &[Row], meta: &MetaRows, others: &[(&[u8], Vec<Row>)]) -> Vec<u8> {
    let meta = meta.rows().into_iter().map(|(name, value)| (name.to_vec(), value)).collect();
    let mut buckets: Vec<(&[u8], Vec<Row>)> = vec![(bucket::KEY, rows.to_vec()), (bucket::META, meta)];
    buckets.extend(others.iter().cloned());
    buckets.sort_by_key(|(name, _)| *name);
    let mut plan = Plan::new(PageSize::default());
    for (name, rows) in &buckets {
        plan.bucket(name).unwrap();
        rows.iter().for_each(|(key, value)| plan.row(key.len(), value.len()).unwrap());
    }
    let mut file = Vec::new();
    let mut writer = plan.finish().begin(&mut file);
    for (name, rows) in &buckets {
        writer.bucket(name, &mut file).unwrap();
        rows.iter().for_each(|(key, value)| writer.row(key, value, &mut file).unwrap());
    }
    writer.finish(&mut file).unwrap();
    file
}
