//! Records of a read-only log: iterators that refresh the view when another process has removed a file.

use std::sync::Arc;

use crate::error::reason::Reason;
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::read::cursor::Cursor;
use crate::read::reader::Reader;
use crate::read_only::shared::Shared;
use crate::record::StoredRecord;

/// A cursor that refreshes the view where a file is missing or has changed, since it may have been trimmed
/// or truncated.
pub(super) struct Retrying {
    shared: Arc<Shared>,
    reader: Reader,
    cursor: Cursor,
    next: Offset,
    /// Where the cursor ends (exclusive); `None` is the end of the view.
    end: Option<Offset>,
}

impl Retrying {
    pub(super) fn new(
        shared: &Arc<Shared>,
        reader: &Reader,
        from: Offset,
        end: Option<Offset>,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            reader: reader.clone(),
            cursor: reader.cursor(from).with_end(end),
            next: from,
            end,
        }
    }

    /// Returns a cursor at the next record, which looks up its segment again.
    fn new_cursor(&self) -> Cursor {
        self.reader.cursor(self.next).with_end(self.end)
    }

    fn next_now(&mut self) -> Result<Option<StoredRecord>> {
        let record = match self.cursor.next_now() {
            Err(Error {
                reason:
                    Reason::Io { .. }
                    | Reason::Store(_)
                    | Reason::Corrupt { .. }
                    | Reason::MissingSegment { .. },
                ..
            }) => {
                self.shared.refresh()?;
                self.cursor = self.new_cursor();
                self.cursor.next_now()
            }
            read => read,
        }?;
        self.next = self.next.saturating_add(u64::from(record.is_some()));
        Ok(record)
    }

    /// Reads the record at `offset`, in blocks if it is the next one.
    pub(super) fn read(&mut self, offset: Offset) -> Result<StoredRecord> {
        if offset != self.next {
            return self.shared.read(&self.reader, |reader| reader.read(offset));
        }
        if let Some(record) = self.next_now()? {
            return Ok(record);
        }
        let record = self.reader.read(offset)?;
        self.next = offset + 1;
        self.cursor = self.new_cursor();
        Ok(record)
    }
}

/// Records for a follower, which polls the directory as long as it exists.
pub(super) struct Following {
    records: Retrying,
    /// Counts the followers.
    _counted: Arc<()>,
}

impl Following {
    pub(super) fn new(shared: &Arc<Shared>, reader: &Reader, from: Offset) -> Self {
        let following = Self {
            records: Retrying::new(shared, reader, from, None),
            _counted: shared.add_follower(),
        };
        shared.start_polling();
        following
    }

    /// Returns the next record, or `None` at the end. Fails there while polling fails.
    pub(super) fn next(&mut self) -> Result<Option<StoredRecord>> {
        match self.records.next_now()? {
            Some(record) => Ok(Some(record)),
            None => self.records.shared.check_polling().map(|()| None),
        }
    }
}
