//! A store has the contents of a plain `Vec` of payloads, after any operations in any order: on the
//! operating system's files, and on the simulated disk, where the process is killed too.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use bytes::Bytes;
use proglog_store::io::{Directory, FsDirectory};
use proglog_store::segment::{FRAME_OVERHEAD, StoreExt};
use proglog_store::testing::{SimDisk, Survivors};
use proglog_store::{Boundary, ErrorKind, Position, Store, StoreOptions};
use proptest::collection::vec;
use proptest::prelude::*;

const NAME: &str = "a.store";
const PAYLOAD_LEN_MAX: u32 = 600_000;

/// An operation on a store. Positions are parts in 2^16 of what there is.
#[derive(Debug, Clone)]
enum Op {
    Append(Vec<u8>),
    Batch(Vec<Vec<u8>>),
    TooLarge,
    Read(u16),
    ReadGuessing(u16, usize),
    ReadAnywhere(u16, i64),
    Range(u16, u16),
    Flush,
    Sync,
    Mark,
    Follow,
    Rewind(u16),
    Erase(u16),
    Seal,
    Reopen { knows: bool },
    Kill { knows: bool },
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..40),
        2 => vec(any::<u8>(), 400..2000),
        1 => (0..600_000_usize, any::<u8>()).prop_map(|(len, byte)| vec![byte; len]),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        10 => payload().prop_map(Op::Append),
        4 => vec(payload(), 0..5).prop_map(Op::Batch),
        1 => Just(Op::TooLarge),
        6 => any::<u16>().prop_map(Op::Read),
        3 => (any::<u16>(), 0..4000_usize).prop_map(|(at, guess)| Op::ReadGuessing(at, guess)),
        3 => (any::<u16>(), -50..50_i64).prop_map(|(at, shift)| Op::ReadAnywhere(at, shift)),
        4 => any::<(u16, u16)>().prop_map(|(from, to)| Op::Range(from, to)),
        4 => Just(Op::Flush),
        3 => Just(Op::Sync),
        2 => Just(Op::Mark),
        3 => Just(Op::Follow),
        2 => any::<u16>().prop_map(Op::Rewind),
        2 => any::<u16>().prop_map(Op::Erase),
        1 => Just(Op::Seal),
        2 => any::<bool>().prop_map(|knows| Op::Reopen { knows }),
        2 => any::<bool>().prop_map(|knows| Op::Kill { knows }),
    ]
}

#[derive(Debug, Clone)]
struct Stored {
    position: Position,
    payload: Vec<u8>,
    ends_batch: bool,
}

/// A store and its expected contents.
struct Model {
    directory: Arc<dyn Directory>,
    /// The disk, if it is a simulated one.
    disk: Option<SimDisk>,
    options: StoreOptions,
    store: Store,
    /// The store as another process sees it.
    follower: Option<Store>,
    stored: Vec<Stored>,
    /// The ends of batches.
    boundaries: Vec<Boundary>,
    /// The minimum number of frames after a kill.
    flushed: u64,
    synced: Boundary,
    sealed: bool,
}

impl Model {
    fn new(directory: Arc<dyn Directory>, disk: Option<SimDisk>, options: StoreOptions) -> Self {
        let store = open(&*directory, &options, Boundary::START);
        Self {
            directory,
            disk,
            options,
            store,
            follower: None,
            stored: Vec::new(),
            boundaries: vec![Boundary::START],
            flushed: 0,
            synced: Boundary::START,
            sealed: false,
        }
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Append(payload) => self.append(vec![payload]),
            Op::Batch(payloads) => self.append(payloads),
            Op::TooLarge => {
                let error = self.store.append(&vec![0; PAYLOAD_LEN_MAX as usize + 1]);
                assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
            Op::Read(place) => self.read(place, None),
            Op::ReadGuessing(place, guess) => self.read(place, Some(guess)),
            Op::ReadAnywhere(place, shift) => self.read_anywhere(place, shift),
            Op::Range(from, to) => self.range(from, to),
            Op::Flush => {
                let end = self.store.flush().unwrap();
                assert_eq!(end.frames, self.stored.len() as u64);
                self.flushed = end.frames;
            }
            Op::Sync => {
                self.synced = self.store.sync().unwrap();
                assert_eq!(self.synced, self.store.recovery_point());
                self.flushed = self.synced.frames;
            }
            Op::Mark => {
                self.store.write_sync_mark().unwrap();
                // There is nothing to flush in a sealed store, and all of it is synced.
                self.flushed = self.stored.len() as u64;
                assert_eq!(self.follow().frames, self.synced.frames);
            }
            Op::Follow => _ = self.follow(),
            Op::Rewind(place) => self.rewind(place),
            Op::Erase(place) => self.erase(place),
            Op::Seal => {
                self.store.seal().unwrap();
                self.sealed = true;
                self.check_file_ends_with_data();
                (self.synced, self.flushed) = (self.store.end(), self.store.end().frames);
            }
            Op::Reopen { knows } => self.reopen(knows),
            Op::Kill { knows } => self.kill(knows),
        }
        assert_eq!(self.store.end().frames, self.stored.len() as u64);
    }

