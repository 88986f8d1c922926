//! A store whose file is damaged.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use bytes::Bytes;
use proglog_store::segment::StoreExt;
use proglog_store::testing::SimDisk;
use proglog_store::testing::format::reencoded_header;
use proglog_store::{Boundary, Frames, Position, Store, StoreOptions};

use crate::damage::Damage;
use crate::files::{self, COPY_LEN, STORE_HOT, mend_store};

const NAME: &str = "store";

/// The frames of a store, and the errors between them, by their places.
#[derive(Debug, Default, PartialEq, Eq)]
struct Walk {
    frames: BTreeMap<Position, (Position, bool, Bytes)>,
    errors: Vec<(Position, String)>,
}

/// A store as it was written.
struct Original {
    bytes: Vec<u8>,
    frames: BTreeMap<Position, (Position, bool, Bytes)>,
}

static ORIGINALS: LazyLock<[Original; 2]> = LazyLock::new(|| {
    ["closed", "killed"].map(|name| {
        let bytes = files::read(&format!("proglog-store/tests/data/v1/{name}.store"));
        let disk = SimDisk::new();
        disk.write_file(NAME, &bytes);
        let walk = walk(&sealed(&disk).expect("the store is whole"));
        assert!(walk.errors.is_empty());
        Original {
            bytes,
            frames: walk.frames,
        }
    })
});

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    is_killed: bool,
    /// The frames whose checksums are not mended.
    spared: u8,
    damage: Damage<'a>,
}

pub(crate) fn check(input: &Input<'_>) {
    let original = &ORIGINALS[usize::from(input.is_killed)];
    let mut bytes = original.bytes.clone();
    input.damage.apply(&mut bytes, &STORE_HOT);
    if input.damage.mends() {
        mend_store(&mut bytes, input.spared);
    }
    check_header(&bytes);
    let disk = SimDisk::new();
    disk.write_file(NAME, &bytes);
    if input.damage.mends() {
        return survive(&disk);
    }
    let blind = input.damage.is_blind();
    let walks = [sealed(&disk), following(&disk)];
    for walk in walks.into_iter().flatten().map(|store| walk(&store)) {
        assert!(!blind || is_part_of(&walk, original), "{walk:?}");
    }
    assert!(disk.read_file(NAME) == bytes, "a reader changed the file");
    if let Some(walk) = recover(&disk, blind) {
        assert!(!blind || is_part_of(&walk, original), "{walk:?}");
    } else {
        assert!(
            disk.read_file(NAME) == bytes,
            "opening failed, and changed the file"
        );
    }
}

/// A header that is read is written again as it is.
fn check_header(bytes: &[u8]) {
    for copy in bytes.chunks(COPY_LEN).take(2) {
        if let Some(written) = reencoded_header(copy) {
            assert_eq!(reencoded_header(&written), Some(written));
        }
    }
}

fn sealed(disk: &SimDisk) -> Option<Store> {
    proglog_store::segment::open_sealed(&*disk.directory(), NAME).ok()
}

fn following(disk: &SimDisk) -> Option<Store> {
    let store =
        proglog_store::segment::open_following(&*disk.directory(), NAME, Boundary::START).ok()?;
    let end = store.end();
    assert_eq!(store.refresh().expect("the disk works"), end);
    Some(store)
}

fn is_part_of(walk: &Walk, original: &Original) -> bool {
    let mut frames = walk.frames.iter();
    frames.all(|(position, frame)| original.frames.get(position) == Some(frame))
}

/// Uses a store in all ways. Its marks may claim anything, with checksums that are right, so what it shows is
/// not asked for.
fn survive(disk: &SimDisk) {
    for store in [sealed(disk), following(disk)].into_iter().flatten() {
        walk(&store);
    }
    for _ in 0..2 {
        if let Ok(store) = Store::open_in(&*disk.directory(), NAME, &StoreOptions::new()) {
            walk(&store);
            _ = store.append(b"more");
            _ = store.close();
        }
    }
}

/// Opens the store, appends to it, and opens it again; returns what was there before.
fn recover(disk: &SimDisk, blind: bool) -> Option<Walk> {
    let options = StoreOptions::new();
    let open = || Store::open_in(&*disk.directory(), NAME, &options);
    let store = open().ok()?;
    let before = walk(&store);
    let whole = store.end();
    assert!(!blind || before.frames.len() as u64 <= whole.frames);
    let payload = vec![7; 3.min(store.payload_len_max() as usize)];
    let appended = store.append(&payload).expect("the disk works").position;
    assert!(appended >= whole.position);
    assert_eq!(store.read(appended).expect("it was appended"), payload);
    store.close().expect("the disk works");
    drop(store);
    let store = open().unwrap_or_else(|error| panic!("opened again: {error}"));
    assert!(store.recovery().clean && store.recovery().set_aside.is_none());
    assert_eq!(store.end().frames, whole.frames + 1);
    let mut again = walk(&store);
    let last = again.frames.remove(&appended).expect("it is there");
    assert_eq!(last.2, payload);
    assert_eq!(again.frames, before.frames, "opened again");
    store.close().expect("the disk works");
    Some(before)
}

/// Reads all frames in all ways, which have to agree.
fn walk(store: &Store) -> Walk {
    let walked = walk_by(store, |frames| {
        let frame = frames.next()?;
        Some(frame.map(|frame| (frame.position, frame.end, frame.ends_batch, frame.payload)))
    });
    let lent = walk_by(store, |frames| {
        let frame = frames.next_ref()?;
        let owned = |frame: proglog_store::FrameRef<'_>| {
            let payload = Bytes::copy_from_slice(frame.payload);
            (frame.position, frame.end, frame.ends_batch, payload)
        };
        Some(frame.map(owned))
    });
    assert_eq!(walked, lent, "kept and lent");
    for (position, (end, _, payload)) in &walked.frames {
        assert_eq!(&store.read(*position).expect("it is whole"), payload);
        let len = usize::try_from(end.get() - position.get()).expect("a frame fits");
        for guess in [0, 8, len, len + 1] {
            let frame = store.read_frame(*position, guess).expect("it is whole");
            assert_eq!(frame.len(), len);
            assert_eq!(&frame[len - payload.len()..], payload);
        }
    }
    for (position, _) in &walked.errors {
        assert!(store.read(*position).is_err(), "{position}");
    }
    walked
}

type Found = proglog_store::Result<(Position, Position, bool, Bytes)>;

fn walk_by(store: &Store, next: impl Fn(&mut Frames) -> Option<Found>) -> Walk {
    let mut walk = Walk::default();
    let mut frames = store.frames(..);
    loop {
        match next(&mut frames) {
            Some(Ok((position, end, ends_batch, payload))) => {
                walk.frames.insert(position, (end, ends_batch, payload));
            }
            Some(Err(error)) => {
                walk.errors.push((frames.position(), error.to_string()));
                assert!(next(&mut frames).is_none(), "it ends after an error");
                if frames.resume().expect("the disk works").is_none() {
                    return walk;
                }
            }
            None => return walk,
        }
    }
}
