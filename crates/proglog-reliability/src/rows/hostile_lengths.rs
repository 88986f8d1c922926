//! Numbers that may be taken for lengths stand everywhere in a log's files.

use proglog_log::Log;

use super::Row;
use crate::double::damage::fixture::{CHECKPOINT, Fixture, HEADER_LEN, both, is_store, options};
use crate::job::Job;

pub(super) const ROW: Row = Row {
    number: 14,
    name: "hostile-lengths",
    figure: "huge, empty and nearly right numbers in each window of 4 and 8 bytes: a panic, or more than \
             64 MiB of memory",
    tried_min: 5_000,
    controls: &["length-not-checked"],
    needs: &[],
    run,
};

/// The most memory that opening and reading may take, in bytes; the files take 100 KiB.
const MEMORY_MAX: u64 = 64 << 20;

fn run(job: &Job) -> anyhow::Result<()> {
    for fixture in both(&format!("writer {}", job.seed)) {
        for file in fixture.file_names() {
            let len = fixture.disk.read_file(&file).len();
            let places: Vec<_> = (0..len).filter(|at| is_tried(&file, *at)).collect();
            job.each(&places, |at| try_at(&fixture, &file, *at));
        }
    }
    Ok(())
}

/// Every place that means something is tried; of the padding, few.
fn is_tried(file: &str, at: usize) -> bool {
    let in_page = at % 4096;
    let is_padding = if file == CHECKPOINT {
        in_page >= 1100
    } else {
        is_store(file) && (at as u64) < HEADER_LEN && in_page >= 96
    };
    !is_padding || at.is_multiple_of(512)
}

/// Writes each number at `at`.
fn try_at(fixture: &Fixture, file: &str, at: usize) -> Result<u64, String> {
    let bytes = fixture.disk.read_file(file);
    let size = bytes.len() as u64;
    let mut tried = 0;
    for width in [4, 8] {
        for number in [
            u64::MAX,
            u64::MAX >> (65 - 8 * width),
            0,
            size - 1,
            size,
            size + 1,
        ] {
            let number = &number.to_be_bytes()[8 - width..];
            let mut damaged = bytes.clone();
            let place = damaged[at..].iter_mut().zip(number);
            place.for_each(|(byte, new)| *byte = *new);
            let disk = fixture.disk.deep_clone();
            disk.write_file(file, &damaged);
            let used = allocation_counter::measure(|| open_and_read(&disk)).bytes_max;
            if used > MEMORY_MAX {
                return Err(format!("{used} bytes for {number:x?} at {at} of {file}"));
            }
            tried += 1;
        }
    }
    Ok(tried)
}

/// Whatever it says, it says without a panic.
fn open_and_read(disk: &proglog_store::testing::SimDisk) {
    if let Ok(log) = Log::open_in(disk.directory(), &options()) {
        let (start, end) = (log.start_offset().get(), log.end_offset().get());
        for offset in (start..end).take(100) {
            drop(log.read(offset));
        }
        log.records(start).take(100).for_each(drop);
    }
}
