//! Appends as values: a batch, and what has to hold for it.

use crate::commit::ticket::Ticket;
use crate::offset::Offset;
use crate::record::batch::Batch;
use crate::record::producer::Producer;

/// A batch to append, and the conditions of the append.
///
/// ```
/// use proglog_log::{Append, CommitLog, MemoryLog, Producer};
///
/// let log = MemoryLog::new();
/// let producer = Producer::new("load-7", 0, 0)?;
/// let append = Append::new(["debit", "credit"]).at(0).by(producer);
/// assert_eq!(log.submit_append(append)?.wait()?, 0..2);
/// assert_eq!(log.read(0)?.producer().map(|producer| producer.count()), Some(2));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Append {
    /// The records.
    pub batch: Batch,
    /// The offset that the first record has to get; `None` for whichever is next.
    pub expected: Option<Offset>,
    /// The producer to store in the first record. [`Log`](crate::Log) and [`MemoryLog`](crate::MemoryLog) do not
    /// compare it with what was appended before: that is up to the caller.
    pub producer: Option<Producer>,
}

/// The outcome of [`CommitLog::try_submit`](crate::CommitLog::try_submit).
#[derive(Debug)]
pub enum Attempt {
    /// The append was accepted, as by [`CommitLog::submit_append`](crate::CommitLog::submit_append).
    Taken(Ticket),
    /// The append would have to wait. Nothing was appended; this is the append as it was given.
    Blocked(Append),
}

impl Append {
    /// Returns an unconditional append of `batch`.
    pub fn new(batch: impl Into<Batch>) -> Self {
        Self {
            batch: batch.into(),
            ..Self::default()
        }
    }

    /// Sets the offset that the first record has to get.
    #[must_use]
    pub fn at(mut self, expected: impl Into<Offset>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// Sets the producer.
    #[must_use]
    pub fn by(mut self, producer: Producer) -> Self {
        self.producer = Some(producer);
        self
    }

    /// Moves the producer to the first record, as it is stored.
    pub(crate) fn mark(&mut self) {
        let count = self.batch.len();
        if let Some(first) = self.batch.first_mut() {
            first.producer = self.producer.take().map(|mut producer| {
                // A batch has at most 2^24 records, by its limit and what each counts for.
                producer.count = u32::try_from(count).unwrap_or(u32::MAX);
                Box::new(producer)
            });
        }
    }

    /// Undoes [`Append::mark`].
    pub(crate) fn unmark(&mut self) {
        if let Some(first) = self.batch.first_mut() {
            self.producer = first.producer.take().map(|mut producer| {
                producer.count = 0;
                *producer
            });
        }
    }
}
