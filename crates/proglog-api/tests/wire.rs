//! Golden encodings of every message: a field's number and type never change meaning.

use std::fmt::Debug;

use bytes::Bytes;
use proglog_api::v1::{
    ConsumeRequest, ConsumeResponse, GetServersRequest, GetServersResponse, Header, ProduceRequest,
    ProduceResponse, Producer, Record, Server,
};
use prost::Message;

/// A record with every field set, each to a distinct value.
fn full_record() -> Record {
    Record {
        value: Bytes::from_static(b"hello"),
        offset: 300,
        timestamp: Some(-1),
        appended_at: 1,
        key: Some(Bytes::from_static(b"k")),
        headers: vec![
            Header {
                name: "n".into(),
                value: Bytes::from_static(b"v"),
            },
            Header {
                name: "n".into(),
                value: Bytes::from_static(&[0xff]),
            },
        ],
        producer: Some(Producer {
            id: "p".into(),
            epoch: 1,
            sequence: 300,
            count: 2,
        }),
    }
}

const FULL_RECORD: &[u8] = &[
    0x0a, 5, b'h', b'e', b'l', b'l', b'o', // 1: value
    0x10, 0xac, 0x02, // 2: offset
    0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, // 5: timestamp
    0x30, 1, // 6: appended_at
    0x3a, 1, b'k', // 7: key
    0x42, 6, 0x0a, 1, b'n', 0x12, 1, b'v', // 8: headers
    0x42, 6, 0x0a, 1, b'n', 0x12, 1, 0xff, // 8: headers
    0x52, 10, 0x0a, 1, b'p', 0x10, 1, 0x18, 0xac, 0x02, 0x20, 2, // 10: producer
];

/// Asserts that `message` encodes to exactly `bytes` and back.
#[track_caller]
fn assert_wire<M: Message + Default + PartialEq + Debug>(message: &M, bytes: &[u8]) {
    assert_eq!(message.encode_to_vec(), bytes);
    assert_eq!(M::decode(bytes).as_ref(), Ok(message));
}

#[test]
fn record_has_its_golden_encoding() {
    assert_wire(&full_record(), FULL_RECORD);
}

#[test]
fn produce_request_has_its_golden_encoding() {
    let request = ProduceRequest {
        record: Some(Record::new("hi")),
    };
    assert_wire(&request, &[0x0a, 4, 0x0a, 2, b'h', b'i']);
}

#[test]
fn produce_response_has_its_golden_encoding() {
    assert_wire(&ProduceResponse { offset: 300 }, &[0x08, 0xac, 0x02]);
}

#[test]
fn consume_request_has_its_golden_encoding() {
    assert_wire(&ConsumeRequest { offset: 300 }, &[0x08, 0xac, 0x02]);
}

#[test]
fn consume_response_has_its_golden_encoding() {
    let record = Record {
        offset: 7,
        ..Record::new("hi")
    };
    let response = ConsumeResponse {
        record: Some(record),
    };
    assert_wire(&response, &[0x12, 6, 0x0a, 2, b'h', b'i', 0x10, 7]);
}

#[test]
fn unset_fields_take_no_bytes() {
    assert_wire(&Record::default(), &[]);
    assert_wire(&Header::default(), &[]);
    assert_wire(&Producer::default(), &[]);
    assert_wire(&ProduceRequest::default(), &[]);
    assert_wire(&ProduceResponse::default(), &[]);
    assert_wire(&ConsumeRequest::default(), &[]);
    assert_wire(&ConsumeResponse::default(), &[]);
}

#[test]
fn integers_use_the_whole_width_of_their_types() {
    let max = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_wire(
        &ProduceResponse { offset: u64::MAX },
        &[&[0x08][..], &max].concat(),
    );
    assert_wire(
        &ConsumeRequest { offset: u64::MAX },
        &[&[0x08][..], &max].concat(),
    );
    assert_wire(
        &Record {
            offset: u64::MAX,
            ..Record::default()
        },
        &[&[0x10][..], &max].concat(),
    );
    assert_wire(
        &Record {
            appended_at: -1,
            ..Record::default()
        },
        &[&[0x30][..], &max].concat(),
    );
}

#[test]
fn absent_key_and_timestamp_differ_from_empty_and_zero() {
    assert_wire(
        &Record::new("").with_timestamp(0).with_key(""),
        &[0x28, 0, 0x3a, 0],
    );
    assert_ne!(Record::new("").with_key(""), Record::new(""));
    assert_ne!(Record::new("").with_timestamp(0), Record::new(""));
}

