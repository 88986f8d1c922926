//! Options of a log.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::{Position, StoreOptions};

#[cfg(any(test, feature = "testing"))]
use crate::clock::TestClock;
use crate::clock::TimeSource;
use crate::error::reason::{OptionsError, Reason, Result};
use crate::observer::{Observer, ObserverHandle};
use crate::offset::Offset;
use crate::record::RECORD_OVERHEAD_MAX;
use crate::record::fields::Fields;
use crate::record::producer::PRODUCER_LEN_MAX;
use crate::retention::Retention;
use crate::runtime::{Runtime, RuntimeHandle};
use crate::segment::cache::Cache;

/// The point at which an append is acknowledged, and so what an acknowledged record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Durability {
    /// Acknowledged once it is on the device: it survives a power loss. Readers see only such records.
    /// Concurrent appends share one sync.
    Synced,
    /// Acknowledged once it is written to the operating system: it survives the end of the process, however
    /// sudden. A sync follows within the interval, and a power loss may take the records since the last sync.
    /// Readers see a record once it is written.
    Interval(Duration),
    /// Acknowledged once it is in the memory of the process: the end of the process may take what is buffered
    /// (at most 512 KiB), and a power loss everything since the last [`sync`](crate::Log::sync). The log syncs in
    /// the background after every 8 MiB and when it is [idle](LogOptions::idle_after), and whenever a segment is
    /// full. Readers see a record at once. The time of an append may be a few milliseconds early: reading the
    /// exact time would take longer than the append.
    Buffered,
}

impl Durability {
    /// [`Durability::Interval`] with the usual interval, a second.
    pub const INTERVAL: Self = Self::Interval(Duration::from_secs(1));
}

/// The end of what a [`Reader`](crate::Reader) sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Visibility {
    /// Records that are as durable as the log promises: in a synced log only those on the device, so that an
    /// offset that was read never gets another value. This is the default.
    #[default]
    Acknowledged,
    /// Records that were submitted, durable or not. If a write fails, or the process ends, records that were read
    /// may disappear, and their offsets get other values. For replication, which sends records to other
    /// replicas while they are synced.
    Appended,
    /// Acknowledged records below the [high watermark](crate::Log::set_high_watermark), which the owner of the log
    /// sets. For logs whose owner decides what is committed: what a quorum of replicas
    /// has, for example.
    Committed,
}

/// Options to open or create a log with.
///
/// The methods take any value. If a limit on segments, batches or records is out of range, opening a log fails with
/// [`Reason::Options`], which has the values that are possible.
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
    pub(crate) runtime: RuntimeHandle,
    pub(crate) observer: ObserverHandle,
    pub(crate) time_source: TimeSource,
    /// `None` is that of the process.
    cache: Option<Cache>,
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
            runtime: RuntimeHandle::default(),
            observer: ObserverHandle::default(),
            time_source: TimeSource::default(),
            cache: None,
        }
    }
}

/// The smallest limit on a segment.
const SEGMENT_BYTES_MIN: u64 = 1 << 10;
/// The largest limit on a segment: places in it take 32 bits, and one batch may go past it.
const SEGMENT_BYTES_MAX: u64 = 4 << 30;
/// The most bytes by which a payload is longer than the record's size.
const PAYLOAD_OVERHEAD_MAX: usize = RECORD_OVERHEAD_MAX + PRODUCER_LEN_MAX;
/// The largest limit on a batch.
const BATCH_BYTES_MAX: usize = 1 << 30;

