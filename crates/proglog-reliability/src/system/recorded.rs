//! A file that remembers every write and every flush, to be the disk under a real file system.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Context;
use fuser::{
    BackgroundSession, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation,
    INodeNo, LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyEmpty, ReplyEntry, ReplyWrite,
    Request, WriteFlags,
};

use super::clock;
use crate::panics::lock;

/// A call of the file system to its disk.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// Bytes, and where they were written.
    Write(usize, Vec<u8>),
    /// Earlier writes are on the disk when this returns.
    Flush,
}

/// All calls, each with when it came.
type Calls = Vec<(u64, Call)>;

/// A folder with one file, mounted. Dropping it unmounts it.
#[derive(Debug)]
pub(crate) struct Recorded {
    shared: Shared,
    image: PathBuf,
    _session: BackgroundSession,
}

#[derive(Debug, Clone)]
struct Shared {
    bytes: Arc<Mutex<Vec<u8>>>,
    calls: Arc<Mutex<Calls>>,
}

const NAME: &str = "image";
const FILE: INodeNo = INodeNo(2);
/// Nothing changes but by what the kernel asks for itself.
const TIME_TO_LIVE: Duration = Duration::from_hours(1);

impl Recorded {
    /// A file that has these bytes, in a file system mounted on `folder`.
    pub(crate) fn new(folder: &Path, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let shared = Shared {
            bytes: Arc::new(Mutex::new(bytes)),
            calls: Arc::default(),
        };
        let session = fuser::spawn_mount(shared.clone(), folder, &Config::default())
            .context("cannot mount a file system of our own")?;
        Ok(Self {
            shared,
            image: folder.join(NAME),
            _session: session,
        })
    }

    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// The calls so far.
    pub(crate) fn calls(&self) -> Calls {
        lock(&self.shared.calls).clone()
    }
}

impl Shared {
    fn attributes(&self, inode: INodeNo) -> FileAttr {
        let (kind, size) = if inode == FILE {
            (FileType::RegularFile, lock(&self.bytes).len() as u64)
        } else {
            (FileType::Directory, 0)
        };
        FileAttr {
            ino: inode,
            size,
            blocks: size / 512,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm: 0o700,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            flags: 0,
            blksize: 4096,
        }
    }
}

impl Filesystem for Shared {
    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        if name == NAME {
            reply.entry(&TIME_TO_LIVE, &self.attributes(FILE), Generation(0));
        } else {
            reply.error(Errno::ENOENT);
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&TIME_TO_LIVE, &self.attributes(inode));
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let bytes = lock(&self.bytes);
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        let left = bytes.get(from..).unwrap_or_default();
        reply.data(&left[..left.len().min(size as usize)]);
    }

    fn write(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        let mut bytes = lock(&self.bytes);
        let Some(place) = bytes.get_mut(at..at.saturating_add(data.len())) else {
            return reply.error(Errno::ENOSPC);
        };
        place.copy_from_slice(data);
        lock(&self.calls).push((clock::now(), Call::Write(at, data.to_vec())));
        reply.written(u32::try_from(data.len()).unwrap_or_default());
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        lock(&self.calls).push((clock::now(), Call::Flush));
        reply.ok();
    }
}
