//! What the program says on standard error: its log, panics, and why it could not start.
//!
//! A thread of its own writes it, so that nothing else waits for a reader that has stopped, or fails with a device that
//! is full. Lines that cannot be written, and those that find no room in memory, are dropped and counted. The count is
//! written before the next line that can be.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{mem, panic, thread};

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

/// The most bytes that wait to be written.
const WAITING_MAX: usize = 1 << 20;

/// The longest time that [`Diagnostics::finish`] waits.
const FINISH_MAX: Duration = Duration::from_secs(1);

/// A handle on the lines that wait to be written. As a writer it takes whole lines.
#[derive(Clone)]
pub(crate) struct Diagnostics(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// Lines, each with its end.
    waiting: Vec<u8>,
    is_writing: bool,
    /// The number of lines that were dropped since it was last written.
    dropped: usize,
}

impl Diagnostics {
    /// Starts the thread, and makes this the destination of `tracing` and of panics. `RUST_LOG` sets the level.
    pub(crate) fn start() -> io::Result<Self> {
        let diagnostics = Self(Arc::default());
        let shared = Arc::clone(&diagnostics.0);
        thread::Builder::new()
            .name("diagnostics".to_owned())
            .spawn(move || shared.write_to(io::stderr()))?;

        let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
        // The lossy way to read it would write to standard error itself, and panic if it cannot.
        let (filter, error) = match builder.from_env() {
            Ok(filter) => (filter, None),
            Err(error) => (builder.parse_lossy(""), Some(error)),
        };
        let writer = diagnostics.clone();
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .log_internal_errors(false)
            .with_writer(move || writer.clone())
            .init();
        if let Some(error) = error {
            tracing::warn!(%error, "RUST_LOG is ignored");
        }
        let panics = diagnostics.clone();
        panic::set_hook(Box::new(move |panic| panics.say_panic(panic)));
        Ok(diagnostics)
    }

    /// Writes a line.
    pub(crate) fn say(&self, line: &str) {
        self.0.push(format!("{line}\n").as_bytes());
    }

    fn say_panic(&self, panic: &panic::PanicHookInfo<'_>) {
        self.say(&format!("proglog-server: {panic}"));
        let backtrace = Backtrace::capture();
        if backtrace.status() == BacktraceStatus::Captured {
            self.say(&backtrace.to_string());
        }
        // The panic may end the process.
        self.finish();
    }

    /// Waits until all lines are written or dropped, for at most [`FINISH_MAX`].
    pub(crate) fn finish(&self) {
        let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
        let queue = self.0.lock();
        drop(
            self.0
                .changed
                .wait_timeout_while(queue, FINISH_MAX, is_busy),
        );
    }
}

impl Write for Diagnostics {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, lines: &[u8]) {
        let mut queue = self.lock();
        if queue.waiting.len() + lines.len() > WAITING_MAX {
            queue.dropped += count(lines);
        } else {
            queue.waiting.extend_from_slice(lines);
            self.changed.notify_all();
        }
    }

    /// Writes what arrives, for ever.
    fn write_to(&self, mut output: impl Write) {
        // True if a line was cut short.
        let mut is_torn = false;
        loop {
            let (lines, dropped) = self.next();
            let notice = match dropped {
                0 => String::new(),
                _ if is_torn => format!("\n{}", notice_of(dropped)),
                _ => notice_of(dropped),
            };
            let text = [notice.as_bytes(), &lines].concat();
            let written = write_most(&mut output, &text);
            if written > 0 {
                is_torn = text[written - 1] != b'\n';
            }
            let mut lost = count(&lines[written.saturating_sub(notice.len())..]);
            if written < notice.len() {
                lost += dropped;
            }
            let mut queue = self.lock();
            queue.dropped += lost;
            queue.is_writing = false;
            self.changed.notify_all();
        }
    }

    /// Waits for lines, and takes them with the number of those dropped before.
    fn next(&self) -> (Vec<u8>, usize) {
        let queue = self.lock();
        let waited = self
            .changed
            .wait_while(queue, |queue| queue.waiting.is_empty());
        let mut queue = waited.unwrap_or_else(PoisonError::into_inner);
        queue.is_writing = true;
        (mem::take(&mut queue.waiting), mem::take(&mut queue.dropped))
    }
}

fn notice_of(dropped: usize) -> String {
    format!("proglog-server: dropped {dropped} lines that could not be written here\n")
}

/// Counts lines by their ends.
fn count(lines: &[u8]) -> usize {
    lines.split(|byte| *byte == b'\n').count() - 1
}

/// Writes bytes up to the first failure, and returns how many.
fn write_most(output: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match output.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}
