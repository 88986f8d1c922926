//! What the handles of a log share: the writer's side, the reader's side, and the way between them.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};

use proglog_store::{Boundary, Directory, Position, Storage};

use crate::checkpoint::{self, Checkpoint, CheckpointFile};
use crate::clock::Clock;
use crate::commit::Commit;
use crate::error::{Error, ErrorKind, Result, SegmentIdentity};
use crate::label::Label;
use crate::offset::Offset;
use crate::options::{Durability, Options};
use crate::record::{Batch, Record, Stored};
use crate::recovery::Recovery;
use crate::segment::{OpenSegment, Segment};
use crate::sync::{AtomicBool, AtomicU64, Mutex, OnceLock, Ordering, RwLock};
use crate::ticket::{Group, Ticket};

/// What a frame adds to its payload.
pub(crate) const FRAME_OVERHEAD: u64 = 8;
/// What a store may put before a batch: a sync mark.
const MARK_LEN: u64 = 32;

/// The state of an open log.
///
/// Locks are taken in this order: `lock`, `lead`, `writer`, `checkpoint`, `segments`, `visible`; then
/// those of a segment, its index and its store. Readers take only the last two of these, and of the
/// others only such as are never held while a file is written or synced.
pub(crate) struct Shared {
    pub(crate) this: Weak<Self>,
    directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    log_id: u128,
    recovery: Recovery,
    /// The lock on the directory, until the log is closed.
    lock: Mutex<Option<Arc<dyn Storage>>>,
    /// Held by the one thread that brings groups to their outcome.
    pub(crate) lead: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) checkpoint: Mutex<CheckpointFile>,
    /// All segments, the oldest first, the active one last. Replaced as a whole.
    segments: RwLock<Arc<[Arc<Segment>]>>,
    pub(crate) visible: Mutex<Visible>,
    /// The end in `visible`, to be read without the lock.
    pub(crate) visible_end: AtomicU64,
    start: AtomicU64,
    /// The failure that stopped the log.
    failure: OnceLock<Error>,
    closed: AtomicBool,
    /// Whether a background thread was asked to commit and has not begun.
    pub(crate) background_commit: AtomicBool,
    /// Whether a sync is to come once the interval has passed.
    pub(crate) sync_scheduled: AtomicBool,
    /// Whether a look is to be taken whether the log is idle.
    pub(crate) mark_scheduled: AtomicBool,
}

/// What appending changes.
pub(crate) struct Writer {
    pub(crate) active: Arc<OpenSegment>,
    segment: Arc<Segment>,
    /// The next offset to be assigned.
    pub(crate) next: Offset,
    /// What the next append joins.
    pub(crate) group: Arc<Group>,
    /// Where that group begins: the offset, and the place in the active segment.
    pub(crate) group_start: (Offset, Boundary),
    /// Whether the active segment takes no more appends, though the next one could not be made yet.
    sealed: bool,
    clock: Clock,
    /// How long the records of the batch at hand are: memory that is used again.
    lens: Vec<usize>,
}

/// What readers see.
pub(crate) struct Visible {
    /// The end of it (exclusive).
    pub(crate) end: Offset,
    /// The base offset of the segment that the end is in.
    pub(crate) base: Offset,
    /// The place of the end there.
    pub(crate) position: Position,
}

/// What is at an offset that is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readable {
    /// A record.
    Record,
    /// The end of the log.
    End,
}

/// What it takes to put a log together.
pub(crate) struct Parts {
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    pub(crate) lock: Arc<dyn Storage>,
    pub(crate) checkpoint: CheckpointFile,
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) recovery: Recovery,
    /// When the newest record was appended.
    pub(crate) last_appended_at: i64,
}

