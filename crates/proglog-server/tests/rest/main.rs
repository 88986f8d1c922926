//! The calls of REST over a real socket, by resource.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod append;
mod follow;
mod logs;
mod origin;
mod producers;
mod raw;
mod read;
mod server;
