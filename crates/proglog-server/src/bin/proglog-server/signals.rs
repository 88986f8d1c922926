//! Signals: those that shut the program down, and those that are ignored.

use std::future::Future;
use std::time::{Duration, Instant};
use std::{io, process, thread};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// The time after the first signal in which others are taken for the same one: a process manager may
/// forward it twice.
const SAME_FOR: Duration = Duration::from_secs(1);

/// Handles signals from here on, and returns a future that completes at the first SIGINT or SIGTERM, even if that comes
/// before it is polled. A second one, more than [`SAME_FOR`] later, ends the process at once, whatever it is doing.
pub(crate) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    // On a separate runtime: the server's is gone while the log is being closed.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        #[cfg(unix)]
        ignore_others()?;
        Signals::new()?
    };
    let (first, received) = oneshot::channel();
    let watch = async move {
        signals.next().await;
        // The receiver is gone if the server has failed.
        let _ = first.send(());
        let begun = Instant::now();
        loop {
            let status = signals.next().await;
            if begun.elapsed() >= SAME_FOR {
                process::exit(status);
            }
        }
    };
    let watching = thread::Builder::new().name("signals".into());
    watching.spawn(move || runtime.block_on(watch))?;
    Ok(async { received.await.unwrap_or_default() })
}

/// Ignores signals that would end the process and are not requests to do so. Terminals that close send SIGHUP, and so do
/// scripts for servers that read their settings again. A write beyond a limit on file size sends SIGXFSZ, and then fails.
/// SIGPIPE is ignored by Rust's runtime.
#[cfg(unix)]
fn ignore_others() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let beyond_file_size = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    for ignored in [
        SignalKind::hangup(),
        SignalKind::user_defined1(),
        SignalKind::user_defined2(),
        beyond_file_size,
    ] {
        // The handler, which does nothing else, stays when its stream is dropped.
        drop(signal(ignored)?);
    }
    Ok(())
}

/// SIGINT and SIGTERM.
#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal and returns the exit status of a process that it ends.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => 128 + 2,
            _ = self.terminate.recv() => 128 + 15,
        }
    }
}

/// Ctrl-C.
#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    /// Waits for the next one and returns the exit status of a process that it ends.
    async fn next(&mut self) -> i32 {
        /// `STATUS_CONTROL_C_EXIT`.
        const STATUS: u32 = 0xc000_013a;
        self.0.recv().await;
        STATUS.cast_signed()
    }
}
