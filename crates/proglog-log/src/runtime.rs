//! The runtime: threads that run the background work of all logs in the process.
//!
//! No thread belongs to one log. By default a small pool serves all logs: its first thread starts when a log is
//! opened, which fails if that thread cannot start, and the others when there is work. A program with threads
//! of its own for such work can install them instead.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::sync::{Condvar, Mutex, OnceLock};

/// Upper limit on the threads of the pool. Jobs mostly wait for a device.
const THREADS_MAX: usize = 4;

/// A piece of background work. It may block on a file, and never panics.
pub type Job = Box<dyn FnOnce() + Send>;

/// Runs the background work of all logs in the process: syncs for awaited tickets and callbacks, syncs at an
/// interval, sync marks of idle logs, retention, and reads for streams.
///
/// The default is a pool of up to four threads; the first starts when a log is opened, the others when there is
/// work. [`install_runtime`] replaces it.
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

/// Installs `runtime` to run the background work of all logs in this process.
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
/// [`RuntimeInUse`] if a runtime was installed before, or a log was opened, or any background work was
/// scheduled: call this before the first log is opened.
pub fn install_runtime(runtime: impl Runtime + 'static) -> Result<(), RuntimeInUse> {
    RUNTIME
        .set(Some(Box::new(runtime)))
        .map_err(|_| RuntimeInUse)
}

/// The installed runtime; `None` once the pool is in use.
static RUNTIME: OnceLock<Option<Box<dyn Runtime>>> = OnceLock::new();

static POOL: Pool = Pool::new();

fn installed() -> Option<&'static dyn Runtime> {
    RUNTIME.get_or_init(|| None).as_deref()
}

/// Starts the pool, unless a runtime is installed.
pub(crate) fn start() -> Result<()> {
    match installed() {
        Some(_) => Ok(()),
        None => POOL.start_first().map_err(|source| Error::NoThread {
            source: Arc::new(source),
        }),
    }
}

/// Runs `job` soon, in the background.
pub(crate) fn spawn(job: impl FnOnce() + Send + 'static) {
    let job = Box::new(job);
    match installed() {
        Some(runtime) => runtime.spawn(job),
        None => POOL.add(|state| state.ready.push_back(job)),
    }
}

/// Runs `job` once `delay` has passed, in the background.
pub(crate) fn spawn_after(delay: Duration, job: impl FnOnce() + Send + 'static) {
    // A delay past the end of the clock never elapses.
    let Some(due) = Instant::now().checked_add(delay) else {
        return;
    };
    let job = Box::new(job);
    match installed() {
        Some(runtime) => runtime.spawn_after(delay, job),
        None => POOL.add(|state| state.add_timer(due, job)),
    }
}

/// A pool of threads. Once it has one, that thread never ends.
struct Pool {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    ready: VecDeque<Job>,
    /// Keyed by due time, and a number that distinguishes equal times.
    timers: BTreeMap<(Instant, u64), Job>,
    timers_added: u64,
    threads: usize,
    idle: usize,
}

impl State {
    fn add_timer(&mut self, due: Instant, job: Job) {
        self.timers_added += 1;
        self.timers.insert((due, self.timers_added), job);
    }
}

impl Pool {
    const fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            timers_added: 0,
            threads: 0,
            idle: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    /// Starts a thread, if there is none.
    fn start_first(&'static self) -> io::Result<()> {
        let mut state = self.state.lock();
        if state.threads == 0 {
            self.start(&mut state)?;
        }
        Ok(())
    }

    /// Adds a job with `change`, and wakes or starts a thread for it. If no thread can be started and there is
    /// none, the next call tries again.
    fn add(&'static self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let enough = state.idle > 0 && state.ready.len() <= state.idle;
        if enough || state.threads == THREADS_MAX {
            self.changed.notify_one();
            return;
        }
        drop(self.start(&mut state));
    }

    /// Starts and counts a thread.
    fn start(&'static self, state: &mut State) -> io::Result<()> {
        thread::Builder::new()
            .name("proglog".to_owned())
            .spawn(|| self.work())?;
        state.threads += 1;
        Ok(())
    }

