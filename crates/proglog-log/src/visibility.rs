//! How far a reader sees.

/// How far a [`Reader`](crate::Reader) sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Visibility {
    /// Up to what is as durable as the log promises: in a synced log only what is on the device, so
    /// that an offset that was seen never gets another value. This is the default.
    #[default]
    Acknowledged,
    /// Up to what was submitted, durable or not. If a write fails, or the process ends, what was seen
    /// may go, and its offset name another value. For a replication engine, which sends records to
    /// others while they are being synced here.
    Appended,
    /// As far as [`Log::publish`](crate::Log::publish) says, and never beyond what is acknowledged.
    /// For the readers of a log whose owner decides what counts: what a quorum has, say.
    Published,
}
