//! Cursors that have read ahead, while the log is appended to, trimmed, truncated and closed.

use std::ops::Range;

use proglog_api::v1;
use proglog_log::{Batch, ErrorKind, Header, Log, LogOptions, Record, Records, StoredRecord};
use proglog_store::testing::SimDisk;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::support::{ALL_DURABILITIES, open_with, options};

#[derive(Debug, Clone)]
enum Op {
    Append(Vec<Record>),
    Trim(Index),
    Truncate(Index),
    Reset(u64),
    /// Returns a new cursor.
    Walk(Index),
    /// Advances one of them by this number of records.
    Step(Index, usize),
}

/// A record in each of the shapes that are read in their own way.
fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![9 => 0..600_usize, 2 => 0..30_000_usize, 1 => 200_000..900_000_usize];
    let key = prop::option::weighted(0.2, prop::collection::vec(any::<u8>(), 0..9));
    let timestamp = prop::option::weighted(0.2, any::<i64>());
    let headers = prop_oneof![4 => Just(0), 1 => 1..3_usize];
    (value, any::<u8>(), key, timestamp, headers).prop_map(
        |(len, byte, key, timestamp, headers)| {
            let header = Header {
                name: "name".into(),
                value: "value".into(),
            };
            let mut record = Record::from(v1::Record {
                timestamp,
                ..v1::Record::new(vec![byte; len])
            });
            record.key = key.map(Into::into);
            record.headers = vec![header; headers];
            record
        },
    )
}

fn op() -> impl Strategy<Value = Op> {
    let steps = prop_oneof![2 => 1..8_usize, 1 => 1..500_usize];
    prop_oneof![
        8 => prop::collection::vec(record(), 1..12).prop_map(Op::Append),
        1 => any::<Index>().prop_map(Op::Trim),
        1 => any::<Index>().prop_map(Op::Truncate),
        1 => (0..9_u64).prop_map(Op::Reset),
        6 => any::<Index>().prop_map(Op::Walk),
        16 => (any::<Index>(), steps).prop_map(|(walk, steps)| Op::Step(walk, steps)),
    ]
}

/// A log, and what it holds.
struct Model {
    log: Log,
    start: u64,
    records: Vec<Record>,
    walks: Vec<Walk>,
}

struct Walk {
    records: Records,
    next: u64,
    ended: bool,
}

impl Model {
    fn offsets(&self) -> Range<u64> {
        self.start..self.start + self.records.len() as u64
    }

    /// One of the offsets, or the end.
    fn any(&self, index: Index) -> u64 {
        self.start + index.index(self.records.len() + 1) as u64
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append(records) => {
                self.log.append_batch(Batch::from(records.clone())).unwrap();
                self.records.extend(records);
            }
            Op::Trim(index) => {
                let start = self.any(index);
                self.log.trim(start).unwrap();
                self.records
                    .drain(..usize::try_from(start - self.start).unwrap());
                self.start = start;
            }
            Op::Truncate(index) => {
                let end = self.any(index);
                self.log.truncate(end).unwrap();
                self.records
                    .truncate(usize::try_from(end - self.start).unwrap());
            }
            Op::Reset(by) => {
                self.start = self.offsets().end + by;
                self.log.reset(self.start).unwrap();
                self.records.clear();
            }
            Op::Walk(index) => {
                let next = self.any(index);
                let records = self.log.records(next..);
                let ended = false;
                self.walks.push(Walk {
                    records,
                    next,
                    ended,
                });
            }
            Op::Step(_, _) if self.walks.is_empty() => {}
            Op::Step(index, steps) => {
                let at = index.index(self.walks.len());
                let mut walk = self.walks.swap_remove(at);
                (0..steps).for_each(|step| self.step(&mut walk, step % 5 > 0));
                self.walks.push(walk);
            }
        }
    }

    fn step(&self, walk: &mut Walk, lend: bool) {
        let (offsets, next) = (self.offsets(), walk.next);
        let found = if lend {
            walk.records
                .next_ref()
                .map(|record| record.map(|record| record.to_record()))
        } else {
            walk.records.next()
        };
        match found {
            None => assert!(walk.ended || next == offsets.end),
            Some(Err(error)) => match error.kind() {
                ErrorKind::Trimmed => assert!(!walk.ended && next < offsets.start),
                ErrorKind::OutOfRange => assert!(!walk.ended && next > offsets.end),
                _ => panic!("{error:?} at {next} of {offsets:?}"),
            },
            Some(Ok(found)) => {
                assert!(
                    !walk.ended && offsets.contains(&next),
                    "{next} of {offsets:?}"
                );
                let written = &self.records[usize::try_from(next - offsets.start).unwrap()];
                let expected = StoredRecord::new(next, found.appended_at(), written.clone());
                assert!(found == expected, "at {next}");
                walk.next += 1;
                return;
            }
        }
        walk.ended = true;
    }

    fn close(self) {
        self.log.close().unwrap();
        for mut walk in self.walks {
            match walk.records.next_ref() {
                None => assert!(walk.ended),
                Some(Err(error)) if error.kind() == ErrorKind::Closed => assert!(!walk.ended),
                Some(found) => panic!("{found:?}"),
            }
            assert!(walk.records.next().is_none());
        }
    }
}

fn any_options() -> impl Strategy<Value = LogOptions> {
    let bytes = prop::sample::select(vec![64 << 10, 1 << 20, 64 << 20]);
    (prop::sample::select(&ALL_DURABILITIES[..]), bytes)
        .prop_map(|(durability, bytes)| options().durability(durability).segment_bytes_max(bytes))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_walk_yields_what_is_there_when_it_gets_there(
        options in any_options(),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let disk = SimDisk::new();
        let log = open_with(&disk, &options);
        let (records, walks) = (Vec::new(), Vec::new());
        let mut model = Model { log, start: 0, records, walks };
        for op in ops {
            model.apply(op);
        }
        model.close();
    }
}
