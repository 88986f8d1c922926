//! A log of which one segment's index is damaged. It is a cache: no record is wrong or missing, whatever it says.

use arbitrary::Arbitrary;
use proglog_harness::damage::fixture::{index, store};

use crate::damage::Damage;
use crate::files::{INDEX_HOT, PAGE_LEN, mend_index};
use crate::logs::{Original, base};

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    is_killed: bool,
    #[arbitrary(with = base)]
    base: u64,
    damage: Damage<'a>,
}

pub(crate) fn check(input: &Input<'_>) {
    let original = Original::of(input.is_killed);
    let name = index(input.base);
    // A killed log has none of its newest segment.
    let mut bytes = Original::of(false).disk.read_file(&name);
    input.damage.apply(&mut bytes, &INDEX_HOT);
    if input.damage.mends() {
        // So that a short file makes a page.
        bytes.resize(bytes.len().next_multiple_of(PAGE_LEN), 0);
        mend_index(&mut bytes, &original.disk.read_file(&store(input.base)));
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    let seen = original
        .check(&disk, true)
        .expect("an index is never missed");
    assert!(seen.is_whole(original), "{seen:?}");
}
