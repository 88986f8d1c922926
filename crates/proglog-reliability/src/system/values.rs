//! Values that identify their record, and whose every byte can be checked.

/// The value of the record with number `id`: no two are equal.
pub(crate) fn value(id: u64, seed: u64) -> Vec<u8> {
    let mut value = format!("{id}:{seed}:").into_bytes();
    let mut word = id.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ seed;
    let len = value.len() + usize::try_from(word >> 55).unwrap_or_default();
    while value.len() < len {
        word = (word ^ (word >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value.push(b'a' + u8::try_from((word >> 40) % 26).unwrap_or_default());
    }
    value
}

/// The number of the record with this value; fails unless it is one, and whole.
pub(crate) fn parse(bytes: &[u8]) -> Result<u64, String> {
    let mut words = bytes.split(|byte| *byte == b':');
    let mut number = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let id = number().filter(|id| number().is_some_and(|seed| value(*id, seed) == bytes));
    id.ok_or_else(|| format!("a record of no writer: {}", bytes.escape_ascii()))
}
