//! Small logs to damage, and checks of a damaged log.

use std::collections::BTreeMap;
use std::ops::Range;

use proglog_log::{
    Batch, CheckpointMismatch as Mismatch, Error, ErrorKind, Log, LogOptions, Offset, Reason,
    Recovery,
};
use proglog_store::Position;
use proglog_store::testing::{SimDisk, Survivors};

/// The position of a store's first frame in its file.
pub const HEADER_LEN: u64 = 8192;
pub const CHECKPOINT: &str = "checkpoint";
/// The used bytes of a copy of a checkpoint, and of a copy of a store's header.
pub const COPY_USED: u64 = 1100;
const HEADER_USED: u64 = 96;

pub fn options() -> LogOptions {
    // Nothing is written but what a test asks for.
    let never = std::time::Duration::MAX;
    LogOptions::new()
        .segment_bytes_max(1 << 10)
        .idle_after(never)
        .preallocate_max(0)
}

/// A record of the log, and where it lies.
#[derive(Debug, Clone)]
pub struct Place {
    pub value: String,
    pub file: String,
    /// The bytes of its frame in the file.
    pub bytes: Range<u64>,
    pub ends_batch: bool,
}

/// A log of a few segments that is not open.
#[derive(Debug)]
pub struct Fixture {
    pub disk: SimDisk,
    pub closed: bool,
    /// All records, by offset, those that were trimmed too. All were acknowledged.
    pub places: Vec<Place>,
    /// The lowest offset that was not trimmed.
    pub start: u64,
    /// The number of records that a checkpoint, a mark or a later segment shows to be synced.
    pub sure: u64,
    /// The base offsets of the segments.
    pub bases: Vec<u64>,
    /// The disk after each append.
    pub history: Vec<SimDisk>,
}

/// The name of the store of a segment.
pub fn store(base: u64) -> String {
    format!("{base:020}.log")
}

/// The name of the index of a segment.
pub fn index(base: u64) -> String {
    format!("{base:020}.index")
}

pub fn is_store(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, suffix)| suffix == "log")
}

pub fn is_index(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, suffix)| suffix == "index")
}

/// True if the byte `at` of the file is padding.
pub fn is_padding(file: &str, at: u64) -> bool {
    let in_page = at % 4096;
    if file == CHECKPOINT {
        in_page >= COPY_USED
    } else {
        is_store(file) && at < HEADER_LEN && in_page >= HEADER_USED
    }
}

/// An open log, and what is known of it.
struct Written {
    disk: SimDisk,
    log: Log,
    values: Vec<String>,
    last_group: u64,
    history: Vec<SimDisk>,
}

impl Written {
    /// In three segments. The last group is a batch.
    fn new(author: &str) -> Self {
        let disk = SimDisk::new();
        let mut written = Self {
            log: Log::open_in(disk.directory(), &options()).unwrap(),
            values: Vec::new(),
            last_group: 0,
            history: vec![disk.crash(Survivors::KeepAll)],
            disk,
        };
        let mut steps_in_third = 0;
        while steps_in_third < 2 || !written.history.len().is_multiple_of(4) {
            let count = if written.history.len() % 4 == 3 { 3 } else { 1 };
            written.append(author, count);
            let segments = bases(&written.disk).len();
            assert!(segments <= 3);
            steps_in_third += usize::from(segments == 3);
        }
        written
    }

    fn append(&mut self, author: &str, count: usize) {
        let first = self.values.len();
        let batch = (first..first + count).map(|number| format!("{author}'s record {number:40}"));
        self.values.extend(batch);
        let batch: Batch = self.values[first..].iter().map(String::as_str).collect();
        self.last_group = self.log.append_batch(batch).unwrap().start.get();
        assert_eq!(self.last_group, first as u64);
        self.history.push(self.disk.crash(Survivors::KeepAll));
    }

    fn killed_and_closed(&self) -> [Fixture; 2] {
        let Self { disk, log, .. } = self;
        killed_and_closed(disk, log, &self.values, self.last_group, &self.history)
    }
}

/// Ways in which a log came to be what it is.
pub const KINDS: [fn(&str) -> [Fixture; 2]; 3] = [both, trimmed, truncated];

