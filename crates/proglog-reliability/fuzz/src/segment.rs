//! A log of which one segment's store is damaged, or something else.

use crate::files::{HEADER_LEN, STORE_HOT, mend_store};
use crate::input::Input;
use crate::logs::{BASES, Original, store};
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
    let base = BASES[usize::from(input.byte()) % BASES.len()];
    let spared = input.byte();
    let name = store(base);
    let mut bytes = original.disk.read_file(&name);
    plan.damage(&mut bytes, HEADER_LEN, &STORE_HOT, &mut input);
    if plan.mends() {
        mend_store(&mut bytes, spared);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    if plan.mends() {
        return Original::survive(&disk);
    }
    let blind = plan.is_blind();
    let Some(seen) = original.check(&disk, blind) else {
        return;
    };
    let all = original.records.len() as u64;
    let is_active = base == BASES[2];
    if blind && (original.closed || !is_active) {
        assert_eq!(
            (seen.start, seen.end()),
            (0, all),
            "of a log that was synced"
        );
    }
    assert!(seen.end() >= BASES[2], "what is in other segments is there");
}