    fn work(&'static self) {
        let mut state = self.state.lock();
        loop {
            let now = Instant::now();
            while let Some(timer) = state.timers.first_entry()
                && timer.key().0 <= now
            {
                let job = timer.remove();
                state.ready.push_back(job);
            }
            if let Some(job) = state.ready.pop_front() {
                if !state.ready.is_empty() {
                    // The thread that was to be woken for it may have been busy then.
                    self.changed.notify_one();
                }
                let is_last = state.idle == 0 && state.threads < THREADS_MAX;
                if is_last && !(state.timers.is_empty() && state.ready.is_empty()) {
                    // The job may take long, and the others need a thread.
                    drop(self.start(&mut state));
                }
                drop(state);
                run(job);
                state = self.state.lock();
                continue;
            }
            let next = state.timers.first_key_value().map(|((due, _), _)| *due);
            state.idle += 1;
            match next {
                Some(due) => drop(self.changed.wait_until(&mut state, due)),
                None => self.changed.wait(&mut state),
            }
            state.idle -= 1;
        }
    }
}

/// Runs `job`, and catches a panic, which can only come from a user's callback.
pub(crate) fn run(job: impl FnOnce()) {
    drop(catch_unwind(AssertUnwindSafe(job)));
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Barrier};

    use super::*;
    use crate::sync::RwLock;

    /// Timeout for what comes soon.
    const LONG: Duration = Duration::from_mins(1);

    fn add_job(pool: &'static Pool, job: impl FnOnce() + Send + 'static) {
        pool.add(|state| state.ready.push_back(Box::new(job)));
    }

    /// Waits until `threads` threads are idle.
    fn wait_for_idle(pool: &Pool, threads: usize) {
        let begun = Instant::now();
        while pool.state.lock().idle != threads {
            assert!(begun.elapsed() < LONG, "they do not become idle");
            thread::yield_now();
        }
    }

    #[test]
    fn the_first_thread_is_started_once() {
        static POOL: Pool = Pool::new();
        for _ in 0..3 {
            POOL.start_first().unwrap();
            assert_eq!(POOL.state.lock().threads, 1);
        }
    }

    #[test]
    fn jobs_run_and_a_panic_harms_no_other() {
        let (sender, receiver) = channel();
        for number in 0..100 {
            let sender = sender.clone();
            spawn(move || {
                assert!(number % 10 != 0, "a panic that the test wants");
                sender.send(number).unwrap();
            });
        }
        drop(sender);
        let mut done = receiver.iter().collect::<Vec<_>>();
        done.sort_unstable();
        assert_eq!(
            done,
            (0..100)
                .filter(|number| number % 10 != 0)
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_job_that_takes_long_holds_up_no_timer() {
        static POOL: Pool = Pool::new();
        let (release, blocked) = channel::<()>();
        let (sender, receiver) = channel();
        // Both at once, so that one thread is started, which gets to the job first.
        POOL.add(|state| {
            let long = move || assert!(blocked.recv().is_err());
            state.ready.push_back(Box::new(long));
            let due = Instant::now() + Duration::from_millis(30);
            let timer = move || sender.send(()).unwrap();
            state.timers.insert((due, 0), Box::new(timer));
        });
        receiver.recv_timeout(LONG).unwrap();
        drop(release);
    }

    #[test]
    fn delayed_jobs_run_in_the_order_of_their_times_and_none_early() {
        // On one thread, whatever else this process has to do.
        static POOL: Pool = Pool::new();
        POOL.state.lock().threads = THREADS_MAX;
        let (sender, receiver) = channel();
        let begun = Instant::now();
        for millis in [40, 20, 60, 20] {
            let (sender, due) = (sender.clone(), begun + Duration::from_millis(millis));
            let job = move || sender.send((millis, Instant::now() >= due)).unwrap();
            POOL.add(|state| state.add_timer(due, Box::new(job)));
        }
        thread::spawn(|| POOL.work());
        let done = receiver.iter().take(4).collect::<Vec<_>>();
        assert_eq!(done, [(20, true), (20, true), (40, true), (60, true)]);
    }

    #[test]
    fn a_timer_alone_has_a_thread_started() {
        static POOL: Pool = Pool::new();
        let (sender, receiver) = channel();
        POOL.add(|state| {
            let due = Instant::now() + Duration::from_millis(1);
            let timer = move || sender.send(()).unwrap();
            state.timers.insert((due, 0), Box::new(timer));
        });
        receiver.recv_timeout(LONG).unwrap();
    }

    #[test]
    fn a_thread_that_is_idle_takes_the_next_job_and_one_is_started_where_none_is() {
        static POOL: Pool = Pool::new();
        let (release, blocked) = channel::<()>();
        let (sender, receiver) = channel();
        add_job(&POOL, || {});
        wait_for_idle(&POOL, 1);
        let begun = sender.clone();
        add_job(&POOL, move || {
            begun.send("the first").unwrap();
            assert!(blocked.recv().is_err());
        });
        assert_eq!(POOL.state.lock().threads, 1);
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), "the first");
        add_job(&POOL, move || sender.send("the second").unwrap());
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), "the second");
        assert_eq!(POOL.state.lock().threads, 2);
        drop(release);
    }

    #[test]
    fn however_many_jobs_block_there_are_no_more_threads_than_a_few() {
        static POOL: Pool = Pool::new();
        static GATE: RwLock<()> = RwLock::new(());
        let (sender, receiver) = channel();
        let job = || {
            let sender = sender.clone();
            move || {
                sender.send(()).unwrap();
                drop(GATE.read());
            }
        };
        let closed = GATE.write();
        // At once, so that one thread starts another.
        POOL.add(|state| {
            for _ in 0..2 * THREADS_MAX {
                state.ready.push_back(Box::new(job()));
            }
        });
        for _ in 0..THREADS_MAX {
            receiver.recv_timeout(LONG).unwrap();
        }
        assert_eq!(POOL.state.lock().threads, THREADS_MAX);
        add_job(&POOL, job());
        assert_eq!(POOL.state.lock().threads, THREADS_MAX);
        assert!(receiver.try_recv().is_err(), "the others have to wait");
        drop(closed);
        for _ in 0..=THREADS_MAX {
            receiver.recv_timeout(LONG).unwrap();
        }
    }

    #[test]
    fn timers_of_one_time_hold_up_one_another_only_while_no_thread_is_idle() {
        static POOL: Pool = Pool::new();
        let (sender, receiver) = channel();
        let both = Arc::new(Barrier::new(2));
        // Each of two such jobs ends once the other has begun.
        let job = || {
            let (both, sender) = (Arc::clone(&both), sender.clone());
            move || {
                both.wait();
                sender.send(()).unwrap();
            }
        };
        POOL.add(|state| {
            for _ in 0..2 {
                state.ready.push_back(Box::new(job()));
            }
        });
        wait_for_idle(&POOL, 2);
        // Adding the timers wakes one of the two threads, and the other sleeps on.
        POOL.add(|state| {
            let due = Instant::now() + Duration::from_millis(20);
            for number in 0..2 {
                state.timers.insert((due, number), Box::new(job()));
            }
        });
        for _ in 0..4 {
            receiver.recv_timeout(LONG).unwrap();
        }
    }

    #[test]
    fn timers_are_numbered_so_that_those_of_one_time_are_kept_apart() {
        for _ in 0..3 {
            spawn_after(Duration::from_hours(24), || {});
        }
        let state = super::POOL.state.lock();
        let numbers = state.timers.keys().map(|(_, number)| *number);
        let mut numbers = numbers.collect::<Vec<_>>();
        numbers.sort_unstable();
        assert!(numbers.len() >= 3 && numbers.is_sorted_by(|one, next| one < next));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_no_thread_can_be_started_no_log_is_opened_and_the_next_job_tries_again() {
        use std::process::Command;

        use proglog_store::testing::SimDisk;

        use crate::error::ErrorKind;
        use crate::open;
        use crate::options::LogOptions;

        const NAME: &str =
            "where_no_thread_can_be_started_no_log_is_opened_and_the_next_job_tries_again";
        const MARK: &str = "PROGLOG_TEST_NO_THREADS";
        static POOL: Pool = Pool::new();
        if std::env::var_os(MARK).is_none() {
            // A process none of whose threads can have a stack.
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("runtime::tests::{NAME}")])
                .arg("--test-threads=1")
                .env(MARK, "1")
                .env("RUST_MIN_STACK", (usize::MAX / 4).to_string())
                .output()
                .unwrap();
            let stdout = String::from_utf8_lossy(&output.stdout);
            assert!(stdout.contains("1 passed"), "{stdout}");
            return;
        }
        for _ in 0..2 * THREADS_MAX {
            add_job(&POOL, || {});
            assert_eq!(POOL.state.lock().threads, 0);
        }
        // Awaited appends would never complete.
        let disk = SimDisk::new();
        let error = open::open(disk.directory(), &LogOptions::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached, "{error:?}");
        assert_eq!(disk.file_names(), ["LOCK"]);
    }
}
