//! The encodings of a record: protobuf, by prost and by hand, and JSON.

use bytes::Bytes;
use proglog_log::{Log, Offset, Options};
use proglog_store::testing::{SimDisk, Survivors};
use prost::Message;

use crate::json;
use crate::memory;

pub(crate) use proglog_api::v1::Record;

/// As the log counts it; its files ask for it by this name.
pub(crate) fn size(record: &Record) -> usize {
    let headers = record.headers.iter();
    let headers = headers.map(|header| header.name.len() + header.value.len() + 32);
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}

/// Runs the target.
pub fn run(data: &[u8]) {
    let Some((plan, bytes)) = data.split_first() else {
        return;
    };
    memory::bounded(|| match plan % 8 {
        0 => store(bytes),
        1 => json::check(bytes),
        _ => protobuf(bytes),
    });
}

/// Both ways of reading read the same, and what is read is written again by both in the same way.
fn protobuf(bytes: &[u8]) {
    let expected = Record::decode(bytes);
    assert_eq!(
        crate::decode::record(Bytes::copy_from_slice(bytes)),
        expected
    );
    let offset_and_size = crate::decode::offset_and_size(bytes);
    let Ok(record) = expected else {
        assert!(offset_and_size.is_err());
        return;
    };
    assert_eq!(offset_and_size, Ok((record.offset, size(&record))));
    let written = write(&record);
    assert_eq!(written, record.encode_to_vec());
    assert_eq!(crate::decode::record(written.into()), Ok(record));
}

fn write(record: &Record) -> Vec<u8> {
    let appended_at = crate::encode::Time::new(record.appended_at);
    let stored = crate::encode::Stored {
        record,
        offset: Offset::new(record.offset),
        appended_at: &appended_at,
    };
    let mut written = vec![0; stored.len()];
    stored.encode(&mut written);
    written
}

/// What is appended is read back, and again after the power failed.
fn store(bytes: &[u8]) {
    let Ok(record) = Record::decode(bytes) else {
        return;
    };
    let options = Options::new().fill_ahead_max(0);
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options).expect("the disk works");
    let appended = log.append_batch([record.clone(), record.clone()]);
    assert_eq!(appended.map(|range| range.end).ok(), Some(Offset::new(2)));
    assert_holds(&log, &record);
    let disk = disk.crash(Survivors::LoseAll);
    let log = Log::open_in(disk.directory(), &options).expect("the disk works");
    assert_holds(&log, &record);
}

fn assert_holds(log: &Log, record: &Record) {
    for offset in 0..2 {
        let read = log.read(offset).expect("it was appended");
        let written = Record {
            offset,
            appended_at: read.appended_at,
            ..record.clone()
        };
        assert_eq!(read, written);
    }
}
