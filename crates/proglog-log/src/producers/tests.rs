//! Tests of the table, row by row, and against a model that keeps everything.

use proptest::prelude::*;

use super::*;
use crate::record::Record;

const LOG_ID: u128 = 7;

fn producer(id: &str, epoch: u64, sequence: u64) -> Producer {
    Producer::new(id, epoch, sequence).unwrap()
}

fn time(hours: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(hours)
}

fn offsets(start: u64, count: u32) -> Offsets {
    Offsets::new(Offset::new(start), Offset::new(start + u64::from(count)))
}

/// A table that has accepted batches of `a` in epoch 1: sequence numbers 0 to 3, 3 to 5, and 5 to 9, at offsets 10, 13
/// and 15.
fn table() -> Producers {
    let mut producers = Producers::new();
    for (sequence, count, offset) in [(0, 3, 10), (3, 2, 13), (5, 4, 15)] {
        let producer = producer("a", 1, sequence);
        assert_eq!(producers.check(&producer, count, time(0)), Ok(Checked::New));
        producers.accept(&producer, offsets(offset, count), time(0));
    }
    producers
}

#[test]
fn each_batch_is_new_repeated_or_refused() {
    let producers = table();
    let check = |id, epoch, sequence, count| {
        producers.check(&producer(id, epoch, sequence), count, time(0))
    };
    let repeated = |start, count| Ok(Checked::Repeated(Some(offsets(start, count))));
    // Not known.
    assert_eq!(check("b", 0, 0, 1), Ok(Checked::New));
    assert_eq!(check("b", 9, 0, 1), Ok(Checked::New));
    assert_eq!(check("b", 0, 1, 1), Err(Refused::Unknown));
    // Another epoch.
    assert_eq!(check("a", 0, 9, 1), Err(Refused::Fenced { epoch: 1 }));
    assert_eq!(check("a", 2, 0, 1), Ok(Checked::New));
    assert_eq!(check("a", 2, 9, 1), Err(Refused::Gap { expected: 0 }));
    // The same epoch.
    assert_eq!(check("a", 1, 9, 1), Ok(Checked::New));
    assert_eq!(check("a", 1, 10, 1), Err(Refused::Gap { expected: 9 }));
    assert_eq!(check("a", 1, 0, 3), repeated(10, 3));
    assert_eq!(check("a", 1, 5, 4), repeated(15, 4));
    assert_eq!(
        check("a", 1, 0, 5),
        Ok(Checked::Repeated(None)),
        "in two batches"
    );
    assert_eq!(check("a", 1, 5, 5), Err(Refused::Overlap { expected: 9 }));
    assert_eq!(check("a", 1, u64::MAX, 1), Err(Refused::Exhausted));
    let progress = Progress {
        epoch: 1,
        next_sequence: 9,
        last_offset: Offset::new(18),
    };
    assert_eq!(producers.get("a"), Some(progress));
    assert_eq!(producers.get("b"), None);
}

#[test]
fn the_offsets_of_the_newest_five_batches_are_known() {
    let mut producers = Producers::new();
    for sequence in 0..7 {
        producers.accept(
            &producer("a", 0, sequence),
            offsets(sequence * 10, 1),
            time(0),
        );
    }
    for sequence in 0..7 {
        let known = (sequence >= 2).then(|| offsets(sequence * 10, 1));
        let checked = producers.check(&producer("a", 0, sequence), 1, time(0));
        assert_eq!(checked, Ok(Checked::Repeated(known)));
    }
}

#[test]
fn a_batch_that_was_not_appended_is_taken_back_with_all_after_it() {
    let before = table();
    let mut producers = before.clone();
    producers.settle(Offset::new(19));
    producers.accept(&producer("b", 0, 0), offsets(19, 1), time(0));
    let with_b = producers.clone();
    producers.accept(&producer("a", 2, 0), offsets(20, 2), time(0));
    producers.accept(&producer("b", 0, 1), offsets(22, 1), time(0));
    producers.accept(&producer("c", 0, 0), offsets(23, 1), time(0));
    producers.take_back(Offset::new(24));
    assert_eq!(producers.len(), 3);
    producers.take_back(Offset::new(20));
    assert_eq!(producers, with_b);
    producers.take_back(Offset::new(0));
    assert_eq!(producers, before, "what is settled stays");
}

#[test]
fn batches_below_the_end_that_is_settled_are_kept_and_the_one_at_it_is_not() {
    let mut producers = table();
    producers.settle(Offset::new(15));
    producers.take_back(Offset::ZERO);
    let progress = producers.get("a").unwrap();
    assert_eq!(
        (progress.next_sequence, progress.last_offset.get()),
        (5, 14)
    );
}

