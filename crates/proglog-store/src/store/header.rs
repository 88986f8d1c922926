//! The header of a store, as other crates see it.

use crate::position::Position;

/// The header of a store, and the length of its file.
///
/// Returned by [`Store::read_header_in`](crate::Store::read_header_in).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreHeader {
    /// Label that the store was created with, at most 64 bytes.
    pub label: Vec<u8>,
    /// Salt of the store's checksums, which no two stores share.
    pub salt: u64,
    /// End of the file.
    pub end: Position,
}
