//! The means by which rows disturb a log: processes, file systems, and their faults.

pub(crate) mod clock;
pub(crate) mod disk;
mod fork;
pub(crate) mod forking;
pub(crate) mod known;
pub(crate) mod limit;
pub(crate) mod recorded;
pub(crate) mod server;
pub(crate) mod strace;
pub(crate) mod values;
pub(crate) mod writer;

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::Context;
use serde::Serialize;
use tempfile::TempDir;

use crate::args::Args;

use disk::{Disk, Kind};

/// A new folder, in memory if the machine has a place for that: no sync takes time there.
pub(crate) fn quick_folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
}

/// A command that starts this program as the process `name`, with these options.
pub(crate) fn itself(name: &str, options: &impl Serialize) -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut command = Command::new(program);
    command.arg(name).arg(serde_json::to_string(options)?);
    Ok(command)
}

/// A requirement that a machine may not meet.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// File systems of this kind, in files that take the place of disks.
    Disk(Kind),
    /// File systems in user space.
    Fuse,
    /// Following the system calls of another process.
    Strace,
    /// A program.
    Program(&'static str),
    /// A program that only a soak runs.
    SoakProgram(&'static str),
    /// More time than a landing check has.
    Soak,
}

impl Need {
    /// The reason why the need is not met, if it is not. Needs that can be tried are tried.
    pub(crate) fn missing(self, args: &Args) -> Option<String> {
        match self {
            Self::Disk(kind) => {
                let made = Disk::new(kind, kind.len_min());
                let name = kind.name();
                made.err()
                    .map(|error| format!("there is no {name}: {error:#}"))
            }
            Self::Fuse => {
                let device = File::options().read(true).write(true).open("/dev/fuse");
                device.err().map(|error| format!("/dev/fuse: {error}"))
            }
            Self::Strace => {
                let traced = Command::new("strace")
                    .args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "true"])
                    .stderr(Stdio::null())
                    .status();
                let works = traced.is_ok_and(|status| status.success());
                (!works).then(|| "strace does not work".to_owned())
            }
            Self::SoakProgram(_) if !args.soak => None,
            Self::Program(name) | Self::SoakProgram(name) => {
                (!is_installed(name)).then(|| format!("there is no {name}"))
            }
            // A copy that is damaged on purpose has little to try.
            Self::Soak => {
                let has_time = args.soak || args.until_bad;
                (!has_time).then(|| "only a soak runs it".to_owned())
            }
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
