//! What the handles of a log share: the writer's side, the reader's side, and the way between them.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Weak};

use proglog_store::{Boundary, Directory, Position, Storage};

use crate::checkpoint::{self, Checkpoint, CheckpointFile};
use crate::clock::{Clock, SteadyClock};
use crate::commit::Commit;
use crate::encode::{Stored, Time};
use crate::error::{Error, ErrorKind, Result, SegmentIdentity};
use crate::label::Label;
use crate::offset::Offset;
use crate::options::{Durability, Options};
use crate::reader::Reader;
use crate::record::{self, Record};
use crate::recovery::Recovery;
use crate::segment::{OpenSegment, Segment};
use crate::sync::{AtomicBool, Mutex, OnceLock};
use crate::ticket::{Group, Ticket};
use crate::view::{Place, View};

/// What a frame adds to its payload.
pub(crate) const FRAME_OVERHEAD: u64 = 8;
/// How much a buffered log appends before it has that synced in the background.
const SYNC_SOON_BYTES: u64 = 8 << 20;
/// How many records a log can measure in memory that it keeps: more take memory for a moment.
const LENS_KEPT_MAX: usize = 1024;

/// The state of an open log.
///
/// Locks are taken in this order: `lock`, `trimming`, `lead`, `writer`, `checkpoint`, those of the view;
/// then those of a segment, its index and its store. Readers take only those of the view, and of a
/// segment's such as are never held while a file is written or synced.
pub(crate) struct Shared {
    pub(crate) this: Weak<Self>,
    pub(crate) directory: Arc<dyn Directory>,
    pub(crate) options: Options,
    pub(crate) log_id: u128,
    recovery: Recovery,
    /// The lock on the directory, until the log is closed.
    lock: Mutex<Option<Arc<dyn Storage>>>,
    /// Held by whoever drops the oldest records.
    pub(crate) trimming: Mutex<()>,
    /// Held by the one thread that brings groups to their outcome.
    /// Taken with [`Shared::lead`].
    pub(crate) lead: Mutex<()>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) checkpoint: Mutex<CheckpointFile>,
    pub(crate) view: Arc<View>,
    /// Reads as far as the options say.
    pub(crate) reader: Reader,
    /// The failure that stopped the log.
    failure: OnceLock<Error>,
    /// Whether a background thread was asked to commit and has not begun.
    pub(crate) background_commit: AtomicBool,
    /// Whether a sync is to come once the interval has passed.
    pub(crate) sync_scheduled: AtomicBool,
    /// Tells how old records are.
    pub(crate) steady_clock: SteadyClock,
    /// Whether a look is to be taken soon at what retention lets go.
    pub(crate) retain_soon: AtomicBool,
    /// Whether such a look is to be taken at some time.
    pub(crate) retain_scheduled: AtomicBool,
    /// Whether a look is to be taken whether the log is idle.
    pub(crate) rest_scheduled: AtomicBool,
}

/// What appending changes.
pub(crate) struct Writer {
    pub(crate) active: Arc<OpenSegment>,
    pub(crate) segment: Arc<Segment>,
    /// The next offset to be assigned.
    pub(crate) next: Offset,
    /// What the next append joins.
    pub(crate) group: Arc<Group>,
    /// Where that group begins: the offset, and the place in the active segment.
    pub(crate) group_start: (Offset, Boundary),
    /// Whether the active segment takes no more appends, though the next one could not be made yet.
    /// It may even be closed and its files removed.
    pub(crate) sealed: bool,
    clock: Clock,
    /// Up to where a sync of the active segment was asked for, in a buffered log.
    synced_soon: u64,
    /// How long the records of the batch at hand are: memory that is used again.
    lens: Vec<usize>,
}

