//! The inputs that each target starts from: real files, real messages, and one edit of each kind. The targets say
//! what the bytes mean.

use crate::files::{HEADER_LEN, read};

/// A script of one edit, of each kind, at a few places.
fn scripts() -> Vec<Vec<u8>> {
    let mut scripts = Vec::new();
    for kind in 0..10 {
        for at in [0_u16, 5, 70, 200, 400, 700, 1100] {
            let mut script = vec![kind];
            script.extend(at.to_be_bytes());
            script.extend([2, 3, 0, 90]);
            scripts.push(script);
        }
    }
    scripts
}

/// Each of `plans`, followed by each of `scripts`.
fn with_plans(plans: &[&[u8]], scripts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let with = |plan: &&[u8]| {
        let scripts = scripts.iter();
        let planned = scripts.map(|script| [*plan, script].concat());
        planned.collect::<Vec<_>>()
    };
    plans.iter().flat_map(with).collect()
}

pub(crate) fn frame() -> Vec<Vec<u8>> {
    let mut seeds = with_plans(&[&[0, 0], &[1, 0], &[6, 0], &[7, 2]], &scripts());
    for (number, name) in (0..).zip(["closed", "killed"]) {
        let file = read(&format!("proglog-store/tests/data/v1/{name}.store"));
        seeds.push([&[number | 8, 0], &file[HEADER_LEN..]].concat());
        seeds.push([&[number | 8 | 4, 0], &file[HEADER_LEN..]].concat());
        seeds.push([&[number | 16, 0], &file[..]].concat());
    }
    seeds
}

pub(crate) fn segment() -> Vec<Vec<u8>> {
    let plans: [&[u8]; 6] = [
        &[0, 0, 0],
        &[0, 2, 0],
        &[1, 2, 0],
        &[1, 1, 0],
        &[6, 1, 0],
        &[7, 2, 2],
    ];
    let mut seeds = with_plans(&plans, &scripts());
    for (number, name) in (0..).zip(["closed", "killed"]) {
        for (segment, base) in (0..).zip([0, 8, 17]) {
            let file = read(&format!("proglog-log/tests/data/v1/{name}/{base:020}.log"));
            seeds.push([&[number | 8, segment, 0], &file[HEADER_LEN..]].concat());
            seeds.push([&[number | 8 | 4, segment, 0], &file[HEADER_LEN..]].concat());
        }
    }
    seeds
}

pub(crate) fn index() -> Vec<Vec<u8>> {
    let mut seeds = with_plans(&[&[2, 0], &[3, 2], &[6, 1], &[7, 2]], &scripts());
    for (segment, base) in (0..).zip([0, 8, 17]) {
        let file = read(&format!(
            "proglog-log/tests/data/v1/closed/{base:020}.index"
        ));
        seeds.push([&[4 | 16, segment], &file[..64]].concat());
    }
    seeds
}

pub(crate) fn checkpoint() -> Vec<Vec<u8>> {
    let mut seeds = with_plans(&[&[0], &[1], &[6], &[7]], &scripts());
    for (number, name) in (0..).zip(["closed", "killed"]) {
        let file = read(&format!("proglog-log/tests/data/v1/{name}/checkpoint"));
        seeds.push([&[number | 4 | 16], &file[..]].concat());
    }
    seeds
}

/// The records of a segment, and messages.
pub(crate) fn record() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for base in [0, 17] {
        let file = read(&format!("proglog-log/tests/data/v1/closed/{base:020}.log"));
        let mut frames = &file[HEADER_LEN..];
        while let [kind, a, b, c, _, _, _, _, payload @ ..] = frames {
            let len = u32::from_be_bytes([kind & 0x3f, *a, *b, *c]) as usize;
            let Some((payload, rest)) = payload.split_at_checked(len) else {
                break;
            };
            if kind >> 6 != 0b11 {
                seeds.extend([0, 2].map(|plan| [&[plan], payload].concat()));
            }
            frames = rest;
        }
    }
    let messages = [
        r#"{"record": "aGVsbG8="}"#,
        r#"{"record": {"value": "aGVsbG8=", "offset": 1}}"#,
        r#"{"record": ""}"#,
        r#"{"offset": 18446744073709551615}"#,
        r#"{"offset": -1, "more": [1.5e3, null, true, "\u0000\ud83d\ude00"]}"#,
    ];
    seeds.extend(messages.map(|message| [&[1], message.as_bytes()].concat()));
    seeds
}

/// Requests, and sequences of them.
pub(crate) fn http() -> Vec<Vec<u8>> {
    let append = b"\x00\x00\x00\x01\x00\x05hello".to_vec();
    let append_protobuf = b"\x00\x00\x01\x00\x01\x03\x00\x09\x0a\x05hello\x10\x07".to_vec();
    let read = b"\x02\x02\x00\x00\x00".to_vec();
    let read_by_body = b"\x02\x00\x01\x01\x01\x02\x00".to_vec();
    let read_by_query = b"\x02\x03\x00\x0a/?offset=0\x00\x00".to_vec();
    let raw = [
        b"\x00\x00\x00\x05\x00\x16".to_vec(),
        br#"{"record": "aGVsbG8="}"#.to_vec(),
    ]
    .concat();
    let too_large = b"\x00\x00\x00\x04\x20\x00".to_vec();
    let elsewhere = b"\x06\x03\x00\x05/else\x02\x05\x00\x01a\x03\x00\x01b\x02\x00\x00".to_vec();
    let head = b"\x04\x02\x00\x00".to_vec();
    let of_two = [append.clone(), read.clone()].concat();
    let of_four = [
        append_protobuf.clone(),
        read_by_body.clone(),
        append.clone(),
        read_by_query.clone(),
    ];
    let of_four = of_four.concat();
    vec![
        append,
        append_protobuf,
        read,
        read_by_body,
        read_by_query,
        raw,
        too_large,
        elsewhere,
        head,
        of_two,
        of_four,
    ]
}
