//! The encodings of a record: protobuf, by prost and by the log's own code, and JSON.

use bytes::Bytes;
use proglog_api::v1;
use proglog_log::testing::{decode_offset_and_size, decode_record, encode_record};
use proglog_log::{Log, LogOptions, Record, StoredRecord};
use proglog_store::testing::{SimDisk, Survivors};
use prost::Message;

use crate::json;
use crate::memory;

/// The size of a record, as the log counts it.
fn size(record: &StoredRecord) -> usize {
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

/// Both decoders read the same record, and both encoders write the same bytes.
fn protobuf(bytes: &[u8]) {
    let message = v1::Record::decode(bytes).map_err(|error| error.to_string());
    let expected = message.clone().map(StoredRecord::from);
    assert_eq!(decode_record(Bytes::copy_from_slice(bytes)), expected);
    let offset_and_size = decode_offset_and_size(bytes);
    let (Ok(message), Ok(record)) = (message, expected) else {
        assert!(offset_and_size.is_err());
        return;
    };
    assert_eq!(offset_and_size, Ok((record.offset.get(), size(&record))));
    let appended_at = message.appended_at;
    let written = encode_record(&record.clone().into(), record.offset, appended_at);
    assert_eq!(written, message.encode_to_vec());
    assert_eq!(decode_record(written.into()), Ok(record));
}

/// Appends a record, and reads it back before and after a power failure.
fn store(bytes: &[u8]) {
    let Ok(record) = v1::Record::decode(bytes).map(Record::from) else {
        return;
    };
    let options = LogOptions::new().preallocate_max(0);
    let disk = SimDisk::new();
    let log = Log::open_in(disk.directory(), &options).expect("the disk works");
    let appended = log.append_batch([record.clone(), record.clone()]);
    assert!(appended.is_ok_and(|offsets| offsets == (0..2)));
    assert_holds(&log, &record);
    let disk = disk.crash(Survivors::LoseAll);
    let log = Log::open_in(disk.directory(), &options).expect("the disk works");
    assert_holds(&log, &record);
}

fn assert_holds(log: &Log, record: &Record) {
    for offset in 0..2 {
        let read = log.read(offset).expect("it was appended");
        let written = StoredRecord::new(offset, read.appended_at(), record.clone());
        assert_eq!(read, written);
    }
}