/// What became of records that were appended.
struct Appended {
    offsets: Range<Offset>,
    /// The end of the active segment.
    end: Boundary,
    /// Whether the index has a page to be written.
    page_is_full: bool,
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
        let place = place(&active, (end, boundary));
        let view = Arc::new(View::new(segments, start, place));
        let writer = Writer {
            active,
            segment,
            next: end,
            group: Group::new(),
            group_start: (end, boundary),
            sealed: false,
            clock: Clock::after(
                parts.last_appended_at,
                options.durability == Durability::Buffered,
            ),
            synced_soon: boundary.position.get(),
            lens: Vec::new(),
        };
        let visibility = options.visibility;
        Ok(Arc::new_cyclic(|this| Self {
            this: this.clone(),
            directory,
            options,
            log_id,
            recovery,
            lock: Mutex::new(Some(lock)),
            trimming: Mutex::new(()),
            lead: Mutex::new(()),
            writer: Mutex::new(writer),
            checkpoint: Mutex::new(checkpoint),
            reader: Reader::new(Arc::clone(&view), visibility),
            view,
            failure: OnceLock::new(),
            background_commit: AtomicBool::new(false),
            sync_scheduled: AtomicBool::new(false),
            steady_clock: SteadyClock::new(),
            retain_soon: AtomicBool::new(false),
            retain_scheduled: AtomicBool::new(false),
            rest_scheduled: AtomicBool::new(false),
        }))
    }

    pub(crate) fn recovery(&self) -> &Recovery {
        &self.recovery
    }

    pub(crate) fn check_appendable(&self) -> Result<()> {
        self.view.check_open()?;
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

    /// Appends one record and waits for its outcome.
    pub(crate) fn append(&self, record: &Record) -> Result<Offset> {
        let ticket = self.submit(std::slice::from_ref(record), None)?;
        Ok(ticket.wait()?.start)
    }

    /// Appends `records` as a batch; if `expected` is given, only where that is the next offset to be
    /// assigned.
    pub(crate) fn submit(&self, records: &[Record], expected: Option<Offset>) -> Result<Ticket> {
        record::validate(records, &self.options)?;
        let writer = &mut *self.writer.lock();
        self.check_appendable()?;
        if let Some(expected) = expected
            && expected != writer.next
        {
            let end = writer.next;
            return Err(Error::EndMoved { expected, end });
        }
        if records.is_empty() {
            return Ok(Ticket::ready(writer.next..writer.next));
        }
        let time = Time::new(writer.clock.now());
        let lens = writer.measure(records, &time);
        let appended = self.append_measured(writer, records, (&lens, &time));
        writer.keep(lens);
        let Appended {
            offsets,
            end,
            page_is_full,
        } = appended?;
        let active = &writer.active;
        let place = place(active, (offsets.end, end));
        if self.options.durability == Durability::Buffered {
            self.view.acknowledge(place);
            if page_is_full {
                active.index.write_full_pages(end.frames);
            }
            if end.position.get() - writer.synced_soon >= SYNC_SOON_BYTES {
                writer.synced_soon = end.position.get();
                self.sync_soon();
            }
            self.rest_when_idle(end);
            return Ok(Ticket::ready(offsets));
        }
        self.view.append(place);
        self.rest_when_idle(end);
        let driver = self.this.upgrade().expect("whoever appends holds the log");
        Ok(Ticket::pending(offsets, Arc::clone(&writer.group), driver))
    }

    /// Appends `records`, which were measured, to the active segment or, where they do not go into it
    /// any more, to the next one: they would make it too long, or one is too large for a segment made
    /// with smaller limits. An empty segment takes them all, since the next one would have its name.
    fn append_measured(
        &self,
        writer: &mut Writer,
        records: &[Record],
        measured: (&[usize], &Time),
    ) -> Result<Appended> {
        let (active, limit) = (&writer.active, self.options.segment_bytes_max);
        let payload_len_max = active.store.payload_len_max() as usize;
        let limit = if writer.next == active.base() {
            Some(u64::MAX)
        } else if measured.0.iter().any(|len| *len > payload_len_max) {
            None
        } else {
            Some(limit)
        };
        if let Some(limit) = limit.filter(|_| !writer.sealed)
            && let Some(appended) = writer
                .append(records, measured, limit)
                .map_err(|error| self.refuse(error))?
        {
            return Ok(appended);
        }
        self.roll(writer)?;
        let appended = writer
            .append(records, measured, u64::MAX)
            .map_err(|error| self.refuse(error))?;
        Ok(appended.expect("a segment without a limit takes all"))
    }

    /// Seals the active segment, unless it is sealed, and makes the next one.
    fn roll(&self, writer: &mut Writer) -> Result<()> {
        if !writer.sealed {
            self.seal(writer)?;
        }
        self.next_segment(writer)
            .map_err(|error| self.refuse(error))
    }

    /// Puts all of the active segment on the device, which acknowledges it, and lets it take no more
    /// appends.
    pub(crate) fn seal(&self, writer: &mut Writer) -> Result<()> {
        let active = Arc::clone(&writer.active);
        let sealed = active.store.seal();
        let synced = active.store.recovery_point();
        if synced.frames == writer.next.since(active.base()) {
            // The open group is durable, whatever became of the mark that seals the store.
            let end = (writer.next, synced);
            self.view.acknowledge(place(&active, end));
            writer.group_start = end;
            std::mem::replace(&mut writer.group, Group::new()).settle(Ok(()));
        }
        sealed.map_err(|error| self.refuse(error))?;
        writer.sealed = true;
        Ok(())
    }

    /// Makes the segment that comes after the active one, which is sealed.
    pub(crate) fn next_segment(&self, writer: &mut Writer) -> Result<()> {
        let old = Arc::clone(&writer.active);
        let identity = SegmentIdentity {
            log_id: self.log_id,
            base_offset: writer.next,
        };
        let label = Label {
            identity,
            previous_base: self.view.segments().last().map(|segment| segment.base()),
        };
        let segment = Arc::new(Segment::create(&self.directory, label, &self.options)?);
        if !self.end_cut(writer.next)? {
            // The index is a cache: one that cannot be written is made again when it is needed.
            old.index.write_all(true);
        }
        let active = segment.open()?;
        self.view.push(&segment);
        writer.segment.release();
        // Who still reads in it does not hold its lock: the log may be cut there.
        drop(old.store.release());
        (writer.group_start, writer.synced_soon) = ((writer.next, Boundary::START), 0);
        (writer.active, writer.segment, writer.sealed) = (active, segment, false);
        // It may lag behind: what matters is in the segments.
        drop(self.write_checkpoint(writer.next, Boundary::START));
        self.retain_later();
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
        // Under the lock: closing waits for it before others may open the log.
        if self.view.is_open() {
            Self::write_checkpoint_to(&mut file, base, recovery_point)
        } else {
            Ok(())
        }
    }

    fn write_checkpoint_to(
        file: &mut CheckpointFile,
        base: Offset,
        recovery_point: Boundary,
    ) -> Result<()> {
        let current = file.current();
        if current.cut {
            // It says what is to go, until that is gone.
            return Ok(());
        }
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
        self.view.check_open()?;
        let next = Checkpoint {
            data: data.to_vec(),
            ..file.current().clone()
        };
        file.write(next)
    }

    pub(crate) fn publish(&self, end: Offset) -> Result<()> {
        self.view.check_open()?;
        let offset = end;
        // Held, so that what is appended there is not taken back in between.
        let writer = self.writer.lock();
        let (start, end) = (self.reader.start_offset(), writer.next);
        if offset > end {
            return Err(Error::OutOfRange { offset, start, end });
        }
        self.view.publish(offset);
        Ok(())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.check_appendable()?;
        self.commit(Commit::Sync)
    }

    pub(crate) fn close(&self) -> Result<()> {
        // Held to the end: who closes a log that is being closed waits until it is.
        let mut lock = self.lock.lock();
        // Who is trimming the log is done with its files before others may open it.
        let _trimming = self.trimming.lock();
        {
            // Appends check it under this lock.
            let _writer = self.writer.lock();
            if !self.view.close() {
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
        let _lead = self.lead();
        let writer = self.writer.lock();
        let active = &writer.active;
        let closed = active.store.close();
        if closed.is_ok() && !writer.sealed {
            active.index.write_all(false);
        }
        for segment in self.view.segments().iter() {
            segment.release();
        }
        closed?;
        let end = active.store.recovery_point();
        Self::write_checkpoint_to(&mut self.checkpoint.lock(), active.base(), end)
    }
}

impl Writer {
    /// When the newest record was appended, as far as this process knows.
    pub(crate) fn last_appended_at(&self) -> Option<i64> {
        Some(self.clock.last()).filter(|last| *last > 0)
    }

    /// How long each of `records` will be in the store, with the offsets that come next.
    #[inline]
    fn measure(&mut self, records: &[Record], time: &Time) -> Vec<usize> {
        let mut lens = std::mem::take(&mut self.lens);
        lens.clear();
        lens.extend(stored(records, self.next, time).map(|record| record.len()));
        lens
    }

    /// Keeps memory to measure the next batch with, if it is not too much.
    #[inline]
    fn keep(&mut self, lens: Vec<usize>) {
        if lens.capacity() <= LENS_KEPT_MAX {
            self.lens = lens;
        }
    }

    /// Gives back what it takes to measure a batch.
    pub(crate) fn release_memory(&mut self) {
        self.lens = Vec::new();
    }

    /// Appends `records`, which were measured, unless the active segment would get longer than `limit`.
    #[inline]
    fn append(
        &mut self,
        records: &[Record],
        (lens, time): (&[usize], &Time),
        limit: u64,
    ) -> Result<Option<Appended>> {
        let (start, active) = (self.next, &self.active);
        let mut stored = stored(records, start, time);
        let limit = Position::new(limit);
        let appended = active.store.append_within(limit, lens, |_, slot| {
            if let Some(record) = stored.next() {
                record.encode(slot);
            }
        })?;
        let Some(appended) = appended else {
            return Ok(None);
        };
        let page_is_full = active
            .index
            .push_batch(appended.position, lens, FRAME_OVERHEAD);
        self.next = start.plus(records.len() as u64);
        let end = Boundary {
            position: appended.position.plus(appended.bytes_written),
            frames: self.next.since(active.base()),
        };
        Ok(Some(Appended {
            offsets: start..self.next,
            end,
            page_is_full,
        }))
    }
}

/// Where the boundary `end.1` of this segment is, which is before the record at `end.0`.
pub(crate) fn place(segment: &OpenSegment, end: (Offset, Boundary)) -> Place {
    Place {
        end: end.0,
        base: segment.base(),
        position: end.1.position,
    }
}

/// `records` as they are stored from offset `start` on.
#[inline]
fn stored<'a>(
    records: &'a [Record],
    start: Offset,
    appended_at: &'a Time,
) -> impl Iterator<Item = Stored<'a>> {
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
            .field("reader", &self.reader)
            .field("durability", &self.options.durability)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}
