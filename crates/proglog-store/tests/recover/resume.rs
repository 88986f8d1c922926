//! Resuming after damage, in bounded time whatever the bytes are.

use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use proglog_store::{Error, Store, StoreOptions};

use crate::fixture::{NAME, THREE, at, closed, frames, open, open_with, overwrite};

/// The items of an iterator that is resumed after each error, and the positions of the errors.
fn rest(store: &Store) -> (Vec<String>, usize) {
    let mut frames = store.frames(..);
    let (mut payloads, mut errors) = (Vec::new(), 0);
    loop {
        match frames.next() {
            Some(Ok(frame)) => {
                payloads.push(String::from_utf8(frame.payload.to_vec()).unwrap());
            }
            Some(Err(_)) => {
                errors += 1;
                assert!(frames.next().is_none(), "it ends after an error");
                let found = frames.resume().unwrap();
                assert_eq!(frames.lent(), None, "nothing was passed since");
                if found.is_none() {
                    return (payloads, errors);
                }
            }
            None => return (payloads, errors),
        }
    }
}

#[test]
fn an_iterator_goes_on_at_the_next_whole_frame() {
    let pristine = closed(&THREE);
    for frame in &frames(&pristine) {
        for byte in 0..8 + frame.payload.len() {
            let disk = pristine.deep_clone();
            disk.flip(NAME, (at(frame) + byte) as u64, 1);
            let (payloads, errors) = rest(&open(&disk).unwrap());
            let whole = ["first", "second", "third"].map(str::to_owned);
            let whole = whole
                .into_iter()
                .filter(|payload| *payload != frame.payload);
            assert_eq!((payloads, errors), (whole.collect(), 1));
        }
    }
}

#[test]
fn an_iterator_resumes_after_each_of_many_damages() {
    let groups = (0..200)
        .map(|number| format!("{number}"))
        .collect::<Vec<_>>();
    let groups = groups.iter().map(|payload| [payload.as_bytes()]);
    let groups = groups.collect::<Vec<_>>();
    let groups = groups.iter().map(|group| &group[..]).collect::<Vec<_>>();
    let disk = closed(&groups);
    let frames = frames(&disk);
    for frame in frames.iter().step_by(3) {
        disk.flip(NAME, at(frame) as u64 + 8, 1);
    }
    let (payloads, errors) = rest(&open(&disk).unwrap());
    assert_eq!(errors, 67);
    let whole = (0..200).filter(|number| number % 3 != 0);
    assert_eq!(
        payloads,
        whole.map(|number| number.to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn a_search_that_finds_no_frame_ends_the_iteration() {
    let disk = closed(&THREE);
    let len = disk.read_file(NAME).len();
    overwrite(&disk, 8192, &vec![0x40; len - 8192 - 32]);
    let store = open(&disk).unwrap();
    let mut frames = store.frames(..store.end().position);
    assert!(frames.next().unwrap().is_err());
    // Only the closing mark verifies, and nothing follows it.
    frames.resume().unwrap();
    assert!(frames.next().is_none());
}

/// A closed store of one payload followed by a small one.
fn store_with(payload: &[u8]) -> SimDisk {
    let disk = SimDisk::new();
    let store = open_with(&disk, &StoreOptions::new().payload_len_max(8 << 20)).unwrap();
    store.append(payload).unwrap();
    store.append(b"after").unwrap();
    store.close().unwrap();
    disk
}

#[test]
fn a_search_that_cannot_read_says_so() {
    let disk = store_with(&vec![0; 300 << 10]);
    overwrite(&disk, 8192, &[0; 4]);
    let store = open(&disk).unwrap();
    let mut frames = store.frames(..);
    assert!(frames.next().unwrap().is_err());
    // Beyond what is read first, and not a fault of the device.
    disk.inject(When::Next(CallKind::Read, 0), Fault::os_error(13));
    let error = frames.resume().unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error:?}");
    let place = frames.resume().unwrap().unwrap();
    assert_eq!(place.get(), 8 + (300 << 10));
    assert_eq!(frames.next().unwrap().unwrap().payload, "after");
}

/// The bytes that `action` reads from the disk.
fn bytes_read(disk: &SimDisk, action: impl FnOnce()) -> u64 {
    disk.start_trace();
    action();
    disk.trace().iter().map(|call| call.len).sum()
}

#[test]
fn a_search_through_plausible_frames_reads_a_bounded_number_of_bytes() {
    let words: [&[u8]; 5] = [
        &[0x40],
        &[0x80],
        &[0x40, 0x00],
        &[0x40, 0x00, 0x40],
        &[0x40, 0x04, 0x00, 0x01],
    ];
    for pattern in words {
        let payload = pattern.repeat((6 << 20) / pattern.len());
        let disk = store_with(&payload);
        disk.flip(NAME, 8192, 0);
        let store = open(&disk).unwrap();
        let mut frames = store.frames(..);
        assert!(frames.next().unwrap().is_err());
        let read = bytes_read(&disk, || _ = frames.resume().unwrap());
        assert!(read < 512 << 20, "{pattern:02x?}: {read} bytes");
        assert!(frames.next().is_none_or(|frame| frame.is_ok()));
    }
}

#[test]
fn a_search_through_random_bytes_finds_what_follows_them() {
    for byte in [0x00, 0x3f, 0xff, 0x7f] {
        let disk = store_with(&vec![byte; 3 << 20]);
        disk.flip(NAME, 8192, 0);
        let store = open(&disk).unwrap();
        let mut frames = store.frames(..);
        let error = frames.next().unwrap().unwrap_err();
        assert!(!matches!(error, Error::Io { .. }), "{error:?}");
        let read = bytes_read(&disk, || _ = frames.resume().unwrap().unwrap());
        assert!(read < 8 << 20, "{read} bytes");
        assert_eq!(frames.next().unwrap().unwrap().payload, "after");
    }
}

#[test]
fn a_search_for_marks_through_words_of_marks_is_linear() {
    let payload = b"\xc0\x00\x00\x18".repeat(1 << 20);
    let disk = store_with(&payload);
    let len = disk.read_file(NAME).len() as u64;
    // Neither the payload nor the closing mark verifies, so everything is searched.
    disk.flip(NAME, 8192, 0);
    disk.flip(NAME, len - 1, 0);
    let read = bytes_read(&disk, || drop(open(&disk).unwrap()));
    assert!(read < 12 * len, "{read} of {len} bytes");
}

#[test]
fn a_closed_store_is_reported_once_and_cannot_be_resumed() {
    let store = open(&closed(&THREE)).unwrap();
    let mut frames = store.frames(..);
    store.close().unwrap();
    let error = frames.next().unwrap().unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
    let error = frames.resume().unwrap_err();
    assert!(matches!(error, Error::Closed { .. }), "{error:?}");
    assert!(frames.next().is_none());
}