    fn append(&mut self, payloads: Vec<Vec<u8>>) {
        let slices = payloads.iter().map(Vec::as_slice).collect::<Vec<_>>();
        let appended = match self.store.append_batch(&slices) {
            Ok(appended) => appended,
            Err(error) => {
                assert!(self.sealed);
                assert_eq!(error.kind(), ErrorKind::Closed);
                return;
            }
        };
        assert!(!self.sealed);
        let mut position = appended.position;
        let count = payloads.len();
        for (index, payload) in payloads.into_iter().enumerate() {
            let next = position.plus(payload.len() as u64 + 8);
            let ends_batch = index + 1 == count;
            self.stored.push(Stored {
                position,
                payload,
                ends_batch,
            });
            position = next;
        }
        assert_eq!(appended.position.plus(appended.bytes_written), position);
        assert_eq!(position, self.store.end().position);
        self.boundaries.push(self.store.end());
    }

    fn place(&self, part: u16) -> usize {
        self.stored.len() * usize::from(part) / (1 << 16)
    }

    fn read(&self, place: u16, guess: Option<usize>) {
        let Some(stored) = self.stored.get(self.place(place)) else {
            let error = self
                .store
                .read(Position::new(self.store.len()))
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutOfRange);
            return;
        };
        let payload = match guess {
            Some(guess) => {
                let frame = self.store.read_frame(stored.position, guess).unwrap();
                let (header, payload) = frame.split_at(frame.len() - stored.payload.len());
                assert_eq!(header.len() as u64, FRAME_OVERHEAD);
                Bytes::copy_from_slice(payload)
            }
            None => self.store.read(stored.position).unwrap(),
        };
        assert!(payload == stored.payload);
    }

    /// A read where no frame starts is an error, whatever is there.
    fn read_anywhere(&self, place: u16, shift: i64) {
        let Some(stored) = self.stored.get(self.place(place)) else {
            return;
        };
        let Some(at) = stored.position.get().checked_add_signed(shift) else {
            return;
        };
        let expected = self
            .stored
            .iter()
            .find(|stored| stored.position.get() == at);
        match (self.store.read(Position::new(at)), expected) {
            (Ok(payload), Some(expected)) => assert!(payload == expected.payload),
            (Err(_), None) => {}
            (read, _) => panic!("at {at}: {read:?}"),
        }
    }

    fn range(&self, from: u16, to: u16) {
        let (from, to) = (self.place(from.min(to)), self.place(from.max(to)));
        let position = |place: usize| match self.stored.get(place) {
            Some(stored) => stored.position,
            None => Position::new(self.store.len()),
        };
        let mut frames = self.store.frames(position(from)..position(to));
        for stored in &self.stored[from..to] {
            let frame = frames.next().unwrap().unwrap();
            assert_eq!(
                (frame.position, frame.ends_batch),
                (stored.position, stored.ends_batch)
            );
            assert!(frame.payload == stored.payload && frame.detach() == stored.payload);
        }
        assert!(frames.next().is_none());
    }

    /// Another process sees a prefix of what is synced.
    fn follow(&mut self) -> Boundary {
        let follower = self.follower.get_or_insert_with(|| {
            proglog_store::segment::open_following(&*self.directory, NAME, Boundary::START).unwrap()
        });
        let end = follower.refresh().unwrap();
        assert!(end.frames <= self.synced.frames && end.position <= self.synced.position);
        let seen = follower.frames(..).map(|frame| frame.unwrap().payload);
        let stored = self.stored.iter().map(|stored| stored.payload.clone());
        assert!(seen.eq(stored.take(usize::try_from(end.frames).unwrap())));
        end
    }

    fn rewind(&mut self, place: u16) {
        let place = self.boundaries.len() * usize::from(place) / (1 << 16);
        let to = self.boundaries[place];
        match self.store.rewind(to) {
            Ok(()) => {
                assert!(to >= self.synced);
                self.truncate(to);
                assert_eq!(self.store.end(), to);
            }
            Err(error) => {
                assert!(to < self.synced, "{error}");
                assert_eq!(error.kind(), ErrorKind::OutOfRange);
            }
        }
    }

    fn erase(&mut self, place: u16) {
        let place = self.boundaries.len() * usize::from(place) / (1 << 16);
        let to = self.boundaries[place];
        if let Err(error) = self.store.erase(to) {
            assert!(self.sealed, "{error}");
            return;
        }
        self.truncate(to);
        assert_eq!(self.store.recovery_point(), to);
        let end = self.store.end();
        assert_eq!(end.frames, to.frames);
        self.boundaries.pop();
        self.boundaries.push(end);
        (self.synced, self.flushed) = (to, to.frames);
        // It would not notice.
        self.follower = None;
    }

    fn truncate(&mut self, to: Boundary) {
        self.stored.truncate(usize::try_from(to.frames).unwrap());
        self.boundaries.retain(|boundary| *boundary <= to);
        self.flushed = self.flushed.min(to.frames);
    }

    fn reopen(&mut self, owner_knows: bool) {
        self.store.close().unwrap();
        assert_eq!(self.store.sync().unwrap_err().kind(), ErrorKind::Closed);
        let known = self.store.recovery_point();
        self.check_file_ends_with_data();
        if self.stored.is_empty() {
            // The file may be created again.
            self.follower = None;
        }
        self.open(if owner_knows { known } else { Boundary::START });
        assert!(self.store.recovery().clean);
        assert_eq!(self.store.end(), known);
    }

    fn check_file_ends_with_data(&self) {
        let sealed = proglog_store::segment::open_sealed(&*self.directory, NAME).unwrap();
        assert_eq!(sealed.len(), self.store.len());
    }

    fn kill(&mut self, owner_knows: bool) {
        let Some(disk) = &self.disk else {
            return;
        };
        let disk = disk.crash(Survivors::KeepAll);
        self.directory = disk.directory();
        self.follower = None;
        self.disk = Some(disk);
        let known = if owner_knows {
            self.synced
        } else {
            Boundary::START
        };
        let at_least = self.flushed;
        self.open(known);
        let end = self.store.end();
        assert!(end.frames >= at_least, "{end:?} of {at_least}");
        let is_whole = |boundary: &Boundary| boundary.frames == end.frames;
        assert!(
            self.boundaries.iter().any(is_whole),
            "a batch was kept in part"
        );
        self.truncate(end);
        self.flushed = end.frames;
    }

    fn open(&mut self, known: Boundary) {
        self.store = open(&*self.directory, &self.options, known);
        let recovery = self.store.recovery();
        assert_eq!((&recovery.set_aside, recovery.damaged), (&None, None));
        assert!(recovery.recovery_point >= known);
        assert_eq!(
            self.store.recovery_point(),
            self.store.end(),
            "all of it is synced"
        );
        self.check_file_ends_with_data();
        self.synced = self.store.end();
        self.boundaries.push(self.synced);
        self.sealed = false;
    }
}

