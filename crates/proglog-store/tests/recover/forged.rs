//! Bytes whose checksums are valid and whose claims cannot be true.

use proglog_store::{Boundary, Position};

use crate::fixture::{NAME, THREE, closed, extend, frame, killed, mark, open, payloads};

const HUGE: [u64; 4] = [1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];

#[test]
fn the_marks_made_here_are_those_that_the_store_makes() {
    let disk = killed(&THREE);
    let end = disk.read_file(NAME).len() as u64 - 8192;
    let closed = closed(&THREE);
    disk.write_file(NAME, &closed.read_file(NAME));
    disk.truncate_file(NAME, 8192 + end);
    extend(&disk, &mark(&disk, end, end, 3));
    assert!(disk.read_file(NAME) == closed.read_file(NAME));
}

#[test]
fn a_mark_that_claims_more_frames_than_fit_below_it_is_none() {
    for frames in [9].into_iter().chain(HUGE) {
        let disk = killed(&[&[b"first"]]);
        let end = disk.read_file(NAME).len() as u64 - 8192;
        extend(&disk, &mark(&disk, end, end, frames));
        let store = open(&disk).unwrap();
        assert!(!store.recovery().clean, "{frames} frames");
        assert_eq!(store.end().frames, 1);
        assert_eq!(payloads(&store), ["first"]);
    }
}

#[test]
fn a_mark_that_claims_what_follows_it_is_invalid() {
    for claim in [1].into_iter().chain(HUGE) {
        let disk = killed(&[&[b"first"]]);
        let end = disk.read_file(NAME).len() as u64 - 8192;
        let claim = end.saturating_add(claim);
        extend(&disk, &mark(&disk, end, claim, 1));
        let store = open(&disk).unwrap();
        assert!(!store.recovery().clean);
        assert_eq!(store.recovery().recovery_point, Boundary::START);
        assert_eq!(store.end().frames, 1);
    }
}

#[test]
fn control_frames_of_unknown_types_are_stepped_over() {
    let disk = killed(&[&[b"first"]]);
    let end = disk.read_file(NAME).len() as u64 - 8192;
    extend(&disk, &frame(&disk, end, 0b11, b"\x02 of a later time"));
    let store = open(&disk).unwrap();
    store.append(b"second").unwrap();
    assert_eq!(payloads(&store), ["first", "second"]);
    let error = store.read(Position::new(end)).unwrap_err();
    assert!(matches!(error, proglog_store::Error::ControlFrame { .. }));
}

#[test]
fn a_length_is_checked_before_anything_is_allocated() {
    let disk = killed(&THREE);
    let pristine = open(&disk.deep_clone()).unwrap();
    let positions = pristine.frames(..).map(|frame| frame.unwrap().position);
    for position in positions.collect::<Vec<_>>() {
        for word in [0x7fff_ffff_u32, 0xbfff_ffff, 0xffff_ffff] {
            let disk = disk.deep_clone();
            let mut bytes = disk.read_file(NAME);
            let at = usize::try_from(8192 + position.get()).unwrap();
            bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
            disk.write_file(NAME, &bytes);
            let memory = allocation_counter::measure(|| {
                let store = open(&disk).unwrap();
                store.read(position).unwrap_err();
                drop(store.frames(..).last());
            });
            assert!(memory.bytes_max < 2 << 20, "{memory:?}");
        }
    }
}
