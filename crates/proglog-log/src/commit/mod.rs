//! Waiting for appends to be acknowledged.

pub(crate) mod completion;
pub(crate) mod ticket;
