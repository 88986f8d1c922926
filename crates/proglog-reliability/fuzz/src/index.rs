//! A log of which one segment's index is damaged, or something else. It is a cache: no record is wrong or
//! missing, whatever it says.

use crate::files::{INDEX_HOT, PAGE_LEN, mend_index};
use crate::input::Input;
use crate::logs::{BASES, Original, index, store};
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
    let name = index(base);
    // A killed log has none of its newest segment.
    let mut bytes = Original::closed().disk.read_file(&name);
    plan.damage(&mut bytes, PAGE_LEN, &INDEX_HOT, &mut input);
    if plan.mends() {
        // So that a short input makes a page.
        bytes.resize(bytes.len().next_multiple_of(PAGE_LEN), 0);
        mend_index(&mut bytes, &original.disk.read_file(&store(base)));
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    let seen = original
        .check(&disk, true)
        .expect("an index is never missed");
    assert!(seen.is_whole(original), "{seen:?}");
}