fn open(directory: &dyn Directory, options: &StoreOptions, known: Boundary) -> Store {
    let options = options.clone().recovery_point(known);
    Store::open_in(directory, NAME, &options).unwrap()
}

fn run(directory: Arc<dyn Directory>, disk: Option<SimDisk>, options: StoreOptions, ops: Vec<Op>) {
    let mut model = Model::new(directory, disk, options);
    for op in ops {
        model.apply(op);
    }
    model.range(0, u16::MAX);
    model.reopen(false);
    let all = model.store.frames(..).map(|frame| frame.unwrap().payload);
    assert!(all.eq(model.stored.iter().map(|stored| stored.payload.clone())));
}

fn options() -> impl Strategy<Value = StoreOptions> {
    let buffer_len = prop_oneof![Just(0), Just(1), Just(100), Just(5000), Just(256 << 10)];
    let fill_ahead = prop_oneof![
        Just((0, 0)),
        Just((100, 20_000)),
        Just((u64::MAX, 1_000_000))
    ];
    (buffer_len, fill_ahead).prop_map(|(buffer_len, (bytes_max, up_to))| {
        StoreOptions::new()
            .payload_len_max(PAYLOAD_LEN_MAX)
            .buffer_len(buffer_len)
            .preallocate(bytes_max, Position::new(up_to))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_store_on_a_simulated_disk_is_a_vec_that_kills_cannot_shorten(
        options in options(), ops in vec(op(), 1..50),
    ) {
        let disk = SimDisk::new();
        run(disk.directory(), Some(disk), options, ops);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_store_in_the_operating_systems_files_is_a_vec(
        options in options(), ops in vec(op(), 1..50),
    ) {
        let directory = tempfile::tempdir().unwrap();
        run(Arc::new(FsDirectory::open(directory.path()).unwrap()), None, options, ops);
    }

    #[test]
    fn short_transfers_and_interruptions_are_never_seen(
        seed in any::<u64>(), options in options(), ops in vec(op(), 1..30),
    ) {
        let disk = SimDisk::new();
        disk.set_short_transfers(Some(seed));
        run(disk.directory(), Some(disk), options, ops);
    }
}
