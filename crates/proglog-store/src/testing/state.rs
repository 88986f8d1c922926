//! The state of a disk: files, names, and planned faults.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::fault::{Call, CallKind, Fault, Plan, crashed};
use super::image::{FILE_LEN_MAX, Image};
use super::pending::{Cached, FileChange, NameChange, Names};
use super::rng::{Rng, mix};

/// The unit of the page cache.
const PAGE_LEN: u64 = 4096;
/// The number of EIO on Linux.
const EIO: i32 = 5;

#[derive(Clone)]
pub(super) struct State {
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) names: Cached<NameChange>,
    /// The next number for an inode, a handle or a change.
    pub(super) next_id: u64,
    pub(super) capacity: Option<u64>,
    pub(super) is_copy_on_write: bool,
    pub(super) counts_only_changes: bool,
    pub(super) run: Run,
}

#[derive(Clone)]
pub(super) struct Inode {
    pub(super) content: Cached<FileChange>,
    /// The ranges in which reads fail.
    pub(super) unreadable: Vec<Range<u64>>,
    /// The numbers of the pages that are not in the page cache.
    pub(super) evicted: BTreeSet<u64>,
    /// The number of open handles.
    pub(super) handles: usize,
    /// The handle that holds the lock.
    pub(super) locked_by: Option<u64>,
}

/// The state that ends with the process.
#[derive(Clone, Default)]
pub(super) struct Run {
    pub(super) calls: u64,
    pub(super) crashed: bool,
    pub(super) plan: Plan,
    /// The number of the call from which on there is no room.
    pub(super) full_from: Option<u64>,
    pub(super) trace: Option<Vec<Call>>,
    pub(super) short_transfers: Option<Rng>,
    /// True once another directory has got the place of this disk's.
    pub(super) is_moved: bool,
}

impl Inode {
    pub(super) fn at_rest(image: Arc<Image>, unreadable: Vec<Range<u64>>) -> Self {
        Self {
            content: Cached::at_rest(image),
            unreadable,
            evicted: BTreeSet::new(),
            handles: 0,
            locked_by: None,
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.content.current().len() as u64
    }

    /// Returns whether all bytes of `range` that the file has can be read without waiting for the device.
    pub(super) fn is_cached(&self, range: &Range<u64>) -> bool {
        let (start, end) = (range.start, range.end.min(self.len()));
        let is_hit = |bad: &Range<u64>| bad.start < end && start < bad.end;
        start >= end
            || self.evicted.range(pages_of(&(start..end))).next().is_none()
                && !self.unreadable.iter().any(is_hit)
    }
}

/// The pages that hold bytes of `range`, which is not empty.
pub(super) fn pages_of(range: &Range<u64>) -> RangeInclusive<u64> {
    range.start / PAGE_LEN..=(range.end - 1) / PAGE_LEN
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            inodes: BTreeMap::new(),
            names: Cached::at_rest(Arc::new(Names::new())),
            next_id: 0,
            capacity: None,
            is_copy_on_write: false,
            counts_only_changes: false,
            run: Run::default(),
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Counts and records a call, and returns its fault.
    pub(super) fn begin(&mut self, call: Call) -> io::Result<Option<Fault>> {
        self.check_running()?;
        let is_identity = call.kind == CallKind::Identify;
        let counted = call.kind.is_change() || !(self.counts_only_changes || is_identity);
        let number = counted.then_some(self.run.calls);
        self.run.calls += u64::from(counted);
        let fault = self.run.plan.take(call.kind, number);
        if let Some(trace) = &mut self.run.trace {
            trace.push(Call { number, ..call });
        }
        Ok(fault)
    }

    /// Fails once the process has crashed.
    pub(super) fn check_running(&self) -> io::Result<()> {
        if self.run.crashed {
            return Err(crashed());
        }
        Ok(())
    }

    /// As [`State::begin`], for a call that has no effect when it fails.
    pub(super) fn check(&mut self, call: Call) -> io::Result<()> {
        match self.begin(call)? {
            None => Ok(()),
            Some(fault) => Err(self.fail(fault)),
        }
    }

    pub(super) fn fail(&mut self, fault: Fault) -> io::Error {
        self.run.crashed |= fault.is_crash();
        fault.to_error()
    }

    /// The inode of an open handle or of a current name, which is never collected.
    pub(super) fn inode(&mut self, id: u64) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an inode in use is kept")
    }

