//! The limit of durable appends: a queue, with one write and one `fdatasync` for everything in it.
//!
//! A thread that finds no leader takes the queue, writes it, syncs it, and wakes the threads whose frames
//! it held; so a single thread never waits for another. The file is filled with zeros ahead, in steps that
//! double from 64 KiB to 8 MiB, since a sync of a file that does not grow is cheaper. Filling and rolling
//! happen while the clock runs, on the leader's thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use super::{HEADER_LEN, create_segment, frame_header};

const FILL_LEN_MIN: u64 = 64 << 10;
const FILL_LEN_MAX: u64 = 8 << 20;
/// The length of a group from which filling with zeros costs more than it saves.
const FILLED_GROUP_LEN_MAX: usize = 64 << 10;

pub(crate) struct BareQueue {
    state: Mutex<State>,
    /// Waiters for groups with even numbers, and for groups with odd numbers.
    waiting: [Condvar; 2],
}

struct State {
    /// The frames of the open group.
    gathered: Vec<u8>,
    /// The number of the open group.
    group: usize,
    /// All groups with lower numbers are durable.
    durable: usize,
    /// The file, unless a leader has it.
    file: Option<SyncedFile>,
    failed: Option<io::ErrorKind>,
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
        let state = State {
            gathered: Vec::new(),
            group: 0,
            durable: 0,
            file: Some(file),
            failed: None,
        };
        Ok(Self {
            state: Mutex::new(state),
            waiting: [Condvar::new(), Condvar::new()],
        })
    }

    /// Appends a frame; on return it is on the device.
    pub(crate) fn append(&self, payload: &[u8]) -> io::Result<()> {
        let header = frame_header(payload);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.gathered.extend_from_slice(&header);
        state.gathered.extend_from_slice(payload);
        let group = state.group;
        loop {
            if let Some(failed) = state.failed {
                return Err(failed.into());
            }
            if state.durable > group {
                return Ok(());
            }
            let Some(mut file) = state.file.take() else {
                let waiting = &self.waiting[group % 2];
                state = waiting.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            // There is no leader, so all groups below the open one are durable, and this thread leads the open one.
            let spare = std::mem::take(&mut file.spare);
            let frames = std::mem::replace(&mut state.gathered, spare);
            state.group += 1;
            drop(state);
            let written = file.append_synced(&frames);
            file.spare = frames;
            file.spare.clear();
            state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.file = Some(file);
            state.durable += 1;
            state.failed = written.err().map(|error| error.kind());
            self.waiting[group % 2].notify_all();
            // One of the threads that arrived meanwhile leads next.
            self.waiting[(group + 1) % 2].notify_one();
        }
    }
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
