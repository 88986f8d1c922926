//! Following a store that is damaged, before it is recovered.

use proglog_store::segment::StoreExt;
use proglog_store::testing::SimDisk;
use proglog_store::{Boundary, ErrorKind, Position, Store};

use crate::fixture::{HEADER_LEN, NAME, at, extend, frames, killed, mark, open, overwrite};

const MIB: usize = 1 << 20;

fn follow(disk: &SimDisk) -> Store {
    proglog_store::segment::open_following(&*disk.directory(), NAME, Boundary::START).unwrap()
}

/// A killed store of a short group and then these, with a mark before the last one.
fn killed_with(payloads: &[&[u8]]) -> SimDisk {
    let first: &[&[u8]] = &[b"first"];
    let groups = payloads.iter().map(std::slice::from_ref);
    killed(&[first].into_iter().chain(groups).collect::<Vec<_>>())
}

#[test]
fn a_mark_is_found_after_a_damaged_frame_whatever_that_holds() {
    // Bytes of which the exclusive-or over one read is zero.
    let disk = killed_with(&[&vec![7; MIB], b"last"]);
    let damaged = frames(&disk)[1].position;
    disk.flip(NAME, HEADER_LEN as u64 + damaged.get() + 4, 0);
    let follower = follow(&disk);
    assert_eq!(follower.end().frames, 2);
    let error = follower.read(damaged).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn a_mark_is_found_after_zeros_if_there_are_more_than_are_preallocated() {
    let long = vec![1; MIB];
    let mut payloads = vec![&long[..]; 10];
    payloads.push(b"last");
    let disk = killed_with(&payloads);
    let lost = &frames(&disk)[1];
    overwrite(&disk, at(lost), &[0; 4096]);
    let follower = follow(&disk);
    assert_eq!(follower.end().frames, 11);
    assert_eq!(follower.read(Position::ZERO).unwrap(), "first");
    let error = follower.read(lost.position).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
}

#[test]
fn as_many_zeros_as_may_be_preallocated_are_not_searched() {
    let disk = killed_with(&[b"last"]);
    let len = disk.read_file(NAME).len() as u64;
    disk.truncate_file(NAME, len + (8 << 20));
    disk.start_trace();
    let follower = follow(&disk);
    assert_eq!(follower.end().frames, 1);
    let read = disk.trace().iter().map(|call| call.len).sum::<u64>();
    assert!(read < MIB as u64, "{read} bytes");
}

#[test]
fn a_mark_after_garbage_that_does_not_claim_it_ends_the_search() {
    let disk = killed_with(&[]);
    let end = open(&disk.deep_clone()).unwrap().recovery().end;
    let position = end.position.get();
    let mark = mark(&disk, position + 8, position, end.frames);
    extend(&disk, &[&[0xff; 8], &mark[..], b"\x40"].concat());
    let follower = follow(&disk);
    assert!(follower.refresh().unwrap() <= end);
}