impl Shared {
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>> {
        let Parts {
            directory,
            options,
            lock,
            checkpoint,
            segments,
            recovery,
            ..
        } = parts;
        let segment = Arc::clone(segments.last().expect("an open log has an active segment"));
        let active = segment.open()?;
        let boundary = active.store.end();
        let end = active.base().plus(boundary.frames);
        let (log_id, start) = (checkpoint.current().log_id, checkpoint.current().start);
        let visible = Visible {
            end,
            base: active.base(),
            position: boundary.position,
        };
        let writer = Writer {
            active,
            segment,
            next: end,
            group: Group::new(),
            group_start: (end, boundary),
            sealed: false,
            clock: Clock::after(parts.last_appended_at),
            lens: Vec::new(),
        };
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            directory,
            options,
            log_id,
            recovery,
            lock: Mutex::new(Some(lock)),
            lead: Mutex::new(()),
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(checkpoint),
            segments: RwLock::new(segments.into()),
            visible: Mutex::new(visible),
            visible_end: AtomicU64::new(end.get()),
            start: AtomicU64::new(start.get()),
            failure: OnceLock::new(),
            closed: AtomicBool::new(false),
            background_commit: AtomicBool::new(false),
            sync_scheduled: AtomicBool::new(false),
            mark_scheduled: AtomicBool::new(false),
        }))
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }

    fn check_appendable(&self) -> Result<()> {
        self.check_open()?;
        match self.failure.get() {
            Some(failure) => Err(Error::Poisoned {
                source: Arc::new(failure.clone()),
            }),
            None => Ok(()),
        }
    }

    /// Stops the log.
    pub(crate) fn poison(&self, failure: &Error) {
        // The first failure is the one to tell of.
        drop(self.failure.set(failure.clone()));
    }

    /// What can be read.
    pub(crate) fn readable(&self) -> Range<Offset> {
        let end = Offset::new(self.visible_end.load(Ordering::Acquire));
        Offset::new(self.start.load(Ordering::Acquire))..end
    }

    /// The segment that has the record at `offset`, which is readable.
    pub(crate) fn segment_of(&self, offset: Offset) -> Arc<Segment> {
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base() <= offset);
        Arc::clone(&segments[after.saturating_sub(1)])
    }

    /// How far readers see in the segment with base offset `base`: up to this offset (exclusive),
    /// and up to this place if the segment goes on behind it.
    pub(crate) fn visible_in(&self, base: Offset) -> (Offset, Option<Position>) {
        {
            let visible = self.visible.lock();
            if visible.base == base {
                return (visible.end, Some(visible.position));
            }
        }
        let segments = self.segments.read();
        let after = segments.partition_point(|segment| segment.base() <= base);
        let next = segments.get(after).map(|segment| segment.base());
        (
            next.expect("readers see into the newest segment, or a later one"),
            None,
        )
    }

    /// Whether `offset` can be read, or is the end.
    pub(crate) fn check_readable(&self, offset: Offset) -> Result<Readable> {
        let Range { start, end } = self.readable();
        if offset < start {
            Err(Error::Trimmed { offset, start, end })
        } else if offset > end {
            Err(Error::OutOfRange { offset, start, end })
        } else if offset == end {
            Ok(Readable::End)
        } else {
            Ok(Readable::Record)
        }
    }

    pub(crate) fn read(&self, offset: Offset) -> Result<Record> {
        self.check_open()?;
        match self.check_readable(offset)? {
            Readable::Record => self.segment_of(offset).open()?.read(offset),
            Readable::End => {
                let Range { start, end } = self.readable();
                Err(Error::OutOfRange { offset, start, end })
            }
        }
    }

    pub(crate) fn submit(&self, batch: &Batch) -> Result<Ticket> {
        batch.validate(&self.options)?;
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if batch.is_empty() {
            return Ok(Ticket::ready(writer.next..writer.next));
        }
        let appended_at = writer.clock.now();
        let len = writer.measure(batch.records(), appended_at);
        if writer.sealed || self.must_roll(writer, len) {
            self.roll(writer)?;
        }
        let offsets = writer
            .append(batch.records(), appended_at)
            .map_err(|error| self.refuse(error))?;
        let active = &writer.active;
        if self.options.durability == Durability::Buffered {
            let end = active.store.end();
            self.show(active, (offsets.end, end));
            active.index.write_full_pages(end.frames);
            return Ok(Ticket::ready(offsets));
        }
        let driver = self.this.upgrade().expect("whoever appends holds the log");
        Ok(Ticket::pending(offsets, Arc::clone(&writer.group), driver))
    }

    /// Whether a batch of `len` bytes, which was measured, has to go to the next segment: it would
    /// make this one too long, or has a record that is too large for a segment made with smaller
    /// limits. An empty segment may have marks, but the next one would have its name.
    fn must_roll(&self, writer: &Writer, len: u64) -> bool {
        let (active, store) = (&writer.active, &writer.active.store);
        let too_long = store.len() + MARK_LEN + len > self.options.segment_bytes_max;
        let payload_len_max = store.payload_len_max() as usize;
        let too_large = writer.lens.iter().any(|len| *len > payload_len_max);
        writer.next != active.base() && (too_long || too_large)
    }

    /// Seals the active segment and makes the next one.
    fn roll(&self, writer: &mut Writer) -> Result<()> {
        let old = Arc::clone(&writer.active);
        let sealed = old.store.seal();
        let synced = old.store.recovery_point();
        if synced.frames == writer.next.since(old.base()) {
            // The open group is durable, whatever became of the mark that seals the store.
            let end = (writer.next, synced);
            self.show(&old, end);
            writer.group_start = end;
            std::mem::replace(&mut writer.group, Group::new()).settle(Ok(()));
        }
        sealed.map_err(|error| self.refuse(error))?;
        writer.sealed = true;
        self.next_segment(writer, &old)
            .map_err(|error| self.refuse(error))
    }

    fn next_segment(&self, writer: &mut Writer, old: &OpenSegment) -> Result<()> {
        let identity = SegmentIdentity {
            log_id: self.log_id,
            base_offset: writer.next,
        };
        let label = Label {
            identity,
            previous_base: Some(old.base()),
        };
        let segment = Arc::new(Segment::create(&self.directory, label, &self.options)?);
        // The index is a cache: one that cannot be written is made again when it is needed.
        old.index.write_all(true);
        let active = segment.open()?;
        {
            let mut segments = self.segments.write();
            *segments = segments
                .iter()
                .cloned()
                .chain([Arc::clone(&segment)])
                .collect();
        }
        writer.segment.release();
        writer.group_start = (writer.next, Boundary::START);
        (writer.active, writer.segment, writer.sealed) = (active, segment, false);
        // It may lag behind: what matters is in the segments.
        drop(self.write_checkpoint(writer.next, Boundary::START));
        Ok(())
    }

    /// What to tell of an append that `error` has prevented. Stops the log if the store is stopped;
    /// what was appended before may have been affected then, but this append was not.
    fn refuse(&self, error: impl Into<Error>) -> Error {
        let error = error.into();
        if error.kind() != ErrorKind::Poisoned {
            return error;
        }
        let failure = error.of_poisoned_store();
        self.poison(&failure);
        Error::Poisoned {
            source: Arc::new(failure),
        }
    }

    /// Notes that the segment with base offset `base` is durable up to `recovery_point`.
    pub(crate) fn write_checkpoint(&self, base: Offset, recovery_point: Boundary) -> Result<()> {
        let mut file = self.checkpoint.lock();
        let current = file.current();
        if current.segment_exists
            && (base, recovery_point) <= (current.segment_base, current.recovery_point)
        {
            return Ok(());
        }
        let next = Checkpoint {
            segment_exists: true,
            segment_base: base,
            recovery_point,
            ..current.clone()
        };
        file.write(next)
    }

    pub(crate) fn application_data(&self) -> Vec<u8> {
        self.checkpoint.lock().current().data.clone()
    }

    pub(crate) fn set_application_data(&self, data: &[u8]) -> Result<()> {
        let (len, max) = (data.len(), checkpoint::DATA_LEN_MAX);
        if len > max {
            return Err(Error::ApplicationDataTooLarge { len, max });
        }
        let mut file = self.checkpoint.lock();
        // Under the lock: closing waits for it before others may open the log.
        self.check_open()?;
        let next = Checkpoint {
            data: data.to_vec(),
            ..file.current().clone()
        };
        file.write(next)
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.check_appendable()?;
        self.commit(Commit::Sync)
    }

    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: who closes a log that is being closed waits until it is.
        let mut lock = self.lock.lock();
        {
            // Appends check it under this lock.
            let _writer = self.writer.lock();
            if self.closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
        }
        let committed = self.commit(Commit::Sync);
        let closed = self.close_files();
        // Whoever writes the checkpoint has begun before; nobody begins any more.
        drop(self.checkpoint.lock());
        if let Some(lock) = lock.take() {
            // Dropping the handle gives it up in any case.
            drop(lock.unlock());
        }
        committed.and(closed)
    }

    fn close_files(&self) -> Result<()> {
        let _lead = self.lead.lock();
        let writer = self.writer.lock();
        let active = &writer.active;
        let closed = active.store.close();
        if closed.is_ok() {
            active.index.write_all(false);
        }
        for segment in self.segments.read().iter() {
            segment.release();
        }
        closed?;
        self.write_checkpoint(active.base(), active.store.recovery_point())
    }
}

