//! A writer whose system calls are told of, and made to fail.

use std::collections::HashMap;
use std::process::Command;

use anyhow::Context;

use super::writer::{self, Events, Options};

/// A system call on a file.
#[derive(Debug)]
pub(crate) struct Call {
    /// Which thread made it.
    thread: String,
    /// What it was called on, as far as strace tells.
    pub(crate) path: String,
    /// Whether it was made to fail.
    failed: bool,
}

/// What strace wrote down.
#[derive(Debug)]
pub(crate) struct Trace {
    pub(crate) calls: Vec<Call>,
}

impl Trace {
    /// How many calls the thread made that made the most: strace counts those of each thread alone.
    pub(crate) fn most_of_a_thread(&self) -> u64 {
        let mut made = HashMap::<_, u64>::new();
        for call in &self.calls {
            *made.entry(&call.thread).or_default() += 1;
        }
        made.into_values().max().unwrap_or_default()
    }

    /// Whether a call was made to fail, on a file whose path ends so.
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
    let told = std::fs::read_to_string(&output).context("strace wrote nothing")?;
    let calls = told.lines().filter_map(parse).collect();
    Ok((events, Trace { calls }))
}

/// Takes `123 fsync(3</a/path>) = -1 EIO (..) (INJECTED)` apart.
fn parse(line: &str) -> Option<Call> {
    let (thread, line) = line.split_once(' ')?;
    let (_, rest) = line.split_once('(')?;
    let path = rest
        .split_once('<')
        .and_then(|(_, rest)| rest.split_once('>'));
    Some(Call {
        thread: thread.to_owned(),
        path: path.map_or(String::new(), |(path, _)| path.to_owned()),
        failed: line.ends_with("(INJECTED)"),
    })
}
