//! Commit groups and the tickets that wait for them.

pub(crate) mod group;
pub(crate) mod ticket;
