//! A log whose checkpoint is damaged.

use arbitrary::Arbitrary;
use proglog_harness::damage::fixture::CHECKPOINT;

use crate::damage::Damage;
use crate::files::{CHECKPOINT_HOT, mend_checkpoint};
use crate::logs::Original;

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    is_killed: bool,
    damage: Damage<'a>,
}

pub(crate) fn check(input: &Input<'_>) {
    let (original, damage) = (Original::of(input.is_killed), &input.damage);
    let mut bytes = original.disk.read_file(CHECKPOINT);
    damage.apply(&mut bytes, &CHECKPOINT_HOT);
    if damage.mends() {
        mend_checkpoint(&mut bytes);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(CHECKPOINT, &bytes);
    if damage.mends() {
        return Original::survive(&disk);
    }
    // It may say that all records are to be dropped, but not what they are.
    if let Some(seen) = original.check(&disk, true) {
        assert!(seen.end() <= original.records.len() as u64);
        assert!(!damage.is_blind() || seen.is_whole(original), "{seen:?}");
    }
}