/// A closed log and a killed one. The values differ from those of another `author`.
pub fn both(author: &str) -> [Fixture; 2] {
    Written::new(author).killed_and_closed()
}

/// As [`both`], trimmed within the newest segment just before.
pub fn trimmed(author: &str) -> [Fixture; 2] {
    let written = Written::new(author);
    let (start, end) = (written.last_group + 1, written.values.len() as u64);
    assert!(start - bases(&written.disk)[2] > 2 && start < end);
    written.log.trim(start).unwrap();
    written.killed_and_closed().map(|fixture| Fixture {
        // The checkpoint that has the start says so.
        sure: end,
        start,
        ..fixture
    })
}

/// As [`both`], truncated within the second segment, and appended to again, though not as far as it went.
pub fn truncated(author: &str) -> [Fixture; 2] {
    let mut written = Written::new(author);
    let end = written.values.len();
    let kept = usize::try_from(bases(&written.disk)[1]).unwrap() + 2;
    written.log.truncate(kept as u64).unwrap();
    written.values.truncate(kept);
    for count in [1, 1, 3] {
        written.append(&format!("{author} again"), count);
    }
    assert!(written.values.len() < end && bases(&written.disk).len() == 3);
    written.killed_and_closed()
}

/// The log as it is now, closed, and killed instead. All `values` were acknowledged, those from
/// `last_group` on last.
pub fn killed_and_closed(
    disk: &SimDisk,
    log: &Log,
    values: &[String],
    last_group: u64,
    history: &[SimDisk],
) -> [Fixture; 2] {
    let killed = disk.crash(Survivors::KeepAll);
    log.close().unwrap();
    let closed = disk.crash(Survivors::KeepAll);
    let all = values.len() as u64;
    // Nothing of what the closed one says is elsewhere in the killed one.
    let (places, bases) = (places(&closed, values), bases(&closed));
    [(closed, true, all), (killed, false, last_group)].map(|(disk, closed, sure)| Fixture {
        places: places.clone(),
        start: 0,
        bases: bases.clone(),
        history: history.to_vec(),
        disk,
        closed,
        sure,
    })
}

/// The base offsets of the segments on `disk`.
pub fn bases(disk: &SimDisk) -> Vec<u64> {
    let names = disk.file_names();
    names
        .iter()
        .filter_map(|name| name.strip_suffix(".log")?.parse().ok())
        .collect()
}

/// The places of the records of these values on `disk`. Records before the first segment have none.
pub fn places(disk: &SimDisk, values: &[String]) -> Vec<Place> {
    let bases = bases(disk);
    let gone = values.iter().take(usize::try_from(bases[0]).unwrap());
    let mut places: Vec<_> = gone
        .map(|value| Place {
            value: value.clone(),
            file: String::new(),
            bytes: 0..0,
            ends_batch: true,
        })
        .collect();
    for base in bases {
        let sealed = proglog_store::segment::open_sealed(&*disk.directory(), &store(base)).unwrap();
        for frame in sealed.frames(..) {
            let frame = frame.unwrap();
            places.push(Place {
                value: values[places.len()].clone(),
                file: store(base),
                bytes: HEADER_LEN + frame.position.get()..HEADER_LEN + frame.end.get(),
                ends_batch: frame.ends_batch,
            });
        }
    }
    assert_eq!(places.len(), values.len());
    places
}

/// The visible part of a damaged log.
#[derive(Debug)]
pub struct Seen {
    pub recovery: Recovery,
    /// The log's end.
    pub end: u64,
    /// The offsets of records whose read failed.
    pub unreadable: Vec<u64>,
}

/// The depth of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Each record is iterated over.
    Iterate,
    /// Each record is read too, by its offset.
    Read,
    /// A record is appended then, and the log is closed and opened again, and read.
    Append,
}

impl Fixture {
    pub fn active(&self) -> u64 {
        *self.bases.last().unwrap()
    }

    pub fn end(&self) -> u64 {
        self.places.len() as u64
    }

    /// The files whose contents mean something.
    pub fn file_names(&self) -> Vec<String> {
        let mut names = self.disk.file_names();
        names.retain(|name| name != "reserve");
        names
    }

    /// True if the log shows that each record is synced, so that a missing one is reported.
    pub fn is_sure(&self) -> bool {
        self.sure == self.end()
    }

