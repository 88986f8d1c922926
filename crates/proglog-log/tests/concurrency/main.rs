//! Many threads at once: writers, readers and followers, while the log rolls, is trimmed, truncated and closed.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod append;
mod follow;
mod support;
mod timeouts;
mod ways;
