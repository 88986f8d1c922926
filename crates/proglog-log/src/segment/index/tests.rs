use std::io::ErrorKind;

use proglog_store::testing::{CallKind, Fault, SimDisk, When};

use super::*;
use crate::segment::index::cached_pages::PageEviction;

const PAGE: u64 = PAGE_ENTRIES as u64;

/// The halves share bits.
const SALT: u64 = 0x5555_5555_3333_3333;

fn index(disk: &SimDisk, pages: Pages) -> Index {
    let eviction = Arc::new(PageEviction::new(100 * PAGE_LEN));
    let cached = Arc::new(CachedPages::new(eviction));
    Index::new(disk.directory(), "an.index".into(), cached, 9, pages)
}

fn push(index: &Index, numbers: Range<u64>) {
    let mut appender = index.appender();
    for number in numbers {
        index.push(&mut appender, Position::new(number * 10));
    }
}

fn holds(index: &Index, count: u64) {
    for number in 0..count {
        let entry = index.entry(number).unwrap();
        assert_eq!(entry.position.get(), number * 10);
        if let Some(next) = entry.next {
            assert_eq!(next.get(), (number + 1) * 10);
        }
    }
    assert_eq!(index.entry(count), None);
}

fn pages_in_memory(index: &Index) -> Range<u64> {
    index.unwritten.read().first_page()..index.len().div_ceil(PAGE)
}

#[test]
fn full_pages_of_sure_entries_go_to_the_file_and_the_others_stay() {
    let disk = SimDisk::new();
    let writer = index(&disk, Pages::Full(0));
    for (pushed, sure, in_file) in [
        (PAGE - 1, u64::MAX, 0),
        (PAGE, PAGE - 1, 0),
        (PAGE, PAGE, 1),
        (2 * PAGE, PAGE, 1),
        (4 * PAGE + 5, 3 * PAGE + 7, 3),
        (4 * PAGE + 5, u64::MAX, 4),
    ] {
        push(&writer, writer.len()..pushed);
        writer.write_full_pages(sure);
        let in_memory = pages_in_memory(&writer);
        assert_eq!(
            in_memory.start, in_file,
            "{pushed} of which {sure} are sure"
        );
        assert_eq!(writer.len(), pushed);
        if in_file > 0 {
            assert_eq!(
                disk.read_file("an.index").len() as u64,
                file_len(in_file * PAGE)
            );
        }
        holds(&writer, pushed);
    }
    assert!(writer.write_all(true));
    assert_eq!(disk.read_file("an.index").len(), 5 * PAGE_LEN);
    for in_file in [5, u64::MAX] {
        holds(&index(&disk, Pages::Full(in_file)), 4 * PAGE + 5);
    }
}

#[test]
fn an_index_ends_with_a_full_page_or_a_part_of_one_or_is_empty() {
    for count in [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE] {
        let disk = SimDisk::new();
        let writer = index(&disk, Pages::Full(0));
        push(&writer, 0..count);
        assert!(writer.write_all(true));
        if count > 0 {
            assert_eq!(disk.read_file("an.index").len() as u64, file_len(count));
        }
        let pages = count.div_ceil(PAGE);
        holds(&index(&disk, Pages::Full(pages)), count);
    }
}

#[test]
fn a_run_of_records_ends_where_it_has_as_many_bytes_as_asked_for() {
    let disk = SimDisk::new();
    let writer = index(&disk, Pages::Full(0));
    push(&writer, 0..PAGE + 2);
    for _ in 0..2 {
        let limit = |numbers, bytes| writer.limit(numbers, bytes);
        let place = |number: u64| Position::new(number * 10);
        assert_eq!(limit(0..9, 0), Some((1, place(1))));
        assert_eq!(limit(3..9, 19), Some((1, place(4))));
        assert_eq!(limit(3..9, 20), Some((2, place(5))));
        assert_eq!(limit(3..9, 100), Some((6, place(9))));
        assert_eq!(limit(3..4, 100), Some((1, place(4))));
        assert_eq!(limit(PAGE..PAGE + 2, 0), Some((1, place(PAGE + 1))));
        // The entry after the last is on no page, or on the next.
        assert_eq!(limit(PAGE + 1..PAGE + 2, 10), None);
        assert_eq!(limit(PAGE..PAGE + 2, 10), None);
        writer.write_full_pages(PAGE);
        assert_eq!(limit(PAGE - 2..PAGE, 10), None);
    }
}

