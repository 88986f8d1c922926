//! A log of which one segment's store is damaged.

use arbitrary::Arbitrary;
use proglog_harness::damage::fixture::store;

use crate::damage::Damage;
use crate::files::{STORE_HOT, mend_store};
use crate::logs::{BASES, Original, base};

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a> {
    is_killed: bool,
    #[arbitrary(with = base)]
    base: u64,
    /// The frames whose checksums are not mended.
    spared: u8,
    damage: Damage<'a>,
}

pub(crate) fn check(input: &Input<'_>) {
    let (original, damage) = (Original::of(input.is_killed), &input.damage);
    let name = store(input.base);
    let mut bytes = original.disk.read_file(&name);
    damage.apply(&mut bytes, &STORE_HOT);
    if damage.mends() {
        mend_store(&mut bytes, input.spared);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    if damage.mends() {
        return Original::survive(&disk);
    }
    let blind = damage.is_blind();
    let Some(seen) = original.check(&disk, blind) else {
        return;
    };
    let all = original.records.len() as u64;
    let is_active = input.base == BASES[2];
    if blind && (original.closed || !is_active) {
        assert_eq!(
            (seen.start, seen.end()),
            (0, all),
            "of a log that was synced"
        );
    }
    assert!(seen.end() >= BASES[2], "what is in other segments is there");
}
