//! Scans that alternate between borrowed and owned frames yield what was appended, whatever blocks they read.

use proglog_store::testing::SimDisk;
use proglog_store::{Frame, FrameRef, Position, Store, StoreOptions};
use proptest::prelude::*;

use super::append_with;

const MIB: usize = 1 << 20;

/// Payloads such that frames end at a block's end, or a few bytes before or after it, or are longer.
fn payload_len() -> impl Strategy<Value = usize> {
    let around = |len: usize| (len - 24)..(len + 9);
    prop_oneof![
        6 => 0..3000_usize,
        2 => 0..100_000_usize,
        1 => around(256 << 10),
        1 => around(MIB),
        1 => MIB..2 * MIB,
    ]
}

/// A batch, and a flag to flush it at once.
fn batch() -> impl Strategy<Value = (Vec<usize>, bool)> {
    (prop::collection::vec(payload_len(), 1..4), any::<bool>())
}

type Seen = (Position, Position, bool, Vec<u8>);

fn seen(frame: &Frame) -> Seen {
    let payload = frame.payload.to_vec();
    (frame.position, frame.end, frame.ends_batch, payload)
}

fn seen_lent(frame: FrameRef<'_>) -> Seen {
    let payload = frame.payload.to_vec();
    (frame.position, frame.end, frame.ends_batch, payload)
}

/// The byte that fills the payload of this frame.
fn byte(number: usize) -> u8 {
    u8::try_from(number % 251).unwrap()
}

/// Appends the batches, and returns the frames that a scan must yield.
fn append(store: &Store, batches: &[(Vec<usize>, bool)]) -> Vec<Seen> {
    let mut all: Vec<Seen> = Vec::new();
    for (lens, is_written) in batches {
        let fill = |index: usize, slot: &mut [u8]| slot.fill(byte(all.len() + index));
        let appended = append_with(store, lens, fill).unwrap();
        let mut start = appended.position;
        for (index, len) in lens.iter().enumerate() {
            let end = Position::new(start.get() + 8 + *len as u64);
            let payload = vec![byte(all.len()); *len];
            all.push((start, end, index + 1 == lens.len(), payload));
            start = end;
        }
        if *is_written {
            store.sync().unwrap();
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn frames_are_the_same_lent_or_handed_out_in_any_order(
        batches in prop::collection::vec(batch(), 1..40),
        lend in prop::collection::vec(prop::bool::weighted(0.7), 1..60),
        from in any::<prop::sample::Index>(),
        short in prop::option::of(1..100_u64),
    ) {
        let disk = SimDisk::new();
        let options = StoreOptions::new().payload_len_max(4 << 20).buffer_len(64 << 10);
        let store = Store::open_in(&*disk.directory(), "a.store", &options).unwrap();
        let all = append(&store, &batches);
        disk.set_short_transfers(short);
        let all = &all[from.index(all.len())..];
        let mut frames = store.frames(all[0].0..);
        let mut kept = Vec::new();
        for (expected, lend) in all.iter().zip(lend.iter().cycle()) {
            let found = if *lend {
                seen_lent(frames.next_ref().unwrap().unwrap())
            } else {
                let frame = frames.next().unwrap().unwrap();
                let found = seen(&frame);
                kept.push((frame, expected));
                found
            };
            prop_assert!(found == *expected, "at {}", expected.0);
            prop_assert!(frames.lent() == Some(&expected.3[..]));
        }
        prop_assert!(frames.next_ref().is_none() && frames.next().is_none());
        for (frame, expected) in kept {
            prop_assert!(seen(&frame) == *expected, "nothing is read over what was handed out");
        }
    }
}
