//! A log of which one segment's index is damaged, or something else. It is a cache: no record is wrong or
//! missing, whatever it says.

use crate::edits::{Damage, edit};
use crate::files::{INDEX_HOT, mend_index};
use crate::input::Input;
use crate::logs::{BASES, Original, index, store};
use crate::memory;

/// What to do, in the first byte.
const KILLED: u8 = 1;
const MEND: u8 = 2;
/// The rest is not a script, but the file.
const FILE: u8 = 4;

/// Runs the target.
pub fn run(data: &[u8]) {
    memory::bounded(|| damage(data));
}

fn damage(data: &[u8]) {
    let mut input = Input::new(data);
    let plan = input.byte();
    let original = Original::closed(plan & KILLED == 0);
    let base = BASES[usize::from(input.byte()) % BASES.len()];
    let name = index(base);
    let mut bytes = if plan & FILE != 0 {
        let mut bytes = input.rest().to_vec();
        // So that a short input makes a page.
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes
    } else {
        let mut bytes = Original::closed(true).disk.read_file(&name);
        edit(&mut bytes, &INDEX_HOT, Damage::Any, &mut input);
        bytes
    };
    if plan & MEND != 0 {
        mend_index(&mut bytes, &original.disk.read_file(&store(base)));
    }
    let disk = original.disk.deep_clone();
    disk.write_file(&name, &bytes);
    let seen = original
        .check(&disk, true)
        .expect("an index is never missed");
    assert!(seen.is_whole(original), "{seen:?}");
}
