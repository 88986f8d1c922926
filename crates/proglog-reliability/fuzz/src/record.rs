//! The encodings of a record: protobuf, by prost and by the log's own code, and JSON.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use proglog_api::v1;
use proglog_log::testing::{decode_offset_and_size, decode_record, encode_record};
use proglog_log::{Log, LogOptions, Record, StoredRecord};
use proglog_store::testing::{SimDisk, Survivors};
use prost::Message;

use crate::damage::Damage;
use crate::json;

/// The size of a record, as the log counts it.
fn size(record: &StoredRecord) -> usize {
    let headers = record.headers.iter();
    let headers = headers.map(|header| header.name.len() + header.value.len() + 32);
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    encoding: Encoding,
    #[arbitrary(with = record)]
    record: v1::Record,
    damage: Option<Damage<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Encoding {
    Protobuf,
    /// The encoding is appended to a log.
    Log,
    /// One of some messages, instead of the record.
    Json {
        #[arbitrary(with = |input: &mut Unstructured<'_>| input.choose(&MESSAGES).copied())]
        message: &'static str,
    },
}

const MESSAGES: [&str; 5] = [
    r#"{"record": "aGVsbG8="}"#,
    r#"{"record": {"value": "aGVsbG8=", "offset": 1}}"#,
    r#"{"record": ""}"#,
    r#"{"offset": 18446744073709551615}"#,
    r#"{"offset": -1, "more": [1.5e3, null, true, "\u0000\ud83d\ude00"]}"#,
];

/// Any record.
pub(crate) fn record(input: &mut Unstructured<'_>) -> arbitrary::Result<v1::Record> {
    let headers = input.arbitrary::<Vec<(String, &[u8])>>()?;
    let headers = headers.into_iter().map(|(name, value)| v1::Header {
        name,
        value: Bytes::copy_from_slice(value),
    });
    let key = input.arbitrary::<Option<&[u8]>>()?;
    let producer = input.arbitrary::<Option<(u64, u64, u32)>>()?;
    let producer = producer.map(|(epoch, sequence, count)| v1::Producer {
        id: "load-7".to_owned(),
        epoch,
        sequence,
        count,
    });
    Ok(v1::Record {
        headers: headers.collect(),
        offset: input.arbitrary()?,
        timestamp: input.arbitrary()?,
        appended_at: input.arbitrary()?,
        key: key.map(Bytes::copy_from_slice),
        producer,
        value: Bytes::copy_from_slice(input.arbitrary()?),
    })
}

pub(crate) fn check(input: &Input<'_>) {
    let mut bytes = match input.encoding {
        Encoding::Json { message } => message.into(),
        _ => input.record.encode_to_vec(),
    };
    if let Some(damage) = &input.damage {
        damage.apply(&mut bytes, &[]);
    }
    match input.encoding {
        Encoding::Protobuf => protobuf(&bytes),
        Encoding::Log => store(&bytes),
        Encoding::Json { .. } => json::check(&bytes),
    }
}

/// Both decoders read the same record, and both encoders write the same bytes.
fn protobuf(bytes: &[u8]) {
    let message = v1::Record::decode(bytes).map_err(|error| error.to_string());
    let expected = message.map(StoredRecord::from);
    assert_eq!(decode_record(Bytes::copy_from_slice(bytes)), expected);
    let offset_and_size = decode_offset_and_size(bytes);
    let Ok(record) = expected else {
        assert!(offset_and_size.is_err());
        return;
    };
    assert_eq!(offset_and_size, Ok((record.offset.get(), size(&record))));
    let written = encode_record(&record);
    assert_eq!(written, v1::Record::from(record.clone()).encode_to_vec());
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
