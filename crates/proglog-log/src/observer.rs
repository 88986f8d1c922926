//! Observers: code of an application that a log notifies of what happens to it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proglog_store::Boundary;

use crate::error::Error;
use crate::layout::log_position::LogPosition;
use crate::offset::Offset;
use crate::runtime::{self, RuntimeHandle};
use crate::sync::Mutex;

/// What a program wants to know of its logs, for its metrics and alerts. Each method does nothing by default.
///
/// A log calls its observer in the background, soon after the event, in the order of the events, and one call at a time.
/// No lock is held meanwhile, no append waits for the call, and a panic in it is caught and affects nothing else. So a
/// method may use the log; but one that causes the event that it is called for never ends. If more than 1,024 calls are
/// waiting, further events are left out, but for the one that poisons the log.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::sync::mpsc::{Sender, channel};
///
/// use proglog_log::{Log, LogOptions, Observer, Synced};
///
/// struct Metrics {
///     syncs: AtomicU64,
///     records: Sender<u64>,
/// }
///
/// impl Observer for Metrics {
///     fn synced(&self, synced: &Synced) {
///         self.syncs.fetch_add(1, Ordering::Relaxed);
///         let _ = self.records.send(synced.records);
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// let (sender, records) = channel();
/// let metrics = Arc::new(Metrics { syncs: AtomicU64::new(0), records: sender });
/// let options = LogOptions::new().observer(metrics.clone());
/// let log = Log::open(directory.path(), &options)?;
/// log.append_batch(["debit", "credit"])?;
/// assert_eq!(records.recv()?, 2);
/// assert_eq!(metrics.syncs.load(Ordering::Relaxed), 1);
/// # Ok(())
/// # }
/// ```
pub trait Observer: Send + Sync {
    /// Records were put on the device by one sync, whatever it was for. A sync that finds nothing to do is not counted.
    fn synced(&self, synced: &Synced) {
        let _ = synced;
    }

    /// The log continues in a new segment, whose first record has the offset `base_offset`: since the one before is full,
    /// or was sealed or dropped by a call.
    fn rolled(&self, base_offset: Offset) {
        let _ = base_offset;
    }

    /// Damage was met: when a record was read, each time, or when the log was opened.
    fn damaged(&self, damaged: &Damaged) {
        let _ = damaged;
    }

    /// A failure has stopped the log: it takes no more appends until it is opened again. Called once.
    fn poisoned(&self, error: &Error) {
        let _ = error;
    }

    /// Opening the log has moved `bytes` torn bytes to the file `file` in its directory.
    fn set_aside(&self, file: &str, bytes: u64) {
        let _ = (file, bytes);
    }
}

/// A sync that an [`Observer`] is notified of.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// The time that it took, with that of writing what was in the log's buffer.
    pub duration: Duration,
    /// The records that are on the device since.
    pub records: u64,
    /// Their bytes in the segment's file, with what the log adds.
    pub bytes: u64,
}

/// Damage that an [`Observer`] is notified of.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Damaged {
    /// The name of the segment's file, in the log's directory.
    pub file: Arc<str>,
    /// The place, in bytes from the start of the file.
    pub byte: u64,
    /// The error of the read that met it; `None` if opening the log did.
    pub error: Option<Error>,
}

/// Most calls of an observer that wait.
const WAITING_MAX: usize = 1024;

/// The observer that options have, if any.
#[derive(Clone, Default)]
pub(crate) struct ObserverHandle(pub(crate) Option<Arc<dyn Observer>>);

impl fmt::Debug for ObserverHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "one" } else { "none" })
    }
}

/// Events of a log on their way to its observer. Has no effect if there is none. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Notices(Option<Arc<Shared>>);

struct Shared {
    observer: Arc<dyn Observer>,
    runtime: RuntimeHandle,
    /// Held to copy a few words. Nothing is locked under it.
    waiting: Mutex<Waiting>,
}

struct Waiting {
    events: VecDeque<Event>,
    /// True while a job makes the calls, or is about to.
    is_delivering: bool,
    /// The end of what was reported as synced.
    synced: LogPosition,
}

#[derive(Debug)]
enum Event {
    Synced(Synced),
    Rolled(Offset),
    Damaged(Damaged),
    Poisoned(Error),
    SetAside(String, u64),
}

