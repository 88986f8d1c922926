//! The limit on file descriptors, which connections and the files of the log share.

/// Descriptors that connections leave to the log, if half of all are more: for the files of each call at a time, and
/// those that it keeps open.
#[cfg(unix)]
const RESERVE: u64 = 256;

/// Raises the limit of this process as far as it may. Returns how many of `connections` it leaves room for.
#[cfg(unix)]
pub(crate) fn raise_limit(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let found = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: found.maximum,
        ..found
    };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "cannot raise the limit on file descriptors");
    }
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let left = limit - RESERVE.min(limit / 2);
    usize::try_from(left).map_or(connections, |left| left.min(connections))
}

/// Returns `connections`.
#[cfg(not(unix))]
pub(crate) fn raise_limit(connections: usize) -> usize {
    connections
}
