//! The log against a naive model of it: any sequence of calls, each answer compared.

#![allow(clippy::unwrap_used)] // the helpers of a test are a test

mod support;

use proptest::prelude::*;
use support::{budget, open_with};
use wal::{Head, Position, SimDisk, Wal};

const SEGMENT_BYTES: u64 = 8 * 512;

#[derive(Debug, Clone)]
enum Call {
    Append {
        kind: u8,
        tag: u64,
        parts: Vec<Vec<u8>>,
    },
    Flush,
    Sync,
    Witness,
    Prepare,
    Roll,
    /// Cut at the so-manieth record, modulo how many there are.
    Truncate(prop::sample::Index),
    /// Release the segments before that of the so-manieth record.
    Release(prop::sample::Index),
    Reopen,
    Read(prop::sample::Index),
    ScanFrom(prop::sample::Index),
}

fn call() -> impl Strategy<Value = Call> {
    let byte = prop_oneof![Just(0u8), Just(0xff), Just(0xa7), any::<u8>()];
    let part = prop_oneof![
        4 => prop::collection::vec(byte.clone(), 0..80),
        2 => prop::collection::vec(byte, 350..700),
        1 => (0usize..3000).prop_map(|len| vec![0; len]),
    ];
    let append = (any::<u8>(), any::<u64>(), prop::collection::vec(part, 0..3));
    prop_oneof![
        10 => append.prop_map(|(kind, tag, parts)| Call::Append { kind, tag, parts }),
        2 => Just(Call::Flush),
        4 => Just(Call::Sync),
        1 => Just(Call::Witness),
        1 => Just(Call::Prepare),
        1 => Just(Call::Roll),
        2 => any::<prop::sample::Index>().prop_map(Call::Truncate),
        1 => any::<prop::sample::Index>().prop_map(Call::Release),
        1 => Just(Call::Reopen),
        2 => any::<prop::sample::Index>().prop_map(Call::Read),
        2 => any::<prop::sample::Index>().prop_map(Call::ScanFrom),
    ]
}

/// The log as a list.
#[derive(Default)]
struct Model {
    records: Vec<(Position, Head, Vec<u8>)>,
}

impl Model {
    fn apply(&mut self, disk: &SimDisk, wal: &mut Option<Wal>, call: Call) {
        let log = wal.as_mut().unwrap();
        match call {
            Call::Append { kind, tag, parts } => self.append(log, kind, tag, &parts),
            Call::Flush => log.flush().unwrap(),
            Call::Sync => assert_eq!(log.sync().unwrap(), log.end()),
            Call::Witness => log.witness().unwrap(),
            Call::Prepare => log.prepare_next().unwrap(),
            Call::Roll => log.roll().unwrap(),
            Call::Truncate(at) => {
                let Some(keep) = self.pick(&at) else { return };
                log.truncate_to(self.records[keep].0).unwrap();
                self.records.truncate(keep);
            }
            Call::Release(at) => {
                let Some(first) = self.pick(&at) else { return };
                let segment = self.records[first].0.segment;
                log.release_before(segment).unwrap();
                self.records.retain(|record| record.0.segment >= segment);
            }
            Call::Reopen => {
                log.flush().unwrap();
                *wal = None;
                *wal = Some(open_with(disk, SEGMENT_BYTES).unwrap().0);
            }
            Call::Read(at) => self.read(log, &at),
            Call::ScanFrom(at) => self.scan(log, &at),
        }
    }

    fn append(&mut self, log: &mut Wal, kind: u8, tag: u64, parts: &[Vec<u8>]) {
        let head = Head { kind, number: self.records.len() as u64, tag };
        let payload = parts.concat();
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        let position = log.append(head, &parts).unwrap();
        self.records.push((position, head, payload));
    }

    fn pick(&self, at: &prop::sample::Index) -> Option<usize> {
        (!self.records.is_empty()).then(|| at.index(self.records.len()))
    }

    fn read(&self, log: &mut Wal, at: &prop::sample::Index) {
        let Some(at) = self.pick(at) else { return };
        log.flush().unwrap();
        let (position, head, payload) = &self.records[at];
        let record = log.reader().read(*position).unwrap();
        assert_eq!((record.position, record.head), (*position, *head));
        assert_eq!(record.payload, payload);
    }

    fn scan(&self, log: &mut Wal, at: &prop::sample::Index) {
        let Some(at) = self.pick(at) else { return };
        log.flush().unwrap();
        let found: Vec<_> = log
            .reader()
            .scan(self.records[at].0)
            .map(Result::unwrap)
            .map(|record| (record.position, record.head, record.payload.to_vec()))
            .collect();
        assert_eq!(found, self.records[at..]);
        let ids: Vec<u64> = log.segments().iter().map(|segment| segment.id).collect();
        assert!(ids.is_sorted() && self.records.iter().all(|record| ids.contains(&record.0.segment)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: u32::try_from(200 * budget()).unwrap_or(u32::MAX),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_log_does_what_a_list_does(calls in prop::collection::vec(call(), 1..60)) {
        let disk = SimDisk::new(1);
        let mut wal = Some(open_with(&disk, SEGMENT_BYTES).unwrap().0);
        let mut model = Model::default();
        for call in calls {
            model.apply(&disk, &mut wal, call);
        }
        let mut wal = wal.unwrap();
        wal.sync().unwrap();
        drop(wal);
        let (wal, recovery) = open_with(&disk.crash(wal::Crash::LoseAll), SEGMENT_BYTES).unwrap();
        prop_assert_eq!(recovery.torn, None);
        let found: Vec<_> = wal.reader().scan_all().map(Result::unwrap).collect();
        prop_assert_eq!(found.len(), model.records.len());
        for (record, (position, head, payload)) in found.iter().zip(&model.records) {
            prop_assert_eq!((&record.position, &record.head), (position, head));
            prop_assert_eq!(&record.payload, payload);
        }
    }
}
