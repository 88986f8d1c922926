use super::*;
use crate::format::HEADER_LEN;
use crate::io::OpenMode;
use crate::io::named_file::NamedFile;
use crate::testing::SimDisk;

const VERIFIER: Verifier = Verifier {
    salt: 7,
    payload_len_max: 1000,
};

/// A file that holds `bytes` from position 0 on.
fn file(bytes: &[u8]) -> NamedFile {
    let directory = SimDisk::new().directory();
    let file = NamedFile::open(&*directory, &"a".into(), OpenMode::CreateNew).unwrap();
    file.set_len(HEADER_LEN).unwrap();
    file.write_frames(bytes, Position::ZERO).unwrap();
    file
}

/// The result of `search` on a file that holds `bytes`.
fn on<T>(bytes: &[u8], search: impl FnOnce(&NamedFile) -> Result<T>) -> T {
    search(&file(bytes)).unwrap()
}

fn place(at: usize) -> Position {
    Position::new(at as u64)
}

/// `len` zeros, and at `at` the mark that claims `claim`.
fn with_mark(len: usize, at: usize, claim: Boundary) -> Vec<u8> {
    let mut bytes = vec![0; at];
    format::push_mark(&mut bytes, 7, place(at), claim);
    bytes.resize(len.max(bytes.len()), 0);
    bytes
}

#[test]
fn the_last_byte_that_is_not_zero_is_found_in_memory() {
    for len in [0, 1, 255, 256, 257, 700] {
        assert_eq!(nonzero_end(&vec![0; len]), 0);
        for at in 0..len {
            let mut bytes = vec![0; len];
            // Two that are alike.
            bytes[at] = 0x40;
            bytes[at.saturating_sub(1)] = 0x40;
            assert_eq!(nonzero_end(&bytes), at + 1, "of {len}");
        }
    }
}

#[test]
fn the_last_byte_that_is_not_zero_is_found_in_a_file() {
    let len = 2 * BLOCK_LEN + 100;
    for (from, end) in [(0, len), (7, len - 9), (BLOCK_LEN, len), (50, 50)] {
        for at in [
            0,
            7,
            8,
            BLOCK_LEN - 1,
            BLOCK_LEN,
            BLOCK_LEN + 7,
            len - 10,
            len - 1,
        ] {
            let mut bytes = vec![0; len];
            bytes[at] = 1;
            let expected = if (from..end).contains(&at) {
                at + 1
            } else {
                from
            };
            let (from, end) = (place(from), place(end));
            let found = on(&bytes, |source| last_nonzero(source, from, end));
            assert_eq!(found, place(expected), "{at} in {from}..{end}");
        }
    }
}

#[test]
fn the_newest_mark_is_found_wherever_it_lies_and_none_that_does_not_end_in_time() {
    let claim = Boundary::START;
    let len = 2 * BLOCK_LEN + 500;
    let near_a_block = BLOCK_LEN - 40..BLOCK_LEN + 4;
    for at in [0, 1, 31, 100, 2 * BLOCK_LEN - 70]
        .into_iter()
        .chain(near_a_block)
    {
        let bytes = with_mark(len, at, claim);
        let found = |from: usize, end: usize| {
            on(&bytes, |source| {
                newest_mark(source, VERIFIER, place(from), place(end))
            })
        };
        let end = at + MARK_FRAME_LEN;
        for from in [0, at / 2, at] {
            assert_eq!(found(from, len), Some(claim), "{at} from {from}");
            assert_eq!(found(from, end), Some(claim), "{at} from {from}");
            assert_eq!(found(from, end - 1), None, "{at} from {from}");
        }
        assert_eq!(found(at + 1, len), None);
    }
}

#[test]
fn a_search_for_marks_ends_where_a_file_does_that_was_cut_in_the_meantime() {
    for (len, at) in [(0, None), (9, None), (500, Some(400)), (BLOCK_LEN, Some(7))] {
        let bytes = at.map_or(vec![0; len], |at| with_mark(len, at, Boundary::START));
        for end in [len + 1, len + 2 * BLOCK_LEN] {
            let found = on(&bytes, |source| {
                newest_mark(source, VERIFIER, Position::ZERO, place(end))
            });
            assert_eq!(found, at.map(|_| Boundary::START), "{len} of {end}");
        }
    }
}

#[test]
fn of_several_marks_the_one_that_claims_most_counts() {
    let claim = |frames: u64| Boundary {
        position: Position::new(9 * frames),
        frames,
    };
    let mut bytes = with_mark(100, 20, claim(2));
    for frames in [5, 3] {
        let end = place(bytes.len());
        format::push_mark(&mut bytes, 7, end, claim(frames));
    }
    let end = place(bytes.len());
    let newest = on(&bytes, |source| {
        newest_mark(source, VERIFIER, Position::ZERO, end)
    });
    assert_eq!(newest, Some(claim(5)));
}

#[test]
fn a_mark_that_closed_the_store_is_found_before_any_number_of_zeros() {
    for at in [0, 8, 32, 1 << 8, 1 << 16] {
        // Numbers of which the last bytes are zeros: the mark ends with them.
        for frames in [0, 1, 1 << 8].into_iter().filter(|frames| frames * 8 <= at) {
            let position = place(at);
            let closes = Boundary {
                position,
                frames: frames as u64,
            };
            for zeros in [0, 1, 5, 31, 32, 33, 100, 2 * BLOCK_LEN] {
                let len = at + MARK_FRAME_LEN + zeros;
                let bytes = with_mark(len, at, closes);
                let closing = |known: usize| {
                    on(&bytes, |source| {
                        closing_mark(source, VERIFIER, place(known), place(len))
                    })
                };
                let what = format!("{frames} frames at {at}, {zeros} zeros");
                assert_eq!(closing(0), Some(closes), "{what}");
                assert_eq!(closing(at), Some(closes), "{what}");
                assert_eq!(closing(at + MARK_FRAME_LEN), Some(closes), "{what}");
            }
        }
    }
}

#[test]
fn a_mark_that_claims_less_or_is_followed_by_data_closed_nothing() {
    let claim = Boundary {
        position: place(40),
        frames: 3,
    };
    let closing = |bytes: &[u8]| {
        let end = place(bytes.len());
        on(bytes, |source| {
            closing_mark(source, VERIFIER, Position::ZERO, end)
        })
    };
    assert_eq!(closing(&with_mark(72, 40, claim)), Some(claim));
    assert_eq!(closing(&with_mark(73, 41, claim)), None);
    assert_eq!(closing(&with_mark(100, 41, claim)), None);
    let mut bytes = with_mark(100, 40, claim);
    bytes[90] = 1;
    assert_eq!(closing(&bytes), None);
}
