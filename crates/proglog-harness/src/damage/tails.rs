//! Extra bytes after the end of a file, and frames with a wrong length.

use proglog_store::testing::SimDisk;

use super::fixture::{Depth, Fixture, is_store, store};

/// Extra bytes for the end of a file of these bytes, whose first and last frames are given.
fn tails(bytes: &[u8], first: &[u8], last: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut tails = vec![
        ("a copy of the file".to_owned(), bytes.to_vec()),
        ("a copy of the first frame".to_owned(), first.to_vec()),
        ("a copy of the last frame".to_owned(), last.to_vec()),
    ];
    for len in [1, 7, 8, 9, 32, 100, 512, 4096, 300_000] {
        tails.push((format!("{len} zeros"), vec![0; len]));
        tails.push((format!("{len} ones"), vec![0xff; len]));
        tails.push((format!("{len} random bytes"), noise(len)));
        let mut zeros_and_noise = vec![0; len];
        zeros_and_noise.extend(noise(len));
        zeros_and_noise.extend(vec![0; len]);
        tails.push((format!("{len} zeros around noise"), zeros_and_noise));
    }
    for word in words(1 << 20) {
        let mut tail = word.to_be_bytes().to_vec();
        tail.extend([1; 60]);
        tails.push((format!("a frame of word {word:#010x}"), tail));
    }
    tails
}

/// Bytes of a small generator (Marsaglia's xorshift).
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..len).map(|_| next()).collect()
}

/// First words of frames that cannot be where `left` bytes are left.
pub fn words(left: u32) -> Vec<u32> {
    let kinds = [0x0000_0000, 0x4000_0000, 0x8000_0000, 0xc000_0000];
    let lens = [
        0,
        1,
        23,
        24,
        25,
        left - 8,
        left - 7,
        left,
        left + 1,
        0x3fff_ffff,
    ];
    kinds
        .iter()
        .flat_map(|kind| lens.map(|len| kind | (len & 0x3fff_ffff)))
        .collect()
}

/// Appends bytes of many kinds to a file, and checks the log; returns the number of kinds.
pub fn lengthen(fixture: &Fixture, file: &str) -> usize {
    let bytes = fixture.disk.read_file(file);
    let own = fixture.places.iter().filter(|place| place.file == file);
    let frames = own.map(|place| &place.bytes).collect::<Vec<_>>();
    let frame =
        |at: Option<&&std::ops::Range<u64>>| at.map_or(&bytes[..], |range| slice(&bytes, range));
    let tails = tails(&bytes, frame(frames.first()), frame(frames.last()));
    for (kind, tail) in &tails {
        let disk = fixture.disk.deep_clone();
        disk.write_file(file, &[&bytes[..], tail].concat());
        let what = &format!("{kind} behind {file}");
        appended(fixture, &disk, file, &bytes, tail, what);
    }
    tails.len()
}

pub fn slice<'a>(bytes: &'a [u8], range: &std::ops::Range<u64>) -> &'a [u8] {
    let [from, to] = [range.start, range.end].map(|at| usize::try_from(at).unwrap());
    &bytes[from..to]
}

fn appended(fixture: &Fixture, disk: &SimDisk, file: &str, bytes: &[u8], tail: &[u8], what: &str) {
    let recovery = fixture.assert_whole(disk, what);
    let is_active = file == store(fixture.active());
    if !is_active {
        assert_eq!(recovery.set_aside, None, "{what}");
        if is_store(file) {
            let now = disk.read_file(file);
            assert_eq!(
                now,
                [bytes, tail].concat(),
                "{what}: a sealed segment was changed"
            );
        }
        return;
    }
    let nonzero = tail.iter().rposition(|byte| *byte != 0);
    let kept = nonzero.map_or(0, |last| last + 1);
    assert_eq!(recovery.zeros_removed, (tail.len() - kept) as u64, "{what}");
    match (nonzero, recovery.set_aside) {
        (None, None) => {}
        (Some(last), Some(set_aside)) => {
            assert_eq!(set_aside.byte, bytes.len() as u64, "{what}");
            assert_eq!(disk.read_file(&set_aside.file), tail[..=last], "{what}");
        }
        (_, set_aside) => panic!("{what}: {set_aside:?}"),
    }
}

pub fn takes_one(fixture: &Fixture, disk: &SimDisk, offset: u64, what: &str) {
    let seen = fixture.opened(disk, Depth::Append, what);
    if offset >= fixture.sure {
        assert_eq!(seen.end, fixture.sure, "{what}");
        assert!(seen.recovery.set_aside.is_some(), "{what}");
        assert_eq!(seen.unreadable, [0; 0], "{what}");
    } else {
        assert_eq!(seen.end, fixture.end(), "{what}");
        assert_eq!(seen.recovery.set_aside, None, "{what}");
        let shown = (offset >= fixture.start).then_some(offset);
        assert_eq!(seen.unreadable, Vec::from_iter(shown), "{what}");
    }
}

/// Puts each other frame of the same length of `author`, a log of the same values or another one, in the
/// place of a record, and checks what the log shows then; returns how many.
pub fn copy_over(fixture: &Fixture, author: &Fixture, offset: u64) -> usize {
    let place = &fixture.places[usize::try_from(offset).unwrap()];
    let mut tried = 0;
    let in_files = usize::try_from(author.bases[0]).unwrap()..;
    for other in &author.places[in_files] {
        let len = |range: &std::ops::Range<u64>| range.end - range.start;
        let mut bytes = fixture.disk.read_file(&place.file);
        let source = author.disk.read_file(&other.file);
        let at = usize::try_from(place.bytes.start).unwrap();
        let frame = slice(&source, &other.bytes);
        if len(&other.bytes) != len(&place.bytes) || bytes[at..].starts_with(frame) {
            continue;
        }
        bytes[at..at + frame.len()].copy_from_slice(frame);
        let disk = fixture.disk.deep_clone();
        disk.write_file(&place.file, &bytes);
        let what = &format!("a copy as record {offset}");
        takes_one(fixture, &disk, offset, what);
        tried += 1;
    }
    tried
}
