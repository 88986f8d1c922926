//! Forks of this process.

use std::io::{self, Read, Write, pipe};
use std::time::Duration;

use anyhow::ensure;
use rustix::process::{Pid, WaitOptions, setpgid, waitpid};

use crate::panics::caught;
use crate::system::limit::watch;

/// Longer than any work in a forked process takes.
const WORK_MAX: Duration = Duration::from_mins(1);

/// Does `work` in a process that is forked from this one, and returns its outcome.
pub(crate) fn in_child(
    work: impl FnOnce() -> Result<(), String>,
) -> anyhow::Result<Result<(), String>> {
    let (mut reader, writer) = pipe()?;
    let child = fork(|| report(work, writer))?;
    let (read, hangs) = watch(child, WORK_MAX, || {
        let mut report = String::new();
        let read = reader.read_to_string(&mut report);
        read.map(|_| report)
    });
    waitpid(Some(child), WaitOptions::empty())?;
    if hangs {
        return Ok(Err("the forked process hangs".to_owned()));
    }
    let report = read?;
    ensure!(!report.is_empty(), "the forked process reports nothing");
    Ok(if report == DONE { Ok(()) } else { Err(report) })
}

/// The report of a process that did its work.
const DONE: &str = "done";

fn report(work: impl FnOnce() -> Result<(), String>, mut writer: impl Write) {
    // So that it can be killed alone.
    _ = setpgid(None, None);
    let outcome = caught(work).and_then(|done| done);
    let report = outcome.map_or_else(|finding| finding, |()| DONE.to_owned());
    _ = writer.write_all(report.as_bytes());
}

/// Forks this process. The child does `work` and ends.
#[expect(unsafe_code, reason = "the standard library does not fork")]
fn fork(work: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: the child uses what this thread owns and no lock that another thread may hold, except those of the C
    // library, which are free after a fork. It never returns from here.
    let id = unsafe { libc::fork() };
    if id == 0 {
        work();
        // SAFETY: it ends the process, and runs nothing else of it.
        unsafe { libc::_exit(0) }
    }
    Pid::from_raw(id)
        .filter(|_| id > 0)
        .ok_or_else(io::Error::last_os_error)
}