    /// The offsets of those records that were not trimmed and whose places are as `is_meant` says.
    pub fn shown(&self, is_meant: impl Fn(&Place) -> bool) -> Vec<u64> {
        let places = (0..).zip(&self.places);
        places
            .filter(|(offset, place)| *offset >= self.start && is_meant(place))
            .map(|(offset, _)| offset)
            .collect()
    }

    /// Opens the log on `disk`, a damaged copy of this one. What can be read is right, an error names
    /// the place; an opening that fails changes nothing. `what` names the damage.
    pub fn open(&self, disk: &SimDisk, depth: Depth, what: &str) -> Result<Seen, Error> {
        let before = disk.deep_clone();
        let log = match Log::open_in(disk.directory(), &options()) {
            Ok(log) => log,
            Err(error) => {
                assert_unchanged(&before, disk, &format!("{what}: {error}"));
                return Err(error);
            }
        };
        assert_eq!(log.start_offset(), Offset::new(self.start), "{what}");
        let end = log.end_offset().get();
        assert!(end <= self.end(), "{what}: {end} records");
        let unreadable = self.iterate(&log, end, what);
        if depth != Depth::Iterate {
            assert_eq!(self.read_each(&log, end, what), unreadable, "{what}");
        }
        let recovery = log.recovery().clone();
        assert_eq!(recovery.records.end.get(), end, "{what}");
        assert_set_aside(&before, disk, &recovery, self.active(), what);
        if depth == Depth::Append {
            self.go_on(disk, &log, end, &unreadable, what);
        }
        Ok(Seen {
            recovery,
            end,
            unreadable,
        })
    }

    /// As [`Fixture::open`], where no damage may keep the log from opening.
    pub fn opened(&self, disk: &SimDisk, depth: Depth, what: &str) -> Seen {
        self.open(disk, depth, what)
            .unwrap_or_else(|error| panic!("{what}: {error}"))
    }

    /// The log opens, and all of it is right.
    pub fn assert_whole(&self, disk: &SimDisk, what: &str) -> Recovery {
        let seen = self.opened(disk, Depth::Append, what);
        assert_eq!(seen.end, self.end(), "{what}");
        assert_eq!(seen.unreadable, [0; 0], "{what}");
        seen.recovery
    }

    /// Reads each record below `end` by its offset; returns which are unreadable.
    fn read_each(&self, log: &Log, end: u64, what: &str) -> Vec<u64> {
        let mut unreadable = Vec::new();
        for offset in 0..self.start {
            let read = log.read(offset);
            assert!(
                matches!(&read, Err(error) if error.kind() == ErrorKind::Trimmed),
                "{what}: {read:?}"
            );
        }
        for offset in self.start..end {
            match log.read(offset) {
                Ok(record) => self.assert_right(offset, &record, what),
                Err(error) => {
                    self.assert_named(offset, &error, what);
                    unreadable.push(offset);
                }
            }
        }
        unreadable
    }

    /// Iterates over the records below `end`, and continues after each error; returns the unreadable ones.
    fn iterate(&self, log: &Log, end: u64, what: &str) -> Vec<u64> {
        let mut unreadable = Vec::new();
        let mut next = self.start;
        while next < end {
            for record in log
                .records(next..)
                .take(usize::try_from(end - next).unwrap())
            {
                match record {
                    Ok(record) => self.assert_right(next, &record, what),
                    Err(error) => {
                        self.assert_named(next, &error, what);
                        unreadable.push(next);
                    }
                }
                next += 1;
            }
        }
        unreadable
    }

    fn assert_right(&self, offset: u64, record: &proglog_log::StoredRecord, what: &str) {
        assert_eq!(record.offset, offset, "{what}");
        let value = &self.places[usize::try_from(offset).unwrap()].value;
        assert_eq!(record.value, value, "{what}");
    }

    fn assert_named(&self, offset: u64, error: &Error, what: &str) {
        let place = &self.places[usize::try_from(offset).unwrap()];
        match &error.reason {
            Reason::Corrupt {
                offset: named,
                file,
                ..
            } if named.get() == offset && **file == *place.file => {}
            other => panic!("{what}: record {offset} of {}: {other:?}", place.file),
        }
    }

