//! The effect of one flipped bit in a record on disk.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use benches::size_name;

use crate::data::Values;
use crate::measure::{Step, Task};
use crate::plan;
use crate::system::{Duration, Result};
use tempfile::TempDir;

const RECORD_BYTES: usize = 1 << 10;
/// Fewer than the distinct values, so that each is stored once.
const RECORDS: u64 = 50;
/// The record to damage.
const DAMAGED: u64 = 25;
/// The most of a file that is searched for it: some systems create large empty files.
const SEARCHED_BYTES: u64 = 16 << 20;

/// Loads a log, closes it, flips one bit in a record, and describes what a scan then returns.
pub(crate) fn outcome(system: &str) -> Result<String> {
    let directory = TempDir::new()?;
    let task = Task {
        system: system.to_owned(),
        step: Step::Load,
        directory: directory.path().to_owned(),
        record_bytes: RECORD_BYTES,
        threads: 1,
        // One by one, so that the damage is not in the last write.
        load_batch_bytes: RECORD_BYTES,
        records: RECORDS,
        reads: 0,
        time: Duration::ZERO,
    };
    plan::finish(plan::start(&task)?)?;
    let values = Values::new(RECORD_BYTES, 1);
    let places = flip(directory.path(), values.of(DAMAGED))?;
    anyhow::ensure!(
        places > 0,
        "{system}: no record was found in {}",
        size_name(SEARCHED_BYTES)
    );
    let shown = plan::finish(plan::start(&Task {
        step: Step::ShowDamaged,
        ..task
    })?);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of records"
    )]
    Ok(match shown {
        Err(_) => "an error".to_owned(),
        Ok(shown) if shown.figure < 0.0 => "shown as if it were right".to_owned(),
        Ok(shown) => match RECORDS - shown.figure as u64 {
            0 => "not noticed".to_owned(),
            missing => format!("no error, {missing} of {RECORDS} records missing"),
        },
    })
}

/// Flips one bit in the middle of each copy of `value` in the files below `directory`, and returns the number
/// of copies.
fn flip(directory: &Path, value: &[u8]) -> Result<usize> {
    let mut places = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            places += flip(&path, value)?;
            continue;
        }
        let mut file = File::options().read(true).write(true).open(&path)?;
        let mut bytes = Vec::new();
        (&file).take(SEARCHED_BYTES).read_to_end(&mut bytes)?;
        let windows = bytes.windows(value.len()).enumerate();
        for (start, _) in windows.filter(|(_, window)| *window == value) {
            let place = start + value.len() / 2;
            file.seek(SeekFrom::Start(place as u64))?;
            file.write_all(&[bytes[place] ^ 1])?;
            places += 1;
        }
    }
    Ok(places)
}
