//! The limit of durable appends: a queue, with one write and one `fdatasync` for everything in it.
//!
//! A thread that finds no leader leads: it lets other threads run as long as they bring more frames, takes the
//! queue, writes it, syncs it, and wakes the threads whose frames it held. So a single thread never waits for
//! another, and with many threads nearly all of them share each sync. Each group of frames has a lock and a
//! condition of its own: threads that wake do not meet those that queue their next frames.
//!
//! The file is filled with zeros ahead, in steps that double from 64 KiB to 8 MiB, since a sync of a file that
//! does not grow is cheaper. Filling and rolling happen while the clock runs, on the leader's thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use super::{HEADER_LEN, create_segment, frame_header};

const FILL_LEN_MIN: u64 = 64 << 10;
const FILL_LEN_MAX: u64 = 8 << 20;
/// The length of a group from which filling with zeros costs more than it saves.
const FILLED_GROUP_LEN_MAX: usize = 64 << 10;

pub(crate) struct BareQueue {
    open: Mutex<Open>,
    /// Held by the leader.
    file: Mutex<SyncedFile>,
}

/// The frames that no leader has taken yet.
#[derive(Default)]
struct Open {
    gathered: Vec<u8>,
    group: Arc<Group>,
}

/// The frames of one sync, for the threads that wait for it.
#[derive(Default)]
struct Group {
    outcome: OnceLock<Result<(), io::ErrorKind>>,
    /// True once one of the threads is to lead.
    leader_wanted: Mutex<bool>,
    woken: Condvar,
}

/// Segments, filled with zeros ahead.
struct SyncedFile {
    directory: PathBuf,
    segment_bytes_max: u64,
    segments: usize,
    file: File,
    end: u64,
    filled: u64,
    fill_len: u64,
    /// Memory for the next group.
    spare: Vec<u8>,
}

impl BareQueue {
    pub(crate) fn create(directory: &Path, segment_bytes_max: u64) -> io::Result<Self> {
        let file = SyncedFile {
            directory: directory.to_owned(),
            segment_bytes_max,
            segments: 1,
            file: create_segment(directory, 0)?,
            end: HEADER_LEN,
            filled: HEADER_LEN,
            fill_len: FILL_LEN_MIN,
            spare: Vec::new(),
        };
        Ok(Self {
            open: Mutex::default(),
            file: Mutex::new(file),
        })
    }

    /// Appends a frame with this payload, and returns once it is durable.
    pub(crate) fn append(&self, payload: &[u8]) -> io::Result<()> {
        let header = frame_header(payload);
        let group = {
            let mut open = lock(&self.open);
            open.gathered.extend_from_slice(&header);
            open.gathered.extend_from_slice(payload);
            Arc::clone(&open.group)
        };
        loop {
            if let Ok(mut file) = self.file.try_lock() {
                if group.outcome.get().is_none() {
                    self.commit(&mut file);
                }
                drop(file);
                // One of the threads that arrived meanwhile leads next.
                lock(&self.open).group.wake_leader();
            }
            if let Some(outcome) = group.wait() {
                return outcome.map_err(io::Error::from);
            }
        }
    }

    /// Writes and syncs the open group.
    fn commit(&self, file: &mut SyncedFile) {
        let mut open = lock(&self.open);
        loop {
            let len = open.gathered.len();
            drop(open);
            thread::yield_now();
            open = lock(&self.open);
            if open.gathered.len() == len {
                break;
            }
        }
        let spare = std::mem::take(&mut file.spare);
        let frames = std::mem::replace(&mut open.gathered, spare);
        let group = std::mem::take(&mut open.group);
        drop(open);
        let written = file.append_synced(&frames);
        file.spare = frames;
        file.spare.clear();
        group.complete(written.map_err(|error| error.kind()));
    }
}

impl Group {
    fn complete(&self, outcome: Result<(), io::ErrorKind>) {
        _ = self.outcome.set(outcome);
        // A thread that saw no outcome under this lock is asleep by now.
        drop(lock(&self.leader_wanted));
        self.woken.notify_all();
    }

    fn wake_leader(&self) {
        *lock(&self.leader_wanted) = true;
        self.woken.notify_one();
    }

    /// Waits for the outcome; `None` if the thread is to lead.
    fn wait(&self) -> Option<Result<(), io::ErrorKind>> {
        let mut leader_wanted = lock(&self.leader_wanted);
        loop {
            if let Some(outcome) = self.outcome.get() {
                return Some(*outcome);
            }
            if std::mem::take(&mut *leader_wanted) {
                return None;
            }
            let woken = self.woken.wait(leader_wanted);
            leader_wanted = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SyncedFile {
    fn append_synced(&mut self, frames: &[u8]) -> io::Result<()> {
        let len = frames.len() as u64;
        if self.end > HEADER_LEN && self.end - HEADER_LEN + len > self.segment_bytes_max {
            self.roll()?;
        }
        if frames.len() < FILLED_GROUP_LEN_MAX && self.end + len > self.filled {
            self.fill(self.end + len)?;
        }
        self.file.write_all_at(frames, self.end)?;
        self.file.sync_data()?;
        self.end += len;
        Ok(())
    }

    fn fill(&mut self, needed: u64) -> io::Result<()> {
        static ZEROS: [u8; 256 << 10] = [0; 256 << 10];
        let from = self.filled.max(self.end);
        let mut left = self.fill_len.max(needed - from);
        self.filled = from + left;
        self.fill_len = (self.fill_len * 2).min(FILL_LEN_MAX);
        while left > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "at most ZEROS.len()")]
            let now = left.min(ZEROS.len() as u64) as usize;
            self.file.write_all_at(&ZEROS[..now], self.filled - left)?;
            left -= now as u64;
        }
        Ok(())
    }

    /// All appends are durable; remove the unused zeros.
    fn roll(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.sync_data()?;
        self.file = create_segment(&self.directory, self.segments)?;
        self.segments += 1;
        (self.end, self.filled) = (HEADER_LEN, HEADER_LEN);
        Ok(())
    }
}