impl Writer {
    /// Prepares to append `records`: notes how long each will be in the store, with the offsets that
    /// come next, and returns how many bytes of frames that makes.
    fn measure(&mut self, records: &[Record], appended_at: i64) -> u64 {
        let stored = stored(records, self.next, appended_at);
        self.lens.clear();
        self.lens.extend(stored.map(|record| record.len()));
        self.lens
            .iter()
            .map(|len| *len as u64 + FRAME_OVERHEAD)
            .sum()
    }

    /// Appends `records`, which were measured.
    fn append(&mut self, records: &[Record], appended_at: i64) -> Result<Range<Offset>> {
        let start = self.next;
        let mut stored = stored(records, start, appended_at);
        let appended = self.active.store.append_with(&self.lens, |_, mut slot| {
            if let Some(record) = stored.next() {
                record.encode(&mut slot);
            }
        })?;
        self.active
            .index
            .push_batch(appended.position, &self.lens, FRAME_OVERHEAD);
        self.next = start.plus(records.len() as u64);
        Ok(start..self.next)
    }
}

/// `records` as they are stored from offset `start` on.
fn stored(records: &[Record], start: Offset, appended_at: i64) -> impl Iterator<Item = Stored<'_>> {
    let numbered = (start.get()..).map(Offset::new).zip(records);
    numbered.map(move |(offset, record)| Stored {
        record,
        offset,
        appended_at,
    })
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log")
            .field("readable", &self.readable())
            .field("durability", &self.options.durability)
            .field("failure", &self.failure)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