#[test]
fn record_of_the_book_is_read() {
    let bytes = [0x0a, 5, b'h', b'e', b'l', b'l', b'o', 0x10, 3];
    let record = Record::decode(&bytes[..]).unwrap();
    assert_eq!(
        record,
        Record {
            offset: 3,
            ..Record::new("hello")
        }
    );
}

#[test]
fn a_client_of_the_book_finds_the_record_of_an_answer_in_its_field() {
    /// `ConsumeResponse` of the book: `Record record = 2`, with `bytes value = 1` and `uint64 offset = 2`.
    #[derive(Clone, PartialEq, Message)]
    struct OfTheBook {
        #[prost(message, optional, tag = "2")]
        record: Option<RecordOfTheBook>,
    }
    #[derive(Clone, PartialEq, Message)]
    struct RecordOfTheBook {
        #[prost(bytes = "vec", tag = "1")]
        value: Vec<u8>,
        #[prost(uint64, tag = "2")]
        offset: u64,
    }
    let record = Record {
        offset: 7,
        ..Record::new("hi")
    };
    let response = ConsumeResponse {
        record: Some(record),
    };
    let read = OfTheBook::decode(&*response.encode_to_vec()).unwrap();
    let record = RecordOfTheBook {
        value: b"hi".to_vec(),
        offset: 7,
    };
    assert_eq!(read.record, Some(record));
}

#[test]
fn term_and_type_of_the_book_are_skipped() {
    let bytes = [0x0a, 1, b'x', 0x18, 9, 0x20, 1]; // 3: term, 4: type
    assert_eq!(Record::decode(&bytes[..]).unwrap(), Record::new("x"));
}

#[test]
fn unknown_fields_are_skipped() {
    let unknown = [
        &[0xf8, 0x07, 0x96, 0x01][..],         // 127, a varint
        &[0xf9, 0x07, 1, 2, 3, 4, 5, 6, 7, 8], // 127, 64 bits
        &[0xfa, 0x07, 2, 0xff, 0xff],          // 127, bytes
        &[0xfd, 0x07, 1, 2, 3, 4],             // 127, 32 bits
    ];
    for unknown in unknown {
        let before = [unknown, FULL_RECORD].concat();
        let after = [FULL_RECORD, unknown].concat();
        assert_eq!(Record::decode(&before[..]).unwrap(), full_record());
        assert_eq!(Record::decode(&after[..]).unwrap(), full_record());
        assert_eq!(
            ConsumeRequest::decode(unknown).unwrap(),
            ConsumeRequest::default()
        );
    }
}

#[test]
fn every_encoding_cut_within_a_field_is_an_error() {
    let ends_of_fields = [0, 7, 10, 21, 23, 26, 34, 42, 54];
    for len in 0..=FULL_RECORD.len() {
        let whole = Record::decode(&FULL_RECORD[..len]).is_ok();
        assert_eq!(whole, ends_of_fields.contains(&len), "cut to {len} bytes");
    }
}

#[test]
fn decoded_bytes_share_the_memory_they_were_decoded_from() {
    let buffer = Bytes::from_static(FULL_RECORD);
    let record = Record::decode(buffer.clone()).unwrap();
    assert_eq!(record.value.as_ptr(), buffer[2..].as_ptr());
}

#[test]
fn every_conversion_makes_a_record_of_the_value_alone() {
    let expected = Record {
        value: Bytes::from_static(b"hi"),
        ..Record::default()
    };
    assert_eq!(Record::new("hi"), expected);
    assert_eq!(Record::from(Bytes::from_static(b"hi")), expected);
    assert_eq!(Record::from(b"hi".to_vec()), expected);
    assert_eq!(Record::from(String::from("hi")), expected);
    assert_eq!(Record::from(&b"hi"[..]), expected);
    assert_eq!(Record::from(b"hi"), expected);
    assert_eq!(Record::from("hi"), expected);
}

#[test]
fn setters_set_their_field_and_leave_the_rest() {
    let record = Record {
        offset: 300,
        appended_at: 1,
        producer: full_record().producer,
        ..Record::new("hello")
    }
    .with_timestamp(-1)
    .with_key("k")
    .with_header("n", "v")
    .with_header("n", vec![0xff]);
    assert_eq!(record, full_record());
}

#[test]
fn servers_of_the_book_have_their_golden_encoding() {
    let server = Server {
        id: "a".into(),
        rpc_addr: "b".into(),
        is_leader: true,
    };
    let response = GetServersResponse {
        servers: vec![server],
    };
    assert_wire(&response, &[0x0a, 8, 0x0a, 1, b'a', 0x12, 1, b'b', 0x18, 1]);
    assert_wire(&GetServersRequest::default(), &[]);
}
