//! The runtime: threads that run the background work of logs.
//!
//! No thread belongs to one log. By default a small pool serves all logs of the process: its first thread starts
//! when a log is opened, which fails if that thread cannot start, and the others when there is work. One more thread
//! looks at the files of all logs that other processes write, so that no sync waits for that; it starts when the first
//! of them is opened. A program with threads of its own for such work can install them instead, or give them to single
//! logs.

mod job;
mod pool;
pub(crate) mod process;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::reason::{Reason, Result};
pub use crate::runtime::job::Job;
pub(crate) use crate::runtime::job::run;
use crate::runtime::pool::Pool;
use crate::runtime::process::PerProcess;
use crate::sync::OnceLock;

/// Runs the background work of logs: syncs for awaited tickets and callbacks, syncs at an interval, sync marks of
/// idle logs, retention, and reads for streams.
///
/// The default of the process is a pool of up to four threads; the first starts when a log is opened, the others
/// when there is work. [`ReadOnlyLog`](crate::ReadOnlyLog)s have one more for their followers, which starts when the
/// first of them is opened. [`install_runtime`] replaces all of these, and
/// [`LogOptions::runtime`](crate::LogOptions::runtime) gives a log a runtime of its own.
///
/// Both methods are called while a log holds locks: they must not block, run a job, panic, or use a log.
///
/// Every job must run sooner or later. A log whose job was dropped may never schedule another of that kind, and
/// tasks that await its tickets may then wait for ever.
pub trait Runtime: Send + Sync {
    /// Runs `job` soon, on a thread that may block. The job must not run before this returns, since the caller
    /// may hold locks.
    fn spawn(&self, job: Job);

    /// Runs `job` as [`spawn`](Runtime::spawn) does, once `delay` has passed. The delay added to the present
    /// never overflows an [`Instant`]; in particular it is never [`Duration::MAX`].
    fn spawn_after(&self, delay: Duration, job: Job);
}

/// The process has a runtime already: one was installed, or background work has begun on the default one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the background work of the process has a runtime already")]
pub struct RuntimeInUse;

/// Installs `runtime` to run the background work of all logs in this process that have
/// [no runtime of their own](crate::LogOptions::runtime).
///
/// ```
/// use std::thread;
/// use std::time::Duration;
///
/// use proglog_log::{Job, Runtime, install_runtime};
///
/// struct Threads;
///
/// impl Runtime for Threads {
///     fn spawn(&self, job: Job) {
///         thread::spawn(job);
///     }
///     fn spawn_after(&self, delay: Duration, job: Job) {
///         thread::spawn(move || {
///             thread::sleep(delay);
///             job();
///         });
///     }
/// }
///
/// assert!(install_runtime(Threads).is_ok());
/// assert!(install_runtime(Threads).is_err(), "only once");
/// ```
///
/// # Errors
///
/// [`RuntimeInUse`] if a runtime was installed before, or a log without a runtime of its own was opened, or any
/// background work was scheduled for one: call this before the first log is opened.
pub fn install_runtime(runtime: impl Runtime + 'static) -> Result<(), RuntimeInUse> {
    INSTALLED
        .set(Some(Box::new(runtime)))
        .map_err(|_| RuntimeInUse)
}

/// The installed runtime; `None` once the pool is in use.
static INSTALLED: OnceLock<Option<Box<dyn Runtime>>> = OnceLock::new();

/// Upper limit on the threads of the pool. Jobs mostly wait for a device.
const THREADS_MAX: usize = 4;

/// Kind of work, which has threads of its own by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Work {
    /// Syncs, and all else.
    #[default]
    Any,
    /// Looks at the files of logs that other processes write. They come often, and take long if a file system does.
    Looks,
}

impl Work {
    fn pool(self) -> &'static Pool {
        static ANY: PerProcess<Pool> = PerProcess::new();
        static LOOKS: PerProcess<Pool> = PerProcess::new();
        match self {
            Self::Any => ANY.get(|| Pool::new(THREADS_MAX)),
            Self::Looks => LOOKS.get(|| Pool::new(1)),
        }
    }
}

fn installed() -> Option<&'static dyn Runtime> {
    INSTALLED.get_or_init(|| None).as_deref()
}

/// The runtime of a log: its own, or that of the process.
#[derive(Clone, Default)]
pub(crate) struct RuntimeHandle {
    /// `None` is that of the process. Which one that is, is decided when it is first used.
    own: Option<Arc<dyn Runtime>>,
    work: Work,
}

impl RuntimeHandle {
    pub(crate) fn new(own: Arc<dyn Runtime>) -> Self {
        Self {
            own: Some(own),
            work: Work::default(),
        }
    }

    /// Returns the same runtime for looks at files: by default on a thread that does nothing else.
    pub(crate) fn for_looks(&self) -> Self {
        Self {
            own: self.own.clone(),
            work: Work::Looks,
        }
    }

    /// Returns the runtime that the application provides; `None` if the pool is used.
    fn provided(&self) -> Option<&dyn Runtime> {
        match &self.own {
            Some(own) => Some(&**own),
            None => installed(),
        }
    }

    /// Starts the first thread of the pool, if that is the runtime.
    pub(crate) fn start(&self) -> Result<()> {
        match self.provided() {
            Some(_) => Ok(()),
            None => self
                .work
                .pool()
                .start_first()
                .map_err(|source| Reason::NoThread {
                    source: Arc::new(source),
                }),
        }
    }

    /// Runs `job` soon, in the background.
    pub(crate) fn spawn(&self, job: impl FnOnce() + Send + 'static) {
        let job = Box::new(job);
        match self.provided() {
            Some(runtime) => runtime.spawn(job),
            None => self.work.pool().spawn(job),
        }
    }

    /// Runs `job` once `delay` has passed, in the background.
    pub(crate) fn spawn_after(&self, delay: Duration, job: impl FnOnce() + Send + 'static) {
        // A delay past the end of the clock never elapses.
        let Some(due) = Instant::now().checked_add(delay) else {
            return;
        };
        let job = Box::new(job);
        match self.provided() {
            Some(runtime) => runtime.spawn_after(delay, job),
            None => self.work.pool().spawn_at(due, job),
        }
    }
}

impl fmt::Debug for RuntimeHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.own {
            Some(_) => "its own",
            None => "that of the process",
        })
    }
}