#[test]
fn a_full_table_forgets_the_producer_unused_for_longest_and_none_of_the_last_hour() {
    let mut producers = Producers::new();
    let mut offset = 0;
    let mut accept = |producers: &mut Producers, id: &str, hours| {
        producers.accept(&producer(id, 0, 0), offsets(offset, 1), time(hours));
        offset += 1;
    };
    for number in 0..PRODUCERS_MAX {
        accept(&mut producers, &number.to_string(), 1);
    }
    let newcomer = producer("new", 0, 0);
    let almost = time(2) - Duration::from_micros(1);
    assert_eq!(producers.check(&newcomer, 1, almost), Err(Refused::TooMany));
    let known = producer("0", 0, 1);
    assert_eq!(producers.check(&known, 1, almost), Ok(Checked::New));
    let last = PRODUCERS_MAX as u64;
    producers.settle(Offset::new(last));
    let full = producers.clone();
    assert_eq!(producers.check(&newcomer, 1, time(2)), Ok(Checked::New));
    accept(&mut producers, "new", 2);
    assert_eq!(producers.len(), PRODUCERS_MAX);
    assert_eq!(producers.get("0"), None);
    assert!(producers.get("1").is_some());
    producers.take_back(Offset::new(last));
    assert_eq!(producers, full);
    let bytes = full.encode(LOG_ID, Offset::new(last));
    assert!(bytes.len() < 2_000_000);
    assert_eq!(Producers::decode(&bytes, LOG_ID).unwrap().0, full);
}

#[test]
fn what_is_known_before_an_offset_does_not_depend_on_batches_after_it() {
    let mut producers = table();
    let known = |producers: &Producers, end| {
        let known = producers.get_before("a", Offset::new(end));
        known.map(|known| known.next_sequence)
    };
    for (end, next) in [
        (10, None),
        (11, Some(3)),
        (13, Some(3)),
        (15, Some(5)),
        (19, Some(9)),
    ] {
        assert_eq!(known(&producers, end), next, "{end}");
    }
    producers.settle(Offset::new(15));
    assert_eq!(known(&producers, 15), Some(5));
    assert_eq!(known(&producers, 19), Some(9));
}

#[test]
fn the_oldest_is_forgotten_on_demand() {
    let mut producers = table();
    producers.accept(&producer("b", 0, 0), offsets(20, 1), time(2));
    assert_eq!(producers.oldest_use(), Some(time(0)));
    producers.forget_oldest();
    assert_eq!(producers.get("a"), None);
    assert_eq!(producers.oldest_use(), Some(time(2)));
    producers.forget_oldest();
    producers.forget_oldest();
    assert_eq!((producers.len(), producers.oldest_use()), (0, None));
}

#[test]
fn a_snapshot_has_its_golden_encoding() {
    let mut producers = Producers::new();
    producers.accept(
        &producer("ab", 1, 2),
        offsets(5, 3),
        SystemTime::UNIX_EPOCH + Duration::from_micros(9),
    );
    let encoded = producers.encode(0x0102, Offset::new(8));
    let expected = [
        &b"plogprod"[..],
        &[0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2],
        &[0, 0, 0, 0, 0, 0, 0, 8],
        &[0, 0, 0, 1],
        &[2, b'a', b'b'],
        &[0, 0, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 0, 0, 0, 0, 5],
        &[0, 0, 0, 0, 0, 0, 0, 9],
        &[1],
        &[0, 0, 0, 0, 0, 0, 0, 2],
        &[0, 0, 0, 3],
        &[0, 0, 0, 0, 0, 0, 0, 5],
    ]
    .concat();
    let (body, crc) = encoded.split_at(encoded.len() - 4);
    assert_eq!(body, expected);
    assert_eq!(crc, crc_fast::crc32_iscsi(body).to_be_bytes());
}

#[test]
fn a_snapshot_that_is_damaged_cut_or_of_another_log_is_refused() {
    let snapshot = table().encode(LOG_ID, Offset::new(19));
    let (decoded, end) = Producers::decode(&snapshot, LOG_ID).unwrap();
    assert_eq!((decoded, end), (table(), Offset::new(19)));
    for bit in 0..snapshot.len() * 8 {
        let mut damaged = snapshot.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(Producers::decode(&damaged, LOG_ID).is_err(), "bit {bit}");
    }
    for len in 0..snapshot.len() {
        let cut = Producers::decode(&snapshot[..len], LOG_ID);
        assert!(matches!(cut, Err(SnapshotError::Damaged { .. })), "{len}");
    }
    let error = Producers::decode(&snapshot, 8).unwrap_err();
    assert_eq!(error, SnapshotError::AnotherLog { log_id: LOG_ID });
    let version_2 = with_checksum(&snapshot, |body| body[11] = 2);
    let error = Producers::decode(&version_2, LOG_ID).unwrap_err();
    assert_eq!(error, SnapshotError::Unsupported { version: 2 });
}

/// A snapshot whose body is changed, and whose checksum is right.
fn with_checksum(snapshot: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut body = snapshot[..snapshot.len() - 4].to_vec();
    change(&mut body);
    let crc = crc_fast::crc32_iscsi(&body);
    [&body[..], &crc.to_be_bytes()].concat()
}

/// What a producer may do next.
#[derive(Debug, Clone)]
enum Op {
    /// Sends a batch of so many records, `back` sequence numbers before the next one, in a later epoch.
    Send {
        id: usize,
        epochs: u64,
        back: u64,
        count: u32,
    },
    /// The appends of the newest so many batches turn out to have failed.
    Fail {
        batches: usize,
    },
    Settle,
    /// Restarts from the last snapshot and the records after it.
    Restart,
    Snapshot,
}

