//! Small file systems that can be filled, enlarged, and cut off.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::workspace;

/// The number of attempts to unmount, and the pause between them.
const UNMOUNT_TRIES_MAX: u32 = 100;
const UNMOUNT_PAUSE: Duration = Duration::from_millis(50);

/// The file that takes room from others.
const BALLAST: &str = "ballast";

/// A kind of file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ext4,
    Xfs,
    /// Writes nothing in place.
    Btrfs,
    /// As [`Kind::Btrfs`], with data and metadata in the same room.
    MixedBtrfs,
    /// In memory; it cannot be cut off.
    Tmpfs,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs | Self::MixedBtrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// A small size that its tools make, in bytes.
    pub(crate) fn len_min(self) -> u64 {
        match self {
            Self::Xfs => 320 << 20,
            Self::Ext4 => 8 << 20,
            Self::Btrfs => 48 << 20,
            Self::MixedBtrfs => 24 << 20,
            Self::Tmpfs => 64 << 10,
        }
    }
}

/// A file system of its own, mounted. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct Disk {
    folder: TempDir,
    /// The file that holds it, if there is one.
    image: PathBuf,
}

impl Disk {
    /// A new file system of this size in bytes.
    pub(crate) fn new(kind: Kind, bytes: u64) -> anyhow::Result<Self> {
        Self::in_folder(kind, bytes, tempfile::tempdir()?)
    }

    /// As [`Disk::new`], with its image, if it has one, in `folder`.
    pub(crate) fn in_folder(kind: Kind, bytes: u64, folder: TempDir) -> anyhow::Result<Self> {
        let image = folder.path().join("image");
        if kind == Kind::Tmpfs {
            let disk = Self { folder, image };
            fs::create_dir(disk.path())?;
            let size = format!("size={bytes}");
            let arguments = ["-t", "tmpfs", "-o", &size, "tmpfs"];
            run("mount", &arguments, &[&disk.path()])?;
            return Ok(disk);
        }
        File::create(&image)?.set_len(bytes)?;
        let options: &[&str] = match kind {
            Kind::Ext4 => &["-q", "-F"],
            Kind::Btrfs => &["-q", "-f", "--metadata", "single"],
            Kind::MixedBtrfs => &["-q", "-f", "--mixed"],
            _ => &["-q", "-f"],
        };
        run(&format!("mkfs.{}", kind.name()), options, &[&image])?;
        Self::mounted(folder, image)
    }

    /// The file system in a file, mounted.
    pub(crate) fn of_image(image: &Path) -> anyhow::Result<Self> {
        Self::mounted(tempfile::tempdir()?, image.to_owned())
    }

    /// As [`Disk::of_image`], of a file that has these bytes.
    pub(crate) fn of_bytes(bytes: &[u8]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let image = folder.path().join("image");
        fs::write(&image, bytes)?;
        Self::mounted(folder, image)
    }

    fn mounted(folder: TempDir, image: PathBuf) -> anyhow::Result<Self> {
        let disk = Self { folder, image };
        fs::create_dir(disk.path())?;
        disk.mount()?;
        Ok(disk)
    }

    /// Unmounts it, and returns the bytes of its file.
    pub(crate) fn unmount_and_read(self) -> anyhow::Result<Vec<u8>> {
        self.unmount()?;
        fs::read(&self.image).context("cannot read the image")
    }

    /// The mount point.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn unmount(&self) -> anyhow::Result<()> {
        let mut tries = 0;
        // Background work of a log may still have a file open.
        while let Err(error) = run("umount", &[], &[&self.path()]) {
            tries += 1;
            ensure!(tries < UNMOUNT_TRIES_MAX, "{error:#}");
            thread::sleep(UNMOUNT_PAUSE);
        }
        Ok(())
    }

    fn mount(&self) -> anyhow::Result<()> {
        run("mount", &["-o", "loop"], &[&self.image, &self.path()])
    }

    /// Gives a file system in memory another size, in bytes.
    pub(crate) fn resize(&self, bytes: u64) -> anyhow::Result<()> {
        let size = format!("remount,size={bytes}");
        run("mount", &["-o", &size], &[&self.path()])
    }

    /// Writes until the whole journal has space on the device, so that a full device fails writes of files alone.
    pub(crate) fn fill_journal(&self) -> anyhow::Result<()> {
        let file = File::create(self.path().join("journal"))?;
        for len in 0..600 {
            file.set_len(len % 2)?;
            file.sync_all()?;
        }
        Ok(())
    }

    /// Fills all of it but about this many bytes.
    pub(crate) fn fill_but(&self, bytes: usize) -> anyhow::Result<()> {
        let left = self.path().join("left");
        let mut file = File::create(&left)?;
        file.write_all(&vec![7; bytes])?;
        file.sync_all()?;
        let mut ballast = File::create(self.path().join(BALLAST))?;
        for len in [1 << 20, 64 << 10, 4 << 10] {
            let block = vec![7; len];
            while ballast.write_all(&block).is_ok() {}
        }
        ballast.sync_all()?;
        drop(file);
        fs::remove_file(left)?;
        File::open(self.path())?.sync_all()?;
        Ok(())
    }

    /// Removes what [`Disk::fill_but`] has filled it with.
    pub(crate) fn remove_ballast(&self) -> anyhow::Result<()> {
        fs::remove_file(self.path().join(BALLAST))?;
        File::open(self.path())?.sync_all()?;
        Ok(())
    }

    /// The number of used bytes.
    pub(crate) fn used(&self) -> anyhow::Result<u64> {
        let stat = rustix::fs::statvfs(self.path()).context("cannot read the used space")?;
        Ok((stat.f_blocks - stat.f_bfree) * stat.f_frsize)
    }

    /// Cuts the device off: unsynced writes are lost, and later ones fail.
    pub(crate) fn cut(&self) -> anyhow::Result<()> {
        let root = File::open(self.path())?;
        shutdown(&root).context("cannot shut the file system down")
    }

    /// Mounts it again. No file may be open.
    pub(crate) fn restart(&self) -> anyhow::Result<()> {
        self.unmount()?;
        self.mount()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // It may not be mounted.
        let _ = run("umount", &["-l"], &[&self.path()]);
    }
}

/// `FS_IOC_SHUTDOWN`, with `FS_SHUTDOWN_FLAGS_NOLOGFLUSH`.
#[expect(unsafe_code, reason = "there is no other way to ask for this")]
fn shutdown(root: &File) -> rustix::io::Result<()> {
    use rustix::ioctl::{Setter, ioctl, opcode};
    const NO_LOG_FLUSH: u32 = 2;
    // SAFETY: the call reads a number of 32 bits, and nothing else of this process.
    unsafe {
        let call = Setter::<{ opcode::read::<u32>(b'X', 125) }, u32>::new(NO_LOG_FLUSH);
        ioctl(root, call)
    }
}

fn run(program: &str, arguments: &[&str], paths: &[&Path]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    workspace::run(command.args(arguments).args(paths)).map(drop)
}
