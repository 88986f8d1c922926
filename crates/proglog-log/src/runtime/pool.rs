//! The pool: the threads on which background work runs by default.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::thread;
use std::time::Instant;

use crate::runtime::job::{Job, run};
use crate::sync::std_sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A pool of up to so many threads. Once it has one, that thread never ends.
///
/// Its idle threads wait on a lock of the standard library: a table of waiting threads, as other locks have it, would
/// be of no use in a process that is forked meanwhile.
pub(super) struct Pool {
    threads_max: usize,
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
    pub(super) const fn new(threads_max: usize) -> Self {
        let state = State {
            ready: VecDeque::new(),
            timers: BTreeMap::new(),
            timers_added: 0,
            threads: 0,
            idle: 0,
        };
        Self {
            threads_max,
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No user's code runs with the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread, if there is none.
    pub(super) fn start_first(&'static self) -> io::Result<()> {
        let mut state = self.lock();
        if state.threads == 0 {
            self.start(&mut state)?;
        }
        Ok(())
    }

    /// Runs `job` soon.
    pub(super) fn spawn(&'static self, job: Job) {
        self.add(|state| state.ready.push_back(job));
    }

    /// Runs `job` at the time `due`.
    pub(super) fn spawn_at(&'static self, due: Instant, job: Job) {
        self.add(|state| state.add_timer(due, job));
    }

    /// Adds a job with `change`, and wakes or starts a thread for it. If no thread can be started and there is
    /// none, the next call tries again.
    fn add(&'static self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        let enough = state.idle > 0 && state.ready.len() <= state.idle;
        let is_served = enough || state.threads == self.threads_max;
        if (is_served || self.start(&mut state).is_err()) && state.idle > 0 {
            self.changed.notify_one();
        }
        // Otherwise one of those that are busy gets to it.
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
        let mut state = self.lock();
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
                let is_last = state.idle == 0 && state.threads < self.threads_max;
                if is_last && !(state.timers.is_empty() && state.ready.is_empty()) {
                    // The job may take long, and the others need a thread.
                    drop(self.start(&mut state));
                }
                drop(state);
                run(job);
                state = self.lock();
                continue;
            }
            let next = state.timers.first_key_value().map(|((due, _), _)| *due);
            state.idle += 1;
            state = if let Some(due) = next {
                let woken = self.changed.wait_timeout(state, due - now);
                woken.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let woken = self.changed.wait(state);
                woken.unwrap_or_else(PoisonError::into_inner)
            };
            state.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    use super::*;
    use crate::sync::RwLock;

    const THREADS_MAX: usize = 4;

    /// Timeout for what comes soon.
    const LONG: Duration = Duration::from_mins(1);

    fn add_job(pool: &'static Pool, job: impl FnOnce() + Send + 'static) {
        pool.spawn(Box::new(job));
    }

    /// Waits until `threads` threads are idle.
    fn wait_for_idle(pool: &Pool, threads: usize) {
        let begun = Instant::now();
        while pool.lock().idle != threads {
            assert!(begun.elapsed() < LONG, "they do not become idle");
            thread::yield_now();
        }
    }

    #[test]
    fn the_first_thread_is_started_once() {
        static POOL: Pool = Pool::new(THREADS_MAX);
        for _ in 0..3 {
            POOL.start_first().unwrap();
            assert_eq!(POOL.lock().threads, 1);
        }
    }

    #[test]
    fn jobs_run_and_a_panic_harms_no_other() {
        static POOL: Pool = Pool::new(THREADS_MAX);
        let (sender, receiver) = channel();
        for number in 0..100 {
            let sender = sender.clone();
            add_job(&POOL, move || {
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
        static POOL: Pool = Pool::new(THREADS_MAX);
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
        static POOL: Pool = Pool::new(THREADS_MAX);
        POOL.lock().threads = THREADS_MAX;
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
        static POOL: Pool = Pool::new(THREADS_MAX);
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
        static POOL: Pool = Pool::new(THREADS_MAX);
        let (release, blocked) = channel::<()>();
        let (sender, receiver) = channel();
        add_job(&POOL, || {});
        wait_for_idle(&POOL, 1);
        let begun = sender.clone();
        add_job(&POOL, move || {
            begun.send("the first").unwrap();
            assert!(blocked.recv().is_err());
        });
        assert_eq!(POOL.lock().threads, 1);
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), "the first");
        add_job(&POOL, move || sender.send("the second").unwrap());
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), "the second");
        assert_eq!(POOL.lock().threads, 2);
        drop(release);
    }

    #[test]
    fn however_many_jobs_block_there_are_no_more_threads_than_a_few() {
        static POOL: Pool = Pool::new(THREADS_MAX);
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
        assert_eq!(POOL.lock().threads, THREADS_MAX);
        add_job(&POOL, job());
        assert_eq!(POOL.lock().threads, THREADS_MAX);
        assert!(receiver.try_recv().is_err(), "the others have to wait");
        drop(closed);
        for _ in 0..=THREADS_MAX {
            receiver.recv_timeout(LONG).unwrap();
        }
    }

    #[test]
    fn timers_of_one_time_hold_up_one_another_only_while_no_thread_is_idle() {
        static POOL: Pool = Pool::new(THREADS_MAX);
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
        static POOL: Pool = Pool::new(THREADS_MAX);
        for _ in 0..3 {
            let due = Instant::now() + Duration::from_hours(24);
            POOL.spawn_at(due, Box::new(|| {}));
        }
        let state = POOL.lock();
        let numbers = state.timers.keys().map(|(_, number)| *number);
        let mut numbers = numbers.collect::<Vec<_>>();
        numbers.sort_unstable();
        assert!(numbers.len() >= 3 && numbers.is_sorted_by(|one, next| one < next));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn where_no_thread_can_be_started_no_log_is_opened_and_the_next_job_tries_again() {
        use std::pin::pin;
        use std::process::Command;
        use std::task::{Context, Poll, Waker};

        use proglog_store::testing::SimDisk;

        use futures::Stream;

        use crate::MemoryLog;
        use crate::error::kind::ErrorKind;
        use crate::open;
        use crate::options::LogOptions;

        const NAME: &str =
            "where_no_thread_can_be_started_no_log_is_opened_and_the_next_job_tries_again";
        const MARK: &str = "PROGLOG_TEST_NO_THREADS";
        static POOL: Pool = Pool::new(THREADS_MAX);
        if std::env::var_os(MARK).is_none() {
            // A process none of whose threads can have a stack.
            let output = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", &format!("runtime::pool::tests::{NAME}")])
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
            assert_eq!(POOL.lock().threads, 0);
        }
        let log = MemoryLog::new();
        log.append("read by the thread that polls").unwrap();
        let stream = pin!(log.follow(0).into_stream());
        let polled = stream.poll_next(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Some(Ok(_)))), "{polled:?}");
        // Awaited appends would never complete.
        let disk = SimDisk::new();
        let error = open::open(disk.directory(), &LogOptions::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached, "{error:?}");
        assert_eq!(disk.file_names(), ["LOCK"]);
    }
}
