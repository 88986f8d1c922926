//! What opening makes of a store whose end is torn, or whose bytes were damaged: a fact a test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod again;
mod creation;
mod damaged;
mod filled;
mod fixture;
mod followed;
mod forged;
mod headers;
mod locks;
mod resume;
mod set_aside;
mod torn;
