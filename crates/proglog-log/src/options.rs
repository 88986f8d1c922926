//! How a log is opened.

use std::time::Duration;

use proglog_store::StoreOptions;

use crate::offset::Offset;
use crate::retention::Retention;

/// When an append is acknowledged, and so what an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Once it is on the device: it survives a power loss. Readers see only such records. Appends
    /// that come at the same time share one sync.
    Synced,
    /// Once it is handed to the operating system: it survives the end of the process, however
    /// sudden. A sync follows at the latest after the interval, and a power loss may take what was
    /// appended since the last one. Readers see a record once it is handed over.
    Interval(Duration),
    /// Once it is in the process's own memory: the end of the process may take what is buffered
    /// (at most 512 KiB), a power loss all since the last [`sync`](crate::Log::sync). The log syncs by
    /// itself in the background, after every 8 MiB and when it is [idle](LogOptions::idle_after), and
    /// whenever a segment is full. Readers see a record at once. The time at which
    /// it says that it was appended may be a few milliseconds early: reading the clock exactly would take
    /// longer than the rest.
    Buffered,
}

impl Durability {
    /// [`Durability::Interval`] with the usual interval, a second.
    pub const INTERVAL: Self = Self::Interval(Duration::from_secs(1));
}

/// How far a [`Reader`](crate::Reader) sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Visibility {
    /// Up to what is as durable as the log promises: in a synced log only what is on the device, so
    /// that an offset that was seen never gets another value. This is the default.
    #[default]
    Acknowledged,
    /// Up to what was submitted, durable or not. If a write fails, or the process ends, what was seen
    /// may go, and its offset name another value. For a replication engine, which sends records to
    /// others while they are being synced here.
    Appended,
    /// Up to the [high watermark](crate::Log::set_high_watermark), which the owner of the log sets, and never
    /// beyond what is acknowledged. For logs whose owner decides what is committed: what a quorum of replicas
    /// has, for example.
    Committed,
}

/// How to open a log, and how to make it where there is none.
///
/// ```
/// use proglog_log::{Durability, LogOptions};
///
/// let options = LogOptions::new().segment_bytes_max(16 << 20).durability(Durability::INTERVAL);
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct LogOptions {
    pub(crate) durability: Durability,
    pub(crate) segment_bytes_max: u64,
    pub(crate) record_bytes_max: usize,
    pub(crate) batch_bytes_max: usize,
    pub(crate) set_aside_files_max: usize,
    pub(crate) idle_after: Duration,
    pub(crate) preallocate_max: u64,
    pub(crate) retention: Retention,
    pub(crate) visibility: Visibility,
    pub(crate) first_offset: Offset,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            segment_bytes_max: 64 << 20,
            record_bytes_max: 1 << 20,
            batch_bytes_max: 16 << 20,
            set_aside_files_max: 100,
            idle_after: Duration::from_millis(250),
            preallocate_max: 8 << 20,
            retention: Retention::new(),
            visibility: Visibility::Acknowledged,
            first_offset: Offset::ZERO,
        }
    }
}

/// The smallest limit on a segment.
const SEGMENT_BYTES_MIN: u64 = 1 << 10;
/// The largest limit on a segment: places in it take 32 bits, and one batch may go past it.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// The largest limit on a batch.
const BATCH_BYTES_MAX: usize = 1 << 30;
/// What the log's own fields and the encoding add to a record's size, at the most; see
/// [`size`](crate::record::size).
pub(crate) const RECORD_OVERHEAD_MAX: usize = 64;