impl Event {
    fn deliver(&self, observer: &dyn Observer) {
        match self {
            Self::Synced(synced) => observer.synced(synced),
            Self::Rolled(base_offset) => observer.rolled(*base_offset),
            Self::Damaged(damaged) => observer.damaged(damaged),
            Self::Poisoned(error) => observer.poisoned(error),
            Self::SetAside(file, bytes) => observer.set_aside(file, *bytes),
        }
    }
}

impl Notices {
    /// The events of a log that is synced up to `synced`.
    pub(crate) fn new(
        observer: ObserverHandle,
        runtime: RuntimeHandle,
        synced: LogPosition,
    ) -> Self {
        Self(observer.0.map(|observer| {
            Arc::new(Shared {
                observer,
                runtime,
                waiting: Mutex::new(Waiting {
                    events: VecDeque::new(),
                    is_delivering: false,
                    synced,
                }),
            })
        }))
    }

    /// Returns the time now, if a sync is to be measured.
    pub(crate) fn begin_sync(&self) -> Option<Instant> {
        self.0.as_ref().map(|_| Instant::now())
    }

    /// Reports a sync that began at `begun`, after which the segment with base offset `segment_base` is durable up to
    /// `boundary`.
    pub(crate) fn synced(&self, begun: Option<Instant>, segment_base: Offset, boundary: Boundary) {
        let (Some(shared), Some(begun)) = (&self.0, begun) else {
            return;
        };
        let duration = begun.elapsed();
        let to = LogPosition {
            segment_base,
            boundary,
        };
        shared.push(|waiting| {
            let from = match waiting.synced {
                synced if synced.segment_base == segment_base => synced.boundary,
                _ => Boundary::START,
            };
            // Another sync has covered it, or of two at once the later one is reported first.
            if to <= waiting.synced || boundary.frames <= from.frames {
                return None;
            }
            waiting.synced = to;
            Some(Event::Synced(Synced {
                duration,
                records: boundary.frames - from.frames,
                bytes: boundary.position.get() - from.position.get(),
            }))
        });
    }

    /// Forgets that records from `end` on were synced: they were dropped.
    pub(crate) fn truncated(&self, end: LogPosition) {
        if let Some(shared) = &self.0 {
            let synced = &mut shared.waiting.lock().synced;
            if end.offset() <= synced.offset() {
                *synced = end;
            }
        }
    }

    pub(crate) fn rolled(&self, base_offset: Offset) {
        self.push(|| Event::Rolled(base_offset));
    }

    pub(crate) fn damaged(&self, file: &Arc<str>, byte: u64, error: impl Fn() -> Option<Error>) {
        self.push(|| {
            Event::Damaged(Damaged {
                file: Arc::clone(file),
                byte,
                error: error(),
            })
        });
    }

    pub(crate) fn poisoned(&self, error: impl FnOnce() -> Error) {
        self.push(|| Event::Poisoned(error()));
    }

    pub(crate) fn set_aside(&self, file: &str, bytes: u64) {
        self.push(|| Event::SetAside(file.to_owned(), bytes));
    }

    fn push(&self, event: impl FnOnce() -> Event) {
        if let Some(shared) = &self.0 {
            shared.push(|_| Some(event()));
        }
    }
}

impl Shared {
    /// Adds the event that `event` returns, if there is room for it, and has the calls made.
    fn push(self: &Arc<Self>, event: impl FnOnce(&mut Waiting) -> Option<Event>) {
        let mut waiting = self.waiting.lock();
        let Some(event) = event(&mut waiting) else {
            return;
        };
        if waiting.events.len() >= WAITING_MAX && !matches!(event, Event::Poisoned(_)) {
            return;
        }
        waiting.events.push_back(event);
        if !std::mem::replace(&mut waiting.is_delivering, true) {
            drop(waiting);
            let shared = Arc::clone(self);
            self.runtime.spawn(move || shared.deliver());
        }
    }

    fn next(&self) -> Option<Event> {
        let mut waiting = self.waiting.lock();
        let next = waiting.events.pop_front();
        waiting.is_delivering = next.is_some();
        next
    }

    fn deliver(&self) {
        while let Some(event) = self.next() {
            runtime::run(|| event.deliver(&*self.observer));
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.0.as_ref().map(|shared| {
            let waiting = shared.waiting.lock();
            waiting.events.len()
        });
        f.debug_struct("Notices")
            .field("waiting", &waiting)
            .finish_non_exhaustive()
    }
}
