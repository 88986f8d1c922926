//! Opening a store whose end is torn, or whose bytes are damaged: one fact a test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod creation;
mod damaged;
mod doublewrite;
mod fixture;
mod following;
mod forged;
mod headers;
mod locks;
mod preallocated;
mod resume;
mod set_aside;
mod torn;
mod unreadable;
