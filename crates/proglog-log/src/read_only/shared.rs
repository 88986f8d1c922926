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
use crate::read_only::advance::News;
use crate::read_only::options::ReadOnlyOptions;
use crate::read_only::snapshot::{Durable, Snapshot};
use crate::read_only::watch::Watch;
use crate::runtime::RuntimeHandle;
use crate::segment::reclaiming::Reclaiming;
use crate::sync::Mutex;

/// Time between two looks while there are followers.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Refreshes in a row that fail before followers get the error: one may succeed again.
const FAILURES_MAX: usize = 10;

/// The state that the handles of a read-only log share.
///
/// Locks are taken in this order: `watch`, `snapshot`, those of the view. `polling` is taken alone.
pub(super) struct Shared {
    directory: Arc<dyn Directory>,
    view: Arc<View>,
    snapshot: Mutex<Snapshot>,
    /// What looks compare with; `None` while there are no followers, and after a refresh that failed.
    watch: Mutex<Option<Watch>>,
    /// Each follower has a clone.
    followers: Arc<()>,
    polling: Mutex<Polling>,
    poll: Task<Self>,
    /// Runs the looks.
    runtime: RuntimeHandle,
}

/// State of the looks for followers.
#[derive(Default)]
struct Polling {
    /// Looks that failed since the last one that succeeded.
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
        let durable = snapshot.read(&directory).named(&log)?;
        let for_looks = runtime.for_looks();
        // A follower must not find that there is no thread for it.
        for_looks.start().named(&log)?;
        let Durable {
            segments,
            start,
            end,
        } = durable;
        let view = View::new(log, segments, start, end, runtime);
        Ok(Arc::new_cyclic(|this| Self {
            directory,
            view: Arc::new(view),
            snapshot: Mutex::new(snapshot),
            watch: Mutex::new(None),
            followers: Arc::new(()),
            polling: Mutex::default(),
            poll: Task::new(this, &for_looks, |shared: &Self, ()| shared.poll()),
            runtime: for_looks,
        }))
    }

    pub(super) fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// Shows readers what is in the directory now.
    pub(super) fn refresh(&self) -> Result<()> {
        self.try_refresh().named(self.view.log())
    }

    fn try_refresh(&self) -> reason::Result<()> {
        if !self.directory.is_in_place().unwrap_or(true) {
            return Err(Reason::DirectoryMoved);
        }
        let mut snapshot = self.snapshot.lock();
        match snapshot.refresh(&self.directory)? {
            News::Advanced(to) => self.view.advance(&to.added, to.start, to.end),
            News::Read(durable) => self.show(durable),
        }
        Ok(())
    }

    /// Shows readers all of a log that was read.
    fn show(&self, durable: Durable) {
        let visible = self.view.range(Visibility::Acknowledged);
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

    /// Looks for changes at intervals from here on, as long as there are followers.
    pub(super) fn start_polling(&self) {
        // Under the lock: either a poll that is about to be the last sees the new follower, or it has ended.
        let mut polling = self.polling.lock();
        // Starts a thread only in a process that was forked from the one that opened the log.
        match self.runtime.start().named(self.view.log()) {
            Ok(()) => {
                let started =
                    |failure: &mut Error| matches!(failure.reason, Reason::NoThread { .. });
                polling.failure.take_if(started);
                self.poll.arm_after(POLL_INTERVAL);
            }
            failed => polling.failure = failed.err(),
        }
    }

    fn poll(&self) {
        let looked = self.look();
        let (has_failed, is_last) = {
            let mut polling = self.polling.lock();
            polling.count(looked);
            let is_last = Arc::strong_count(&self.followers) == 1;
            if !is_last {
                self.poll.arm_after(POLL_INTERVAL);
            }
            (polling.failure.is_some(), is_last)
        };
        if is_last {
            // Closes a file.
            *self.watch.lock() = None;
        }
        if has_failed {
            self.view.changed().notify_waiters();
        }
    }

    /// Refreshes the view if anything may have changed since the last look, or that failed.
    fn look(&self) -> Result<()> {
        let mut watch = self.watch.lock();
        if let Some(watch) = &mut *watch
            && !watch.has_news(&*self.directory)
        {
            return Ok(());
        }
        // Its file is closed before the next is opened.
        *watch = None;
        // If this fails, the refresh is likely to as well; if not, the next look refreshes again.
        let begun = Watch::begin(&*self.directory);
        self.refresh()?;
        let newest = self.snapshot.lock().newest();
        let end = self.view.acknowledged();
        *watch = (begun.ok()).map(|watch| watch.after_refresh(newest, end));
        Ok(())
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
