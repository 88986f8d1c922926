//! Tickets, and the shared outcomes that they wait for.

pub(crate) mod append;
pub(crate) mod shared_outcome;
pub(crate) mod ticket;