impl LogOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// When an append is acknowledged. Default: [`Durability::Synced`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How many bytes a segment takes before the log rolls to the next one. Smaller segments make
    /// retention finer and recovery shorter, and cost more files; a batch larger than this gets a
    /// segment of its own. Default: 64 MiB. Minimum: 1 KiB. Maximum: 4 GiB.
    pub fn segment_bytes_max(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = bytes;
        self
    }

    /// The largest record, in bytes of its value, its key and its headers (32 more for each
    /// header). Default: 1 MiB. Maximum: the limit on a batch.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// The largest batch, in bytes as [`LogOptions::record_bytes_max`] counts them, and 64 more for each
    /// record but the first.
    /// Default: 16 MiB. Maximum: 1 GiB.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.batch_bytes_max = bytes;
        self
    }

    /// How many files of set-aside bytes each segment may have beside it; opening refuses to add
    /// more. Default: 100.
    pub fn set_aside_files_max(mut self, files: usize) -> Self {
        self.set_aside_files_max = files;
        self
    }

    /// How long after an append, with no other since, the log counts as idle. It is then synced, whatever
    /// its durability, a mark of 32 bytes is written that it is, and its buffers are given back: if the
    /// process is killed afterwards, damage to what was acknowledged last is known for what it is.
    /// [`Duration::MAX`] means never.
    /// Default: 250 milliseconds.
    pub fn idle_after(mut self, time: Duration) -> Self {
        self.idle_after = time;
        self
    }

    /// How many bytes of zeros a [synced](Durability::Synced) log keeps ahead of its data, at the most:
    /// syncing what is written over them is cheaper. It begins with 64 KiB and takes more as the log
    /// grows, never beyond the limit on a segment, and gives them back when it is closed. Without room
    /// for them it does without. Default and maximum: 8 MiB.
    pub fn preallocate_max(mut self, bytes: u64) -> Self {
        self.preallocate_max = bytes;
        self
    }

    /// Which of its oldest records the log drops by itself. Default: none.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// How far the log's own reading operations see; a [`Reader`](crate::Reader) of its own can see
    /// further or less far. Default: [`Visibility::Acknowledged`].
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// The offset of the first record of a log that is created by opening it; a log that exists keeps its
    /// offsets. For a log that continues another one, for example. Default: 0.
    ///
    /// ```
    /// use proglog_log::{Log, LogOptions};
    ///
    /// # let directory = tempfile::tempdir()?;
    /// let log = Log::open(directory.path(), &LogOptions::new().first_offset(1000))?;
    /// assert_eq!(log.append("first")?, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first_offset(mut self, offset: impl Into<Offset>) -> Self {
        self.first_offset = offset.into();
        self
    }

    pub(crate) fn validate(&self) -> Result<(), OptionsError> {
        let segment = self.segment_bytes_max;
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&segment) {
            return Err(OptionsError::SegmentBytes {
                got: segment,
                min: SEGMENT_BYTES_MIN,
                max: SEGMENT_BYTES_MAX,
            });
        }
        if self.batch_bytes_max > BATCH_BYTES_MAX {
            return Err(OptionsError::BatchBytes {
                got: self.batch_bytes_max,
                max: BATCH_BYTES_MAX,
            });
        }
        let max = self
            .batch_bytes_max
            .min(StoreOptions::PAYLOAD_LEN_MAX as usize - RECORD_OVERHEAD_MAX);
        if self.record_bytes_max > max {
            return Err(OptionsError::RecordBytes {
                got: self.record_bytes_max,
                max,
            });
        }
        Ok(())
    }
}

/// Options that are out of range or do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// A segment would be too small or too large.
    #[error("segments of {got} bytes: at least {min} and at most {max} are possible")]
    SegmentBytes {
        /// The limit asked for.
        got: u64,
        /// The smallest limit.
        min: u64,
        /// The largest limit.
        max: u64,
    },
    /// A batch could be too large.
    #[error("batches of up to {got} bytes: at most {max} are possible")]
    BatchBytes {
        /// The limit asked for.
        got: usize,
        /// The largest limit.
        max: usize,
    },
    /// A record could be larger than a batch.
    #[error("records of up to {got} bytes: at most {max} are possible, the limit on a batch")]
    RecordBytes {
        /// The limit asked for.
        got: usize,
        /// The largest limit.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::Log;
    use crate::error::Error;

    #[test]
    fn a_record_may_be_as_large_as_a_batch_and_no_larger_than_a_frame_can_be() {
        let frame = StoreOptions::PAYLOAD_LEN_MAX as usize - RECORD_OVERHEAD_MAX;
        for (batch, max) in [(1000, 1000), (BATCH_BYTES_MAX, frame)] {
            let options = LogOptions::new().batch_bytes_max(batch);
            let largest = options.clone().record_bytes_max(max);
            Log::open_in(SimDisk::new().directory(), &largest).unwrap();
            let got = max + 1;
            let larger = options.record_bytes_max(got);
            let error = Log::open_in(SimDisk::new().directory(), &larger).unwrap_err();
            let Error::Options(error) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error, OptionsError::RecordBytes { got, max });
        }
    }
}
