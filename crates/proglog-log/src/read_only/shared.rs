//! Shared state of a read-only log's handles, and the polling for followers.

use std::sync::Arc;
use std::time::Duration;

use proglog_store::io::Directory;

use crate::engine::tasks::Task;
use crate::error::reason::{self, Reason};
use crate::error::{Error, LogName, Named, Result};
use crate::options::Visibility;
use crate::read::reader::Reader;
use crate::read::view::View;
use crate::read_only::options::ReadOnlyOptions;
use crate::read_only::snapshot::{Durable, Snapshot};
use crate::runtime::RuntimeHandle;
use crate::segment::reclaiming::Reclaiming;
use crate::sync::Mutex;

/// Time between two refreshes while there are followers.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Refreshes in a row that fail before followers get the error: one may succeed again.
const FAILURES_MAX: usize = 10;

pub(super) struct Shared {
    directory: Arc<dyn Directory>,
    view: Arc<View>,
    snapshot: Mutex<Snapshot>,
    /// Each follower has a clone.
    followers: Arc<()>,
    polling: Mutex<Polling>,
    poll: Task<Self>,
    runtime: RuntimeHandle,
}

/// State of the refreshes for followers.
#[derive(Default)]
struct Polling {
    /// Refreshes that failed since the last one that succeeded.
    failures: usize,
    /// The last failure, once there are [`FAILURES_MAX`].
    failure: Option<Error>,
}

impl Shared {
    pub(super) fn open(
        directory: Arc<dyn Directory>,
        options: &ReadOnlyOptions,
    ) -> Result<Arc<Self>> {
        let log = LogName::of_directory(&*directory);
        let runtime = options.runtime.clone();
        let cache = options.cache_or_global();
        let directory: Arc<dyn Directory> = Arc::new(Reclaiming::new(directory, cache.clone()));
        let mut snapshot = Snapshot::new(cache);
        let durable = snapshot.refresh(&directory).named(&log)?;
        let Durable {
            segments,
            start,
            end,
        } = durable;
        let view = View::new(log, segments, start, end, runtime.clone());
        Ok(Arc::new_cyclic(|this| Self {
            directory,
            view: Arc::new(view),
            snapshot: Mutex::new(snapshot),
            followers: Arc::new(()),
            polling: Mutex::default(),
            runtime: runtime.clone(),
            poll: Task::new(this, &runtime, |shared: &Self, ()| shared.poll()),
        }))
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Reads the directory again, and shows readers what is there.
    pub(super) fn refresh(&self) -> Result<()> {
        self.try_refresh().named(self.view.log())
    }

    fn try_refresh(&self) -> reason::Result<()> {
        if !self.directory.is_in_place().unwrap_or(true) {
            return Err(Reason::DirectoryMoved);
        }
        let mut snapshot = self.snapshot.lock();
        let visible = self.view.range(Visibility::Acknowledged);
        let durable = snapshot.refresh(&self.directory)?;
        let shown = self.view.segments();
        // Compared with the view, since a refresh that failed may have changed the snapshot.
        let same_segments = durable.segments.len() == shown.len()
            && durable
                .segments
                .iter()
                .zip(&*shown)
                .all(|(a, b)| Arc::ptr_eq(a, b));
        let only_grew = visible.start == durable.start && visible.end <= durable.end.offset();
        if same_segments && only_grew {
            self.view.acknowledge(durable.end);
        } else {
            self.view
                .replace(durable.segments, durable.start, durable.end);
        }
        Ok(())
    }

    /// Reads, and again after a refresh if the first attempt finds no such record or a file that has changed.
    pub(super) fn read<T>(
        &self,
        reader: &Reader,
        read: impl Fn(&Reader) -> Result<T>,
    ) -> Result<T> {
        match read(reader) {
            Err(Error {
                reason:
                    Reason::OutOfRange { .. }
                    | Reason::Io { .. }
                    | Reason::Store(_)
                    | Reason::Corrupt { .. }
                    | Reason::MissingSegment { .. },
                ..
            }) => {
                self.refresh()?;
                read(reader)
            }
            read => read,
        }
    }

    /// Counts a follower until the value is dropped.
    pub(super) fn add_follower(&self) -> Arc<()> {
        Arc::clone(&self.followers)
    }

    /// Returns the error of the refreshes, once it lasts.
    pub(super) fn check_polling(&self) -> Result<()> {
        match &self.polling.lock().failure {
            Some(failure) => Err(failure.clone()),
            None => Ok(()),
        }
    }

    /// Refreshes the view at intervals from here on, as long as there are followers.
    pub(super) fn start_polling(&self) {
        // Under the lock: either a poll that is about to be the last sees the new follower, or it has ended.
        let mut polling = self.polling.lock();
        match self.runtime.start().named(self.view.log()) {
            Ok(()) => self.poll.arm_after(POLL_INTERVAL),
            failed => polling.failure = failed.err(),
        }
    }

    fn poll(&self) {
        let refreshed = self.refresh();
        let has_failed = {
            let mut polling = self.polling.lock();
            polling.count(refreshed);
            if Arc::strong_count(&self.followers) > 1 {
                self.poll.arm_after(POLL_INTERVAL);
            }
            polling.failure.is_some()
        };
        if has_failed {
            self.view.changed().notify_waiters();
        }
    }
}

impl Polling {
    fn count(&mut self, refreshed: Result<()>) {
        match refreshed {
            Ok(()) => (self.failures, self.failure) = (0, None),
            Err(error) => {
                self.failures += 1;
                self.failure = (self.failures >= FAILURES_MAX).then_some(error);
            }
        }
    }
}
