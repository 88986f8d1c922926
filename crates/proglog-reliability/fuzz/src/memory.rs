//! A limit on the memory that an input takes.

/// In bytes. An input has a few thousand.
const MAX: u64 = 64 << 20;

/// Does `action`; panics if it takes more.
pub(crate) fn bounded(action: impl FnOnce()) {
    let used = allocation_counter::measure(action).bytes_max;
    assert!(used <= MAX, "{used} bytes of memory");
}