#[test]
fn a_batch_of_entries_tells_when_a_page_is_full() {
    let disk = SimDisk::new();
    let writer = index(&disk, Pages::Full(0));
    let lens = vec![7; PAGE_ENTRIES - 1];
    let mut appender = writer.appender();
    let mut push =
        |number, lens| writer.push_batch(&mut appender, Position::new(number * 10), lens, 3);
    assert!(!push(0, &lens));
    assert!(push(PAGE - 1, &[7]));
    assert!(!push(PAGE, &[7]));
    holds(&writer, PAGE + 1);
}

#[test]
fn entries_that_were_dropped_make_room_for_others_and_their_memory_is_given_back() {
    let disk = SimDisk::new();
    let writer = index(&disk, Pages::Full(0));
    push(&writer, 0..4 * PAGE);
    writer.write_full_pages(PAGE);
    for kept in [3 * PAGE, PAGE + 3] {
        writer.truncate(kept);
        holds(&writer, kept);
    }
    push(&writer, PAGE + 3..PAGE + 5);
    holds(&writer, PAGE + 5);
    let mut appender = writer.release_memory();
    assert_eq!(writer.unwritten.room(), 5);
    holds(&writer, PAGE + 5);
    writer.push(&mut appender, Position::new((PAGE + 5) * 10));
    holds(&writer, PAGE + 6);
}

#[test]
fn a_page_that_was_made_again_is_found_without_being_written() {
    let disk = SimDisk::new();
    let reader = index(&disk, Pages::All);
    assert_eq!(reader.entry(PAGE + 1), None);
    reader.restore_page(1, &[5, 6, 7]);
    let entry = Entry {
        position: Position::new(6),
        next: Some(Position::new(7)),
    };
    assert_eq!(reader.entry(PAGE + 1), Some(entry));
    assert!(disk.file_names().is_empty());
}

#[test]
fn a_page_that_cannot_be_written_stays_in_memory() {
    let disk = SimDisk::new();
    let writer = index(&disk, Pages::Full(0));
    push(&writer, 0..2 * PAGE + 1);
    disk.inject(
        When::Next(CallKind::Write, 1),
        Fault::error(ErrorKind::StorageFull),
    );
    assert!(!writer.write_all(true));
    assert_eq!(pages_in_memory(&writer), 1..3);
    holds(&writer, 2 * PAGE + 1);
    assert!(writer.write_all(true));
    assert_eq!(pages_in_memory(&writer), 2..3);
    holds(&writer, 2 * PAGE + 1);
}

#[test]
fn a_page_has_exactly_these_bytes() {
    let page = encode_page(&[0, 0x0102_0304], SALT, 3);
    let mut expected = b"\0\0\0\x02\0\0\0\0\x01\x02\x03\x04".to_vec();
    expected.resize(4092, 0);
    let mixed = 0x6666_6666 ^ 3_u32.wrapping_mul(0x9e37_79b9);
    expected.extend((crc_fast::crc32_iscsi(&expected) ^ mixed).to_be_bytes());
    assert_eq!(page, expected);
    let entries = decode_page(&page, SALT, 3).unwrap();
    assert!(entries.iter().eq([0, 0x0102_0304]));
}

#[test]
fn a_page_that_is_damaged_foreign_or_out_of_place_is_refused() {
    let page = encode_page(&[7; PAGE_ENTRIES], 9, 3);
    assert!(decode_page(&page, 9, 3).is_some());
    assert!(decode_page(&page, 9, 4).is_none());
    assert!(decode_page(&page, 8, 3).is_none());
    assert!(decode_page(&page[..4095], 9, 3).is_none());
    assert!(decode_page(&[0; PAGE_LEN], 9, 3).is_none());
    for bit in 0..PAGE_LEN * 8 {
        let mut damaged = page.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        assert!(decode_page(&damaged, 9, 3).is_none(), "bit {bit}");
    }
}
