//! The signals that end the program.

use std::future::Future;
use std::time::{Duration, Instant};
use std::{io, process, thread};

use tokio::runtime::Builder;
use tokio::sync::oneshot;

/// How long after the first signal others are of the same cause: who forwards one may send it twice.
const SAME_FOR: Duration = Duration::from_secs(1);

/// Completes at the first signal from now on. One that comes more than a second later ends the process at
/// once, whatever it is about.
pub(crate) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    // On a runtime of their own: the server's is gone while the log is closed.
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let mut signals = {
        let _inside = runtime.enter();
        Signals::new()?
    };
    let (first, told) = oneshot::channel();
    let watch = async move {
        signals.next().await;
        // Nobody listens if the server has failed.
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
    Ok(async { told.await.unwrap_or_default() })
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

    /// The next signal, as the exit status of a process that it ends.
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

    /// The next one, as the exit status of a process that it ends.
    async fn next(&mut self) -> i32 {
        /// `STATUS_CONTROL_C_EXIT`.
        const STATUS: u32 = 0xc000_013a;
        self.0.recv().await;
        STATUS.cast_signed()
    }
}
