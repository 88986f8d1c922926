//! The trait of every log that can be read, wherever it keeps its records.

use std::fmt::Debug;
use std::time::SystemTime;

use crate::clock;
use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::offset::{Offset, OffsetBounds, Offsets};
use crate::read::follow::Follow;
use crate::read::records::Records;
use crate::read::seek;
use crate::record::StoredRecord;

/// An ordered sequence of records that can be read, each named by its offset.
///
/// Code that only reads a log takes an `Arc<dyn ReadLog>` or an `impl ReadLog`, and works with a
/// [`Log`](crate::Log), a [`MemoryLog`](crate::MemoryLog), a [`Reader`](crate::Reader) and a
/// [`ReadOnlyLog`](crate::ReadOnlyLog).
///
/// An implementation promises that offsets are dense, that an offset that was read never names another value,
/// and that the records of a batch become visible together. Only the required methods have to be
/// implemented; the others have defaults in terms of these, which a log may override with faster ones.
///
/// ```
/// use proglog_log::{Log, LogOptions, MemoryLog, ReadLog, Result};
///
/// fn bytes(log: &dyn ReadLog) -> Result<usize> {
///     log.records((..).into()).map(|record| Ok(record?.value.len())).sum()
/// }
///
/// # let directory = tempfile::tempdir()?;
/// let log = Log::open(directory.path(), &LogOptions::new())?;
/// log.append("on disk")?;
/// assert_eq!(bytes(&log)?, 7);
/// assert_eq!(bytes(&MemoryLog::new())?, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ReadLog: Debug + Send + Sync {
    /// Returns the name of the log in its errors: for a log on disk the absolute path of its directory.
    fn name(&self) -> &str;

    /// Reads the record at `offset`.
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`] at or past the end, [`Reason::Trimmed`] below the start, [`Reason::Corrupt`] if
    /// the record was damaged, and errors of the file system.
    fn read(&self, offset: Offset) -> Result<StoredRecord>;

    /// Iterates over the records of `range` in order; from the last to the first with `rev()`.
    ///
    /// A range without a start begins at the start of the log, and one without an end goes up to the end of
    /// the log as it is when the iterator gets there. The bounds that are given are exact: where a record
    /// of the range is trimmed or not there yet, the iterator yields the error that
    /// [`read`](ReadLog::read) returns, and ends. For the part of a range that is there, see
    /// [`Offsets::clamp`]. A range whose end is not above its start yields nothing, whatever is in the log.
    fn records(&self, range: OffsetBounds) -> Records;

    /// Iterates over the records from `from` on, and waits for new ones at the end. Otherwise like
    /// [`records`](ReadLog::records).
    ///
    /// An error ends it: [`Reason::OutOfRange`] if `from` is past the end of the log, [`Reason::Trimmed`] if the next
    /// record was dropped before it was read, [`Reason::Closed`] once the log is closed, and the others that are
    /// listed at [`Follow`].
    fn follow(&self, from: Offset) -> Follow;

    /// Returns the lowest readable offset.
    fn start_offset(&self) -> Offset;

    /// Returns the offset after the last readable record. It is not below the end of any append that was
    /// acknowledged before the call.
    fn end_offset(&self) -> Offset;

    /// Returns the readable offsets: the [start](ReadLog::start_offset) up to the
    /// [end](ReadLog::end_offset).
    fn offsets(&self) -> Offsets {
        // In this order: the start never passes an end that was read after it.
        Offsets::new(self.start_offset(), self.end_offset())
    }

    /// Returns the number of readable records.
    fn len(&self) -> u64 {
        self.offsets().len()
    }

    /// Returns whether no record is readable.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether the log is closed: every read fails with [`Reason::Closed`] then. The default is for logs
    /// that are never closed.
    fn is_closed(&self) -> bool {
        false
    }

    /// Reads the newest record; `None` if the log is empty.
    ///
    /// # Errors
    ///
    /// As [`read`](ReadLog::read), without [`Reason::OutOfRange`] and [`Reason::Trimmed`].
    fn last(&self) -> Result<Option<StoredRecord>> {
        let mut offsets = self.offsets();
        loop {
            let Some(last) = offsets.last() else {
                return if self.is_closed() {
                    Err(Error::new(self.name(), Reason::Closed))
                } else {
                    Ok(None)
                };
            };
            let read = self.read(last);
            let seen = std::mem::replace(&mut offsets, self.offsets());
            match read {
                // The record was dropped in the meantime.
                Err(Error {
                    reason: Reason::Trimmed { .. } | Reason::OutOfRange { .. },
                    ..
                }) if offsets != seen => {}
                read => return read.map(Some),
            }
        }
    }

    /// As [`read`](ReadLog::read), but returns `None` instead of waiting for the device, or searching for a record that is
    /// not in its place. Async code calls it first, and [`read`](ReadLog::read) on a thread that may block if it has to.
    /// The default is always `None`.
    ///
    /// ```
    /// use proglog_log::{Log, LogOptions, ReadLog};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new())?;
    /// let offset = log.append("hello")?;
    /// let record = match log.try_read(offset)? {
    ///     Some(record) => record,
    ///     None => log.read(offset)?, // elsewhere, in async code
    /// };
    /// assert_eq!(record.value, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Reason::OutOfRange`] at or past the end, [`Reason::Trimmed`] below the start, and [`Reason::Closed`]. What is
    /// damaged or cannot be read is `None`: [`read`](ReadLog::read) has the error.
    fn try_read(&self, offset: Offset) -> Result<Option<StoredRecord>> {
        let _ = offset;
        Ok(None)
    }

    /// Reads consecutive records from `from` on: up to `records_max` records and up to `bytes_max` bytes of values, keys
    /// and headers, with 32 more for each header, but at least one record, unless `from` is the end or `records_max` is
    /// 0. It may return fewer records than fit, for example at the end of a segment, or since the log counts more bytes
    /// for each.
    ///
    /// # Errors
    ///
    /// Those of [`read`](ReadLog::read), if they concern the first record; an error after that only ends the
    /// batch. Reading at the end returns an empty batch.
    fn read_batch(
        &self,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Vec<StoredRecord>> {
        let (mut records, mut bytes) = (Vec::new(), 0);
        for record in self.records((from..).into()).take(records_max) {
            let record = match record {
                Ok(record) => record,
                Err(error) if records.is_empty() => return Err(error),
                Err(_) => break,
            };
            bytes += record.size();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(record);
        }
        Ok(records)
    }

    /// As [`read_batch`](ReadLog::read_batch), but returns `None` instead of waiting for the device for the first record,
    /// and ends the batch before another one that it would have to wait for. The default is always `None`.
    ///
    /// # Errors
    ///
    /// As [`try_read`](ReadLog::try_read), without [`Reason::OutOfRange`] at the end.
    fn try_read_batch(
        &self,
        from: Offset,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<Option<Vec<StoredRecord>>> {
        let _ = (from, records_max, bytes_max);
        Ok(None)
    }

    /// Returns the offset of the first record that was appended at `time` or later; the end if there is none. The
    /// default takes about as many reads as the number of records has binary digits. A damaged record
    /// counts as appended together with the next readable one, and each that is met costs one more read.
    ///
    /// # Errors
    ///
    /// [`Reason::Closed`], and errors of the file system.
    fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
        if self.is_closed() {
            return Err(Error::new(self.name(), Reason::Closed));
        }
        seek::offset_for_time(self.offsets(), clock::micros(time), |offset| {
            self.read(offset)
        })
    }
}

