//! A writer under strace, which prints its system calls and makes them fail.

use std::collections::HashMap;
use std::process::Command;

use anyhow::Context;

use super::writer::{self, Events, Options};

/// A system call on a file.
#[derive(Debug)]
pub(crate) struct Call {
    /// Which thread made it.
    thread: String,
    pub(crate) name: String,
    /// The arguments, and the rest of strace's line.
    pub(crate) arguments: String,
    /// The file that it was called on, if that was open.
    pub(crate) path: String,
    /// True if strace made it fail.
    failed: bool,
    /// The number of the line that begins it, and of the line that ends it.
    pub(crate) begun: usize,
    pub(crate) ended: usize,
}

/// The output of strace.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
}

impl Trace {
    /// The most calls of a thread: strace counts each thread alone.
    pub(crate) fn most_of_a_thread(&self) -> u64 {
        let mut made = HashMap::<_, u64>::new();
        for call in &self.calls {
            *made.entry(&call.thread).or_default() += 1;
        }
        made.into_values().max().unwrap_or_default()
    }

    /// True if a call failed on a file whose path has this suffix.
    pub(crate) fn has_failed(&self, suffix: &str) -> bool {
        let mut calls = self.calls.iter();
        calls.any(|call| call.failed && call.path.ends_with(suffix))
    }
}

/// Runs a writer, with the calls of these names traced, and some of them failing as `inject` says in
/// strace's own words.
pub(crate) fn trace(
    options: &Options,
    names: &str,
    inject: Option<&str>,
) -> anyhow::Result<(Events, Trace)> {
    let folder = super::quick_folder().context("cannot make a folder")?;
    let output = folder.path().join("calls");
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-y", "--seccomp-bpf", "-e", "signal=none"])
        .arg("-e")
        .arg(format!("trace={names}"));
    if let Some(inject) = inject {
        strace.arg("-e").arg(format!("inject={inject}"));
    }
    strace.arg("-o").arg(&output);
    let writer = writer::command(options)?;
    strace.arg(writer.get_program()).args(writer.get_args());
    let events = writer::output(&mut strace)?;
    let lines = std::fs::read_to_string(&output).context("strace wrote nothing")?;
    let calls = parse(&lines);
    Ok((events, Trace { calls }))
}

/// Takes lines such as `123 fsync(3</a/path>) = -1 EIO (..) (INJECTED)` apart. Where another thread's call came in
/// between, there are two: `123 fsync(3</a/path> <unfinished ...>` and `123 <... fsync resumed>) = 0`.
fn parse(output: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    // Which call a thread is in the midst of.
    let mut unfinished = HashMap::new();
    for (at, line) in output.lines().enumerate() {
        let (thread, line) = line.split_once(' ').unwrap_or_default();
        let failed = line.ends_with("(INJECTED)");
        if line.trim_start().starts_with("<...") {
            let call = unfinished.remove(thread);
            if let Some(call) = call.and_then(|call: usize| calls.get_mut(call)) {
                (call.ended, call.failed) = (at, failed);
            }
        } else if let Some((name, arguments)) = line.split_once('(') {
            let is_whole = !line.ends_with("<unfinished ...>");
            if !is_whole {
                unfinished.insert(thread, calls.len());
            }
            let path = arguments.split_once('<');
            let path = path.and_then(|(_, rest)| rest.split_once('>'));
            calls.push(Call {
                thread: thread.to_owned(),
                name: name.trim_start().to_owned(),
                arguments: arguments.to_owned(),
                path: path.map_or(String::new(), |(path, _)| path.to_owned()),
                failed,
                begun: at,
                ended: if is_whole { at } else { usize::MAX },
            });
        }
    }
    calls
}