fn ops() -> impl Strategy<Value = Op> {
    let send = (0..4_usize, 0..20_u64, 0..6_u64, 1..4_u32);
    prop_oneof![
        10 => send.prop_map(|(id, epoch, back, count)| Op::Send {
            id,
            epochs: epoch / 19,
            back: back.saturating_sub(2),
            count,
        }),
        1 => (0..4_usize).prop_map(|batches| Op::Fail { batches }),
        1 => Just(Op::Settle),
        1 => Just(Op::Restart),
        1 => Just(Op::Snapshot),
    ]
}

/// A log of the batches that were appended, and the table of their producers.
#[derive(Default)]
struct Model {
    /// Producer, and number of records.
    batches: Vec<(Producer, u32)>,
    settled: usize,
    producers: Producers,
    snapshot: Option<Vec<u8>>,
}

impl Model {
    fn records_before(&self, batch: usize) -> u64 {
        self.batches[..batch]
            .iter()
            .map(|(_, count)| u64::from(*count))
            .sum()
    }

    /// The epoch and the next sequence number of a producer, from all batches.
    fn next(&self, id: &str) -> Option<(u64, u64)> {
        let mut of_id = self
            .batches
            .iter()
            .rev()
            .filter(|(producer, _)| &*producer.id == id);
        of_id
            .next()
            .map(|(last, count)| (last.epoch, last.sequence + u64::from(*count)))
    }

    fn end(&self) -> Offset {
        Offset::new(self.records_before(self.batches.len()))
    }

    fn send(&mut self, sent: Producer, count: u32) {
        let known = self.next(&sent.id);
        let same_epoch = known.filter(|(epoch, _)| *epoch == sent.epoch);
        let is_next = same_epoch.map_or(0, |(_, next)| next) == sent.sequence;
        let checked = self.producers.check(&sent, count, time(0));
        assert_eq!(
            checked == Ok(Checked::New),
            is_next,
            "{sent:?} x {count} after {known:?}: {checked:?}"
        );
        if let Ok(Checked::Repeated(Some(offsets))) = checked {
            let twice = |index: &usize| self.batches[*index] == (sent.clone(), count);
            let at = (0..self.batches.len())
                .rfind(twice)
                .expect("it was appended");
            assert_eq!(offsets.start.get(), self.records_before(at));
        }
        if is_next {
            let offsets = Offsets::new(self.end(), self.end() + u64::from(count));
            self.producers.accept(&sent, offsets, time(0));
            self.batches.push((sent, count));
        }
    }

    /// A table that is made of the snapshot and of the records after it.
    fn replayed(&self) -> Producers {
        let snapshot = self
            .snapshot
            .as_ref()
            .map(|bytes| Producers::decode(bytes, LOG_ID).unwrap());
        let (mut producers, end) = snapshot.unwrap_or_default();
        for (index, (producer, count)) in self.batches.iter().enumerate() {
            let offset = Offset::new(self.records_before(index));
            if offset >= end {
                let mut record = Record::new("");
                record.producer = Some(Box::new(Producer {
                    count: *count,
                    ..producer.clone()
                }));
                producers.replay(&StoredRecord::new(offset, time(0), record));
            }
        }
        producers
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Send {
                id,
                epochs,
                back,
                count,
            } => {
                let id = ["a", "b", "c", "d"][id];
                let (epoch, next) = self.next(id).unwrap_or_default();
                let next = if epochs > 0 { 0 } else { next };
                self.send(
                    producer(id, epoch + epochs, next.saturating_sub(back)),
                    count,
                );
            }
            Op::Fail { batches } => {
                let kept = self.batches.len().saturating_sub(batches).max(self.settled);
                self.producers
                    .take_back(Offset::new(self.records_before(kept)));
                self.batches.truncate(kept);
            }
            Op::Settle => {
                self.settled = self.batches.len();
                self.producers.settle(self.end());
            }
            Op::Snapshot => {
                // Of what is certain to stay.
                self.run(&Op::Settle);
                self.snapshot = Some(self.producers.encode(LOG_ID, self.end()));
            }
            Op::Restart => {
                self.settled = self.batches.len();
                self.producers = self.replayed();
            }
        }
        assert_eq!(self.producers, self.replayed());
    }
}

proptest! {
    #[test]
    fn a_table_knows_what_all_batches_say_and_so_does_one_that_is_replayed(ops in prop::collection::vec(ops(), 0..60)) {
        let mut model = Model::default();
        for op in &ops {
            model.run(op);
        }
    }

    #[test]
    fn any_bytes_are_a_snapshot_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let _ = Producers::decode(&bytes, LOG_ID);
        let snapshot = table().encode(LOG_ID, Offset::new(19));
        let changed = with_checksum(&snapshot, |body| body[at.index(body.len())] = byte);
        if let Ok((producers, end)) = Producers::decode(&changed, LOG_ID) {
            prop_assert_eq!(producers.encode(LOG_ID, end), changed);
        }
    }
}
