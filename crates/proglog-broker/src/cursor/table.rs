//! The cursors of all logs, as the records of their log say.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use proglog_log::{CommitLog, ErrorKind, Offset, Reason, Result, StoredRecord};

use crate::cursor::{Change, Cursor, CursorName, size};
use crate::id::LogId;
use crate::wait::Wait;

/// Bytes of records that are read at once.
const READ_BYTES: usize = 1 << 20;

/// The cursors, after all records up to an offset.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// The records below are applied.
    applied: Offset,
    by_log: HashMap<LogId, BTreeMap<CursorName, Kept>>,
    count: usize,
    /// Bytes of the records of the cursors that there are.
    live_bytes: u64,
    /// Bytes of all records that were applied.
    bytes: u64,
}

#[derive(Debug)]
struct Kept {
    cursor: Cursor,
    bytes: u64,
}

impl Table {
    /// Returns the cursors before the record at `start`.
    pub(crate) fn starting_at(start: Offset) -> Self {
        Self {
            applied: start,
            ..Self::default()
        }
    }

    pub(crate) fn applied(&self) -> Offset {
        self.applied
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    pub(crate) fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes note that the records which are applied have so many bytes: the others are trimmed.
    pub(crate) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    pub(crate) fn get(&self, log: LogId, name: &CursorName) -> Option<&Cursor> {
        Some(&self.by_log.get(&log)?.get(name)?.cursor)
    }

    /// Returns the cursors of a log, by their names.
    pub(crate) fn of_log(&self, log: LogId) -> impl Iterator<Item = &Cursor> {
        let cursors = self.by_log.get(&log).into_iter().flatten();
        cursors.map(|(_, kept)| &kept.cursor)
    }

    /// Returns up to `limit` cursors of a log whose names are after `after`.
    pub(crate) fn page(&self, log: LogId, after: Option<&CursorName>, limit: usize) -> Vec<Cursor> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let cursors = self.by_log.get(&log).into_iter();
        let cursors =
            cursors.flat_map(|cursors| cursors.range::<CursorName, _>((from, Bound::Unbounded)));
        cursors
            .take(limit)
            .map(|(_, kept)| kept.cursor.clone())
            .collect()
    }

    /// Returns the logs that have cursors.
    pub(crate) fn logs(&self) -> impl Iterator<Item = LogId> {
        self.by_log.keys().copied()
    }

    /// Returns all cursors.
    pub(crate) fn all(&self) -> impl Iterator<Item = (LogId, &Cursor)> {
        let of_log = |(log, cursors): (&LogId, _)| (*log, cursors);
        let logs = self.by_log.iter().map(of_log);
        logs.flat_map(|(log, cursors): (_, &BTreeMap<_, Kept>)| {
            cursors.values().map(move |kept| (log, &kept.cursor))
        })
    }

    /// Applies the records of `log` up to its end. A record that is damaged, or says nothing that this version knows, is
    /// reported and left out: that cursor is what the record before has made it. Returns false if that would have to wait.
    pub(crate) fn catch_up(&mut self, log: &dyn CommitLog, wait: Wait) -> Result<bool> {
        while self.applied < log.end_offset() {
            let read = match log.try_read_batch(self.applied, usize::MAX, READ_BYTES) {
                Ok(Some(records)) => Ok(records),
                Ok(None) if wait == Wait::Never => return Ok(false),
                Ok(None) => log.read_batch(self.applied, usize::MAX, READ_BYTES),
                Err(error) => Err(error),
            };
            match read {
                Ok(records) => {
                    for record in &records {
                        self.apply(record);
                    }
                }
                Err(error) => match error.reason {
                    // What is left has all cursors.
                    Reason::Trimmed { start, .. } => *self = Self::starting_at(start),
                    _ if error.kind() == ErrorKind::Corrupt => {
                        tracing::error!(
                            offset = self.applied.get(),
                            error = &error as &dyn std::error::Error,
                            "a change of a cursor is lost"
                        );
                        self.applied += 1;
                    }
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }

    fn apply(&mut self, record: &StoredRecord) {
        self.applied = record.offset + 1;
        let key = record.key.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = size(key, record.value.len());
        self.bytes += bytes;
        let Some(Change { log, name, cursor }) = Change::decode(record) else {
            tracing::error!(
                offset = record.offset.get(),
                "a change of a cursor is not understood"
            );
            return;
        };
        let cursors = self.by_log.entry(log).or_default();
        let before = match cursor {
            Some(cursor) => {
                self.count += 1;
                self.live_bytes += bytes;
                cursors.insert(name, Kept { cursor, bytes })
            }
            None => cursors.remove(&name),
        };
        if let Some(before) = before {
            self.count -= 1;
            self.live_bytes -= before.bytes;
        }
        if cursors.is_empty() {
            self.by_log.remove(&log);
        }
    }
}
