//! The limit of appending: frames through a buffer of 256 KiB.

use std::fs::File;
use std::io::{self, IoSlice, Write};
use std::path::{Path, PathBuf};

use super::{FRAME_HEADER_LEN, HEADER_LEN, create_segment, frame_header};

const BUFFER_LEN: usize = 256 << 10;
/// Space for a sync mark, which a log reserves before it rolls, so that both roll at the same record.
const MARK_LEN: u64 = 32;

/// Buffered frames of a file.
pub(crate) struct BareFile {
    file: File,
    buffer: Box<[u8]>,
    filled: usize,
    /// Bytes of frames appended.
    len: u64,
}

impl BareFile {
    /// Continues at the current position of `file`.
    pub(crate) fn new(file: File) -> Self {
        Self {
            file,
            buffer: vec![0; BUFFER_LEN].into(),
            filled: 0,
            len: 0,
        }
    }

    /// Appends a frame and returns its range in the file.
    pub(crate) fn append(&mut self, payload: &[u8]) -> io::Result<u64> {
        let place = HEADER_LEN + self.len;
        let frame_len = FRAME_HEADER_LEN + payload.len();
        self.len += frame_len as u64;
        if self.filled + frame_len > BUFFER_LEN {
            self.flush()?;
            if frame_len > BUFFER_LEN {
                return self.write_through(payload).map(|()| place);
            }
        }
        let slot = &mut self.buffer[self.filled..self.filled + frame_len];
        slot[..FRAME_HEADER_LEN].copy_from_slice(&frame_header(payload));
        slot[FRAME_HEADER_LEN..].copy_from_slice(payload);
        self.filled += frame_len;
        Ok(place)
    }

    /// Writes a frame larger than the buffer without a copy.
    fn write_through(&mut self, payload: &[u8]) -> io::Result<()> {
        let header = frame_header(payload);
        let written = self
            .file
            .write_vectored(&[IoSlice::new(&header), IoSlice::new(payload)])?;
        let in_header = written.min(FRAME_HEADER_LEN);
        self.file.write_all(&header[in_header..])?;
        self.file.write_all(&payload[written - in_header..])
    }

    /// Flushes the buffer to the operating system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer[..self.filled])?;
        self.filled = 0;
        Ok(())
    }
}

/// Buffered frames of segments. As in a log, a full segment is synced before the next is created, but
/// inline.
pub(crate) struct BareLog {
    directory: PathBuf,
    segment_bytes_max: u64,
    segments: usize,
    active: BareFile,
}

impl BareLog {
    pub(crate) fn create(directory: &Path, segment_bytes_max: u64) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            segment_bytes_max,
            segments: 1,
            active: BareFile::new(create_segment(directory, 0)?),
        })
    }

    /// Appends a frame; returns the number of its segment and its range there.
    pub(crate) fn append(&mut self, payload: &[u8]) -> io::Result<(usize, u64)> {
        self.make_room((FRAME_HEADER_LEN + payload.len()) as u64)?;
        let place = self.active.append(payload)?;
        Ok((self.segments - 1, place))
    }

    /// Rolls if `len` contiguous bytes do not fit into the segment.
    pub(crate) fn make_room(&mut self, len: u64) -> io::Result<()> {
        if self.active.len > 0 && self.active.len + MARK_LEN + len > self.segment_bytes_max {
            self.roll()?;
        }
        Ok(())
    }

    /// Appends a frame to the current segment, which has space for it.
    pub(crate) fn append_unchecked(&mut self, payload: &[u8]) -> io::Result<()> {
        self.active.append(payload).map(drop)
    }

    fn roll(&mut self) -> io::Result<()> {
        self.active.flush()?;
        self.active.file.sync_data()?;
        self.active.file = create_segment(&self.directory, self.segments)?;
        self.active.len = 0;
        self.segments += 1;
        Ok(())
    }

    /// Flushes the buffer to the operating system; returns the number of segments.
    pub(crate) fn finish(mut self) -> io::Result<usize> {
        self.active.flush()?;
        Ok(self.segments)
    }
}
