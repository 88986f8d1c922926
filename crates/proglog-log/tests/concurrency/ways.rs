//! Ways to come by the records of a log.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::thread;

use bytes::Bytes;
use futures::StreamExt;
use proglog_log::{Error, Offset, Reader, Reason, StoredRecord};

use crate::support::block_on;

/// A way to read the records of a log.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    Follow,
    Stream,
    Iterate,
    Batches,
    /// Batches that take no waiting, and others where there are none.
    Try,
    Read,
}

pub(crate) const ALL_WAYS: [Way; 6] = [
    Way::Follow,
    Way::Stream,
    Way::Iterate,
    Way::Batches,
    Way::Try,
    Way::Read,
];

impl Way {
    /// Visits the records from `from` on and those that come; returns when `visit` breaks, or after it was
    /// shown an error.
    pub(crate) fn go(self, reader: &Reader, from: Offset, visit: &mut Visit) {
        match self {
            Self::Follow => _ = reader.follow(from).try_for_each(visit),
            Self::Stream => {
                let mut stream = reader.follow(from).into_stream();
                block_on(async {
                    while let Some(record) = stream.next().await {
                        if visit(record).is_break() {
                            return;
                        }
                    }
                });
            }
            Self::Iterate => Self::poll(from, visit, |next| reader.records(next..).collect()),
            Self::Batches => Self::poll(from, visit, |next| {
                match reader.read_batch(next, usize::MAX, 500) {
                    Ok(records) => records.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                }
            }),
            Self::Try => Self::poll(from, visit, |next| {
                let tried = reader.try_read_batch(next, 3, 500).transpose();
                match tried.unwrap_or_else(|| reader.read_batch(next, 3, 500)) {
                    Ok(records) => records.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(error)],
                }
            }),
            Self::Read => Self::poll(from, visit, |next| match reader.read(next) {
                Err(Error {
                    reason: Reason::OutOfRange { offset, end, .. },
                    ..
                }) if offset <= end => Vec::new(),
                read => vec![read],
            }),
        }
    }

    /// Visits what `read` reads at the offset it is given, again and again.
    fn poll(
        from: Offset,
        visit: &mut Visit,
        read: impl Fn(Offset) -> Vec<Result<StoredRecord, Error>>,
    ) {
        let mut next = from;
        loop {
            for record in read(next) {
                let failed = record.is_err();
                if visit(record).is_break() || failed {
                    return;
                }
                next = next.saturating_add(1);
            }
            thread::yield_now();
        }
    }
}

/// Reads with `reader`, in one way, up to the value "end". Each record comes in its turn, unless it was dropped
/// before it was read. Returns the records.
pub(crate) fn see(way: Way, reader: &Reader) -> HashMap<u64, Bytes> {
    let mut seen = HashMap::new();
    let mut next = Offset::ZERO;
    let mut ended = false;
    while !ended {
        way.go(reader, next, &mut |record| match record {
            Ok(record) => {
                assert_eq!(record.offset, next, "{way:?}");
                next = next.saturating_add(1);
                ended = record.value == "end";
                seen.insert(record.offset.get(), record.value);
                if ended {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            }
            Err(Error {
                reason: Reason::Trimmed { offset, start, .. },
                ..
            }) => {
                assert!(
                    offset == next && start > offset,
                    "{way:?}: {offset} {start}"
                );
                next = start;
                ControlFlow::Break(())
            }
            Err(error) => panic!("{way:?}: {error:?}"),
        });
    }
    seen
}

pub(crate) type Visit<'a> = dyn FnMut(Result<StoredRecord, Error>) -> ControlFlow<()> + 'a;
