//! A log whose checkpoint is damaged, or something else.

use crate::edits::{Damage, edit};
use crate::files::{CHECKPOINT_HOT, mend_checkpoint};
use crate::input::Input;
use crate::logs::{CHECKPOINT, Original};
use crate::memory;

/// What to do, in the first byte.
const KILLED: u8 = 1;
const MEND: u8 = 2;
const ANY: u8 = 4;
/// The rest is not a script, but the file.
const FILE: u8 = 8;

/// Runs the target.
pub fn run(data: &[u8]) {
    memory::bounded(|| damage(data));
}

fn damage(data: &[u8]) {
    let mut input = Input::new(data);
    let plan = input.byte();
    let original = Original::closed(plan & KILLED == 0);
    let mut bytes = original.disk.read_file(CHECKPOINT);
    let blind = plan & (MEND | ANY | FILE) == 0;
    if plan & FILE != 0 {
        bytes = input.rest().to_vec();
    } else {
        let damage = if blind { Damage::Blind } else { Damage::Any };
        edit(&mut bytes, &CHECKPOINT_HOT, damage, &mut input);
    }
    if plan & MEND != 0 {
        mend_checkpoint(&mut bytes);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(CHECKPOINT, &bytes);
    if plan & MEND != 0 {
        return Original::survive(&disk);
    }
    // It may say that all records are to be dropped, but not what they are.
    if let Some(seen) = original.check(&disk, true) {
        assert!(seen.end() <= original.records.len() as u64);
        assert!(!blind || seen.is_whole(original), "{seen:?}");
    }
}
