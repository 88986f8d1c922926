//! A log of which one segment's store is damaged, or something else.

use crate::edits::{Damage, edit};
use crate::files::{HEADER_LEN, STORE_HOT, mend_store};
use crate::input::Input;
use crate::logs::{BASES, Original, store};
use crate::memory;

/// What to do, in the first byte.
const KILLED: u8 = 1;
const ANY: u8 = 2;
const MEND: u8 = 4;
/// The rest is not a script, but what lies behind the header.
const FRAMES: u8 = 8;
/// The rest is the file.
const FILE: u8 = 16;

/// Runs the target.
pub fn run(data: &[u8]) {
    memory::bounded(|| damage(data));
}

fn damage(data: &[u8]) {
    let mut input = Input::new(data);
    let plan = input.byte();
    let original = Original::closed(plan & KILLED == 0);
    let base = BASES[usize::from(input.byte()) % BASES.len()];
    let spared = input.byte();
    let name = store(base);
    let mut bytes = original.disk.read_file(&name);
    let blind = plan & (ANY | MEND | FRAMES | FILE) == 0;
    if plan & FILE != 0 {
        bytes = input.rest().to_vec();
    } else if plan & FRAMES != 0 {
        bytes.truncate(HEADER_LEN);
        bytes.extend_from_slice(input.rest());
    } else {
        let damage = if blind { Damage::Blind } else { Damage::Any };
        edit(&mut bytes, &STORE_HOT, damage, &mut input);
    }
    if plan & MEND != 0 {
        mend_store(&mut bytes, spared);
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    if plan & MEND != 0 {
        return Original::survive(&disk);
    }
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