    pub(super) fn named(&self, name: &str) -> io::Result<u64> {
        self.names
            .current()
            .get(name)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The number of `len` bytes that the next transfer moves.
    pub(super) fn transfer_len(&mut self, len: usize) -> io::Result<usize> {
        match &mut self.run.short_transfers {
            Some(rng) if len > 0 => match rng.below(3) {
                0 => Err(io::ErrorKind::Interrupted.into()),
                1 => Ok(len),
                _ => Ok(1 + usize::try_from(rng.below(len as u64)).expect("below a usize")),
            },
            _ => Ok(len),
        }
    }

    pub(super) fn read(&self, id: u64, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let inode = &self.inodes[&id];
        let end = offset.saturating_add(buffer.len() as u64).min(inode.len());
        let Some(len) = end.checked_sub(offset) else {
            return Ok(0);
        };
        let bad = inode
            .unreadable
            .iter()
            .filter(|bad| bad.start < end && offset < bad.end);
        let readable = match bad.map(|bad| bad.start.saturating_sub(offset)).min() {
            Some(0) if len > 0 => return Err(io::Error::from_raw_os_error(EIO)),
            readable => to_index(readable.unwrap_or(len)),
        };
        Ok(inode
            .content
            .current()
            .read(&mut buffer[..readable], to_index(offset)))
    }

    /// Writes as much of `bytes` as fits, and returns their number.
    pub(super) fn write(&mut self, id: u64, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= FILE_LEN_MAX);
        let end = end.ok_or(io::ErrorKind::FileTooLarge)?;
        let len = self.inode(id).len();
        let end = match self.is_copy_on_write {
            true => end.min(offset.min(len).saturating_add(self.free())),
            false if end > len => end.min(len.saturating_add(self.free())),
            false => end,
        };
        let fits = match end.checked_sub(offset) {
            None | Some(0) => return Err(io::ErrorKind::StorageFull.into()),
            Some(fits) => to_index(fits),
        };
        let (offset, grows) = (to_index(offset), end > len);
        let time = self.next_id();
        let change = FileChange::Write {
            offset,
            bytes: Arc::from(&bytes[..fits]),
            grows,
        };
        self.inode(id).content.change(time, change);
        Ok(fits)
    }

    pub(super) fn set_len(&mut self, id: u64, len: u64) -> io::Result<()> {
        if len > FILE_LEN_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.check_room()?;
        if len.saturating_sub(self.inode(id).len()) > self.free() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let time = self.next_id();
        self.inode(id)
            .content
            .change(time, FileChange::SetLen(to_index(len)));
        Ok(())
    }

    /// Fails if a change other than a write or a removal finds no room.
    pub(super) fn check_room(&self) -> io::Result<()> {
        if self.is_copy_on_write && self.free() == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    /// The bytes by which files may grow.
    fn free(&self) -> u64 {
        if self.run.full_from.is_some_and(|call| self.run.calls > call) {
            return 0;
        }
        let Some(capacity) = self.capacity else {
            return u64::MAX;
        };
        let names = self.names.current();
        let in_use = |id: &u64, inode: &Inode| inode.handles > 0 || names.values().any(|n| n == id);
        let used = self.inodes.iter().filter(|(id, inode)| in_use(id, inode));
        capacity.saturating_sub(used.map(|(_, inode)| inode.len()).sum())
    }

    /// Creates an inode, and opens it once.
    pub(super) fn create(&mut self, name: &Arc<str>) -> u64 {
        let id = self.next_id();
        self.inodes
            .insert(id, Inode::at_rest(Arc::default(), Vec::new()));
        self.change_names(NameChange {
            gone: None,
            made: Some((Arc::clone(name), id)),
        });
        id
    }

    pub(super) fn change_names(&mut self, change: NameChange) {
        let time = self.next_id();
        self.names.change(time, change);
    }

    pub(super) fn close(&mut self, id: u64, handle: u64) {
        let inode = self.inode(id);
        inode.handles -= 1;
        inode.locked_by = inode.locked_by.filter(|holder| *holder != handle);
        if inode.handles == 0 && !self.is_reachable(id) {
            self.inodes.remove(&id);
        }
    }

    pub(super) fn sync_names(&mut self) {
        self.names.sync();
        self.collect();
    }

    /// Returns whether the inode may have a name now or after a crash.
    pub(super) fn is_reachable(&self, id: u64) -> bool {
        let mut made = self
            .names
            .ops()
            .iter()
            .filter_map(|op| op.change.made.as_ref());
        self.names.durable().values().any(|inode| *inode == id) || made.any(|made| made.1 == id)
    }

    /// Drops the inodes that are no longer reachable.
    pub(super) fn collect(&mut self) {
        let mut inodes = std::mem::take(&mut self.inodes);
        inodes.retain(|id, inode| inode.handles > 0 || self.is_reachable(*id));
        self.inodes = inodes;
    }

    /// The same disk with no file open.
    pub(super) fn without_handles(&self) -> Self {
        let mut state = self.clone();
        for inode in state.inodes.values_mut() {
            (inode.handles, inode.locked_by) = (0, None);
        }
        state.collect();
        state
    }

    pub(super) fn fingerprint(&self) -> u64 {
        self.names.current().iter().fold(0, |hash, (name, id)| {
            let hash = name
                .bytes()
                .fold(mix(hash), |hash, byte| mix(hash ^ u64::from(byte)));
            mix(hash.rotate_left(1) ^ self.inodes[id].content.current().hash())
        })
    }
}

impl Call {
    pub(super) fn directory(kind: CallKind) -> Self {
        Self::new(kind, &Arc::from(""))
    }
}

/// An offset within [`FILE_LEN_MAX`].
pub(super) fn to_index(offset: u64) -> usize {
    usize::try_from(offset).expect("offsets are at most FILE_LEN_MAX")
}
