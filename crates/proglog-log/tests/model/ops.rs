//! Random operations.

use proglog_api::v1;
use proglog_log::Record;
use proptest::collection::vec;
use proptest::prelude::*;

/// One thing that is done to a log. Places are parts in 2^16 of what there is.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Append(Record),
    Batch(Vec<Record>),
    /// Many small records.
    ManySmall(usize),
    /// A batch that nobody waits for yet.
    Submit(Vec<Record>),
    /// Waits for the submitted ones, the newest first if so asked.
    Wait(bool),
    TooLarge,
    Sync,
    Read(u16),
    Iterate(u16, usize),
    /// Appends at the offset that comes next, or where another does.
    SubmitAt(bool, Vec<Record>),
    Follow(u16, usize),
    Trim(u16),
    /// The rest is only for a log on disk.
    Truncate(u16),
    Reset(u64),
    Publish(u16),
    ReadBatch(u16, usize),
    OffsetAt(u16),
    Reopen,
    Kill,
}

fn record() -> impl Strategy<Value = Record> {
    let value = prop_oneof![
        8 => vec(any::<u8>(), 0..60),
        1 => vec(any::<u8>(), 500..1500),
        1 => Just(vec![7; 20_000]),
    ];
    let key = proptest::option::of(vec(any::<u8>(), 0..10));
    let headers = vec(("[a-z]{0,5}", vec(any::<u8>(), 0..5)), 0..2);
    (value, key, headers, any::<Option<i64>>()).prop_map(|(value, key, headers, timestamp)| {
        let mut record = Record::from(v1::Record {
            timestamp,
            ..v1::Record::new(value)
        });
        record.key = key.map(Into::into);
        let with = |record: Record, (name, value)| record.with_header(name, value);
        headers.into_iter().fold(record, with)
    })
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => record().prop_map(Op::Append),
        4 => vec(record(), 0..6).prop_map(Op::Batch),
        1 => (1..700_usize).prop_map(Op::ManySmall),
        6 => vec(record(), 0..4).prop_map(Op::Submit),
        3 => any::<bool>().prop_map(Op::Wait),
        1 => Just(Op::TooLarge),
        2 => Just(Op::Sync),
        6 => any::<u16>().prop_map(Op::Read),
        3 => (any::<u16>(), 0..50_usize).prop_map(|(from, count)| Op::Iterate(from, count)),
        3 => (any::<bool>(), vec(record(), 0..3)).prop_map(|(right, batch)| Op::SubmitAt(right, batch)),
        2 => (any::<u16>(), 0..50_usize).prop_map(|(from, count)| Op::Follow(from, count)),
        3 => any::<u16>().prop_map(Op::Trim),
        2 => any::<u16>().prop_map(Op::Truncate),
        1 => (0..100_u64).prop_map(Op::Reset),
        2 => any::<u16>().prop_map(Op::Publish),
        3 => (any::<u16>(), 0..5000_usize).prop_map(|(from, bytes)| Op::ReadBatch(from, bytes)),
        2 => any::<u16>().prop_map(Op::OffsetAt),
        2 => Just(Op::Reopen),
        2 => Just(Op::Kill),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    vec(op(), 1..60)
}
