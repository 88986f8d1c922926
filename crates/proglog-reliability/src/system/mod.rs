//! What rows need of the machine beside a log.

pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod known;
pub(crate) mod recorded;
pub(crate) mod server;
pub(crate) mod strace;
pub(crate) mod values;
pub(crate) mod writer;

use std::fs;
use std::path::Path;

use tempfile::TempDir;

/// A new folder, in memory if the machine has a place for that: no sync takes time there.
pub(crate) fn quick_folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
}

/// Something that a machine may not have.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Need {
    /// The right to mount file systems.
    Mount,
    /// Files in the place of disks.
    LoopDevice,
    /// File systems of our own.
    Fuse,
    /// A program.
    Program(&'static str),
}

impl Need {
    /// What is missing, if it is.
    pub(crate) fn missing(self) -> Option<String> {
        match self {
            Self::Mount if !rustix::process::geteuid().is_root() => {
                Some("mounting takes root".to_owned())
            }
            Self::LoopDevice if fs::metadata("/dev/loop-control").is_err() => {
                Some("there is no /dev/loop-control".to_owned())
            }
            Self::Fuse if fs::metadata("/dev/fuse").is_err() => {
                Some("there is no /dev/fuse".to_owned())
            }
            Self::Program(name) if !is_installed(name) => Some(format!("there is no {name}")),
            _ => None,
        }
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