impl LogOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets when an append is acknowledged. Default: [`Durability::Synced`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the size in bytes at which the log rolls to the next segment. Smaller segments make retention
    /// finer and recovery shorter, and take more files. A batch that is larger gets a segment of its own.
    /// Default: 64 MiB. Minimum: 1 KiB. Maximum: 4 GiB.
    pub fn segment_bytes_max(mut self, bytes: u64) -> Self {
        self.segment_bytes_max = bytes;
        self
    }

    /// Sets the largest record, in bytes of its value, key and headers (32 more for each header). Default: 1 MiB.
    /// Maximum: the limit on a batch.
    pub fn record_bytes_max(mut self, bytes: usize) -> Self {
        self.record_bytes_max = bytes;
        self
    }

    /// Sets the largest batch, in bytes as [`LogOptions::record_bytes_max`] counts them, and 64 more for each
    /// record but the first. Default: 16 MiB. Maximum: 1 GiB.
    pub fn batch_bytes_max(mut self, bytes: usize) -> Self {
        self.batch_bytes_max = bytes;
        self
    }

    /// Sets the number of files with torn bytes that are kept for each segment, at least one. An opening that adds
    /// one more removes the oldest, and [reports](crate::SetAside::removed) their names. They go with their segment
    /// when it is dropped. Default: 100.
    pub fn set_aside_files_max(mut self, files: usize) -> Self {
        self.set_aside_files_max = files;
        self
    }

    /// Sets the time without appends after which the log is idle. It is then synced, whatever its durability,
    /// a sync mark of 32 bytes is written, and its buffers are released. If the process is killed afterwards,
    /// damage to the newest records is detected as corruption, not mistaken for a torn write.
    ///
    /// The log compares its end at intervals of this time, so it is idle after up to twice as long. While there are
    /// appends, it also checks at this interval that its directory is still at its path, see
    /// [`Log::open`](crate::Log::open). [`Duration::MAX`] means never. Default: 250 milliseconds.
    pub fn idle_after(mut self, time: Duration) -> Self {
        self.idle_after = time;
        self
    }

    /// Sets the most bytes that a [synced](Durability::Synced) log preallocates after its data, as zeros: syncs of
    /// writes over them are cheaper. It begins with 64 KiB and takes more as the log grows, never beyond the
    /// limit on a segment, and releases them when it is closed. On a full device it does without. Default and
    /// maximum: 8 MiB.
    pub fn preallocate_max(mut self, bytes: u64) -> Self {
        self.preallocate_max = bytes;
        self
    }

    /// Sets which of its oldest records the log drops on its own. Default: none.
    pub fn retention(mut self, retention: Retention) -> Self {
        self.retention = retention;
        self
    }

    /// Sets what the reading operations of the log see; a [`Reader`](crate::Reader) can have another visibility.
    /// Default: [`Visibility::Acknowledged`].
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = visibility;
        self
    }

    /// Sets the offset of the first record of a log that is created; a log that exists keeps its offsets. For a
    /// log that continues another one, for example. Default: 0.
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

    /// Sets the clock of the log, for a test.
    #[cfg(any(test, feature = "testing"))]
    pub fn clock(mut self, clock: &Arc<TestClock>) -> Self {
        self.time_source = TimeSource::Test(Arc::clone(clock));
        self
    }

    /// Sets the runtime of the log's background work. Nothing of this log then runs on the threads of the process's
    /// default, nor the other way round. Default: that of the process, which is a pool of a few threads or what
    /// [`install_runtime`](crate::install_runtime) has put in its place.
    pub fn runtime(mut self, runtime: Arc<dyn Runtime>) -> Self {
        self.runtime = RuntimeHandle::new(runtime);
        self
    }

    /// Sets the observer, which the log notifies of syncs, rolls, damage and failures. Default: none.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = ObserverHandle(Some(observer));
        self
    }

    /// Sets the cache of open files and index pages; logs that are given clones of one cache share it. Default: that
    /// of the process, [`Cache::global`].
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Returns the cache of the log.
    pub(crate) fn cache_or_global(&self) -> Cache {
        self.cache.clone().unwrap_or_else(Cache::global)
    }

    /// Returns the options of the store of a segment.
    pub(crate) fn store_options(&self) -> StoreOptions {
        let payload_len_max = u32::try_from(self.record_bytes_max + PAYLOAD_OVERHEAD_MAX);
        let options = StoreOptions::new()
            .payload_len_max(payload_len_max.expect("the options were validated"))
            .set_aside_files_max(self.set_aside_files_max);
        match self.durability {
            Durability::Synced => {
                let up_to = Position::new(self.segment_bytes_max);
                options.preallocate(self.preallocate_max, up_to)
            }
            Durability::Interval(_) | Durability::Buffered => options,
        }
    }

    /// Checks the sizes of `records`, which are a batch, against the limits.
    #[inline]
    pub(crate) fn check_sizes<'a>(
        &self,
        records: impl ExactSizeIterator<Item = Fields<'a>>,
    ) -> Result<()> {
        let overheads = records.len().saturating_sub(1);
        let mut total = overheads.saturating_mul(RECORD_OVERHEAD_MAX);
        for record in records {
            let (len, max) = (record.size(), self.record_bytes_max);
            if len > max {
                return Err(Reason::RecordTooLarge { len, max });
            }
            total = total.saturating_add(len);
        }
        let (len, max) = (total, self.batch_bytes_max);
        if len > max {
            return Err(Reason::BatchTooLarge { len, max });
        }
        Ok(())
    }

    /// Checks that a log can be opened with these options.
    ///
    /// ```
    /// use proglog_log::LogOptions;
    ///
    /// assert!(LogOptions::new().validate().is_ok());
    /// let error = LogOptions::new().segment_bytes_max(10).validate().unwrap_err();
    /// assert!(error.to_string().starts_with("segment_bytes_max is 10"));
    /// ```
    ///
    /// # Errors
    ///
    /// The one that opening a log would return as [`Reason::Options`]: which option is out of range, and what is
    /// possible.
    pub fn validate(&self) -> Result<(), OptionsError> {
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
            .min(StoreOptions::PAYLOAD_LEN_MAX as usize - PAYLOAD_OVERHEAD_MAX);
        if self.record_bytes_max > max {
            return Err(OptionsError::RecordBytes {
                got: self.record_bytes_max,
                max,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::Log;
    use crate::error::reason::Reason;

    #[test]
    fn a_record_may_be_as_large_as_a_batch_and_no_larger_than_a_frame_can_be() {
        let frame = StoreOptions::PAYLOAD_LEN_MAX as usize - PAYLOAD_OVERHEAD_MAX;
        for (batch, max) in [(1000, 1000), (BATCH_BYTES_MAX, frame)] {
            let options = LogOptions::new().batch_bytes_max(batch);
            let largest = options.clone().record_bytes_max(max);
            Log::open_in(SimDisk::new().directory(), &largest).unwrap();
            let got = max + 1;
            let larger = options.record_bytes_max(got);
            let error = Log::open_in(SimDisk::new().directory(), &larger).unwrap_err();
            let Reason::Options(error) = error.reason else {
                panic!("{error:?}");
            };
            assert_eq!(error, OptionsError::RecordBytes { got, max });
        }
    }
}