/// Implements [`ReadLog`] for a log by its inherent methods: the required ones, `offsets`, and those that are listed.
macro_rules! impl_read_log {
    ($log:ident $(, $method:ident)*) => {
        impl ReadLog for $log {
            fn name(&self) -> &str {
                $log::name(self)
            }

            fn read(&self, offset: Offset) -> Result<StoredRecord> {
                $log::read(self, offset)
            }

            fn records(&self, range: OffsetBounds) -> Records {
                $log::records(self, range)
            }

            fn follow(&self, from: Offset) -> Follow {
                $log::follow(self, from)
            }

            fn start_offset(&self) -> Offset {
                $log::start_offset(self)
            }

            fn end_offset(&self) -> Offset {
                $log::end_offset(self)
            }

            fn offsets(&self) -> Offsets {
                $log::offsets(self)
            }

            $(impl_read_log!(@$method $log);)*
        }
    };
    (@is_closed $log:ident) => {
        fn is_closed(&self) -> bool {
            $log::is_closed(self)
        }
    };
    (@read_batch $log:ident) => {
        fn read_batch(
            &self,
            from: Offset,
            records_max: usize,
            bytes_max: usize,
        ) -> Result<Vec<StoredRecord>> {
            $log::read_batch(self, from, records_max, bytes_max)
        }
    };
    (@try_read $log:ident) => {
        fn try_read(&self, offset: Offset) -> Result<Option<StoredRecord>> {
            $log::try_read(self, offset)
        }

        fn try_read_batch(
            &self,
            from: Offset,
            records_max: usize,
            bytes_max: usize,
        ) -> Result<Option<Vec<StoredRecord>>> {
            $log::try_read_batch(self, from, records_max, bytes_max)
        }
    };
    (@offset_for_time $log:ident) => {
        fn offset_for_time(&self, time: SystemTime) -> Result<Offset> {
            $log::offset_for_time(self, time)
        }
    };
}
pub(crate) use impl_read_log;