    /// A record is appended, the log is closed and opened again, and all is as it was.
    fn go_on(&self, disk: &SimDisk, log: &Log, end: u64, unreadable: &[u64], what: &str) {
        assert_eq!(log.append("more").unwrap(), Offset::new(end), "{what}");
        assert_eq!(log.read(end).unwrap().value, "more", "{what}");
        log.close().unwrap();
        let log = Log::open_in(disk.directory(), &options())
            .unwrap_or_else(|error| panic!("{what}, opened again: {error}"));
        assert!(log.recovery().clean, "{what}");
        assert_eq!(log.recovery().set_aside, None, "{what}");
        assert_eq!(log.end_offset(), Offset::new(end + 1), "{what}");
        assert_eq!(log.read(end).unwrap().value, "more", "{what}");
        assert_eq!(self.read_each(&log, end, what), unreadable, "{what}");
        assert_eq!(self.iterate(&log, end, what), unreadable, "{what}");
    }
}

/// Every file of `before` is as it was. Only the lock's file may have been made.
pub fn assert_unchanged(before: &SimDisk, after: &SimDisk, what: &str) {
    let files = |disk: &SimDisk| -> BTreeMap<_, _> {
        let names = disk.file_names();
        names
            .into_iter()
            .filter(|name| name != "LOCK")
            .map(|name| (name.clone(), disk.read_file(&name)))
            .collect()
    };
    assert!(files(before) == files(after), "{what}: files were changed");
}

/// No file is gone or shorter, except the active segment's store; and what was dropped from that is in
/// the file that recovery names.
fn assert_set_aside(
    before: &SimDisk,
    after: &SimDisk,
    recovery: &Recovery,
    active: u64,
    what: &str,
) {
    for name in before.file_names() {
        let (old, new) = (before.len_of(&name), after.len_of(&name));
        let is_index = is_index(&name);
        assert!(
            is_index || new >= old || name == store(active),
            "{what}: {name} was cut from {old} to {new} bytes"
        );
    }
    let Some(set_aside) = &recovery.set_aside else {
        return;
    };
    let from = usize::try_from(set_aside.byte).unwrap();
    let old = before.read_file(&store(active));
    let kept = after.read_file(&set_aside.file);
    assert_eq!(kept.len() as u64, set_aside.bytes, "{what}");
    assert!(old[from..].starts_with(&kept), "{what}");
    assert!(
        old[from + kept.len()..].iter().all(|byte| *byte == 0),
        "{what}"
    );
}

/// Properties of the simulated disk that it does not check itself.
trait Lengths {
    fn len_of(&self, name: &str) -> u64;
}

impl Lengths for SimDisk {
    fn len_of(&self, name: &str) -> u64 {
        let file = self
            .directory()
            .open(name, proglog_store::io::OpenMode::Read)
            .unwrap();
        file.len().unwrap()
    }
}

/// The file at an error's place, if it names one.
pub fn named_file(error: &Error) -> Option<String> {
    use proglog_store::Error as Store;
    match &error.reason {
        Reason::WrongSegment { file, .. }
        | Reason::NotASegment { file }
        | Reason::Store(
            Store::NotAStore { file, .. }
            | Store::HeadersDiffer { file }
            | Store::UnsupportedVersion { file, .. }
            | Store::UnsupportedFeatures { file, .. }
            | Store::UnsupportedChecksum { file, .. }
            | Store::Truncated { file, .. },
        ) => Some(file.to_string()),
        Reason::MissingSegment { base_offset } => Some(store(base_offset.get())),
        Reason::CheckpointLost { .. }
        | Reason::UnsupportedCheckpoint { .. }
        | Reason::CheckpointMismatch {
            reason: Mismatch::StartPastEnd { .. },
            ..
        } => Some(CHECKPOINT.to_owned()),
        Reason::CheckpointMismatch {
            reason:
                Mismatch::RecoveryPointPastEnd { segment, .. }
                | Mismatch::RecoveryPointMoved { segment, .. },
            ..
        } => Some(segment.to_string()),
        _ => None,
    }
}

/// The position in the store of byte `at` of its file.
pub fn position(at: u64) -> Position {
    Position::new(at - HEADER_LEN)
}
