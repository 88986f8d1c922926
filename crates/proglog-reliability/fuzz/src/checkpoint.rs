//! A log whose checkpoint is damaged, or something else.

use crate::files::{CHECKPOINT_HOT, COPY_LEN, mend_checkpoint};
use crate::input::Input;
use crate::logs::{CHECKPOINT, Original};
use crate::memory;
use crate::plan::Plan;

/// Runs the target.
pub fn run(data: &[u8]) {
    memory::bounded(|| damage(data));
}

fn damage(data: &[u8]) {
    let mut input = Input::new(data);
    let plan = Plan::read(&mut input);
    let original = Original::of(plan);
    let mut bytes = original.disk.read_file(CHECKPOINT);
    // The first of its two slots is what it begins with.
    plan.damage(&mut bytes, COPY_LEN, &CHECKPOINT_HOT, &mut input);
    if plan.mends() {
        mend_checkpoint(&mut bytes);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(CHECKPOINT, &bytes);
    if plan.mends() {
        return Original::survive(&disk);
    }
    // It may say that all records are to be dropped, but not what they are.
    if let Some(seen) = original.check(&disk, true) {
        assert!(seen.end() <= original.records.len() as u64);
        assert!(!plan.is_blind() || seen.is_whole(original), "{seen:?}");
    }
}
