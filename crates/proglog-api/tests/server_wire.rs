//! Golden encodings of the messages of the server: a field's number and type never change meaning.

use std::fmt::Debug;

use proglog_api::proglog::v1::{
    AppendRequest, AppendResponse, Durability, OffsetRange, ReadResponse,
};
use proglog_api::v1::{Producer, Record};
use prost::Message;

/// Asserts that `message` encodes to exactly `bytes` and back.
#[track_caller]
fn assert_wire<M: Message + Default + PartialEq + Debug>(message: &M, bytes: &[u8]) {
    assert_eq!(message.encode_to_vec(), bytes);
    assert_eq!(M::decode(bytes).as_ref(), Ok(message));
}

#[test]
fn append_request_has_its_golden_encoding() {
    let request = AppendRequest {
        log: "l".into(),
        records: vec![Record::new("a"), Record::new("b")],
        expected_offset: Some(0),
        producer: Some(Producer {
            id: "p".into(),
            epoch: 1,
            sequence: 2,
            count: 0,
        }),
        sync: true,
    };
    let bytes = [
        &[0x0a, 1, b'l'][..],                              // 1: log
        &[0x12, 3, 0x0a, 1, b'a', 0x12, 3, 0x0a, 1, b'b'], // 2: records
        &[0x18, 0],                                        // 3: expected_offset
        &[0x22, 7, 0x0a, 1, b'p', 0x10, 1, 0x18, 2],       // 4: producer
        &[0x28, 1],                                        // 5: sync
    ];
    assert_wire(&request, &bytes.concat());
}

#[test]
fn append_response_has_its_golden_encoding() {
    let response = AppendResponse {
        start_offset: 1,
        end_offset: 300,
        duplicate: true,
        durability: Durability::Buffered.into(),
    };
    assert_wire(&response, &[0x08, 1, 0x10, 0xac, 0x02, 0x18, 1, 0x20, 3]);
    let numbers = [
        Durability::Unspecified,
        Durability::Synced,
        Durability::Interval,
    ]
    .map(i32::from);
    assert_eq!(numbers, [0, 1, 2]);
}

#[test]
fn read_response_has_its_golden_encoding() {
    let response = ReadResponse {
        records: vec![Record::new("a")],
        next_offset: 5,
        start_offset: 2,
        end_offset: 9,
        damaged: vec![OffsetRange { start: 3, end: 4 }],
    };
    let bytes = [
        &[0x0a, 3, 0x0a, 1, b'a'][..], // 1: records
        &[0x10, 5, 0x18, 2, 0x20, 9],  // 2 to 4: offsets
        &[0x2a, 4, 0x08, 3, 0x10, 4],  // 5: damaged
    ];
    assert_wire(&response, &bytes.concat());
}
