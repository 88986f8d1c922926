//! Time limits on processes.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

/// Does `work`, and kills a process group if that takes too long. Returns whether it did.
pub(crate) fn watch<T>(group: Pid, limit: Duration, work: impl FnOnce() -> T) -> (T, bool) {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let hangs = scope.spawn(move || {
            let hangs = is_done.recv_timeout(limit) == Err(RecvTimeoutError::Timeout);
            if hangs {
                // It may end just now.
                _ = kill_process_group(group, Signal::KILL);
            }
            hangs
        });
        let worked = work();
        drop(done);
        (worked, hangs.join().unwrap_or(true))
    })
}

/// The output of `command`, and whether it was killed at the limit.
pub(crate) fn output(command: &mut Command, limit: Duration) -> anyhow::Result<(Output, bool)> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let (output, hangs) = watch(Pid::from_child(&child), limit, || child.wait_with_output());
    Ok((output?, hangs))
}
