//! The connections that are served, up to a limit, and what happens at the limit.
//!
//! Each connection has a place, which is idle or has requests: one at a time over HTTP/1.1, many over HTTP/2. At the limit, a new connection gets the place that has
//! been idle longest. If none is idle, the new connection is refused: its request is answered with 503.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The most connections without a place at a time: those that are being closed, and those that are being refused. Further
/// ones wait in the operating system's queue.
const WITHOUT_PLACE_MAX: usize = 8;

/// The time that a connection that is refused has for its request and for the response.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// The shortest time between two lines about the limit.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// All connections of a server.
pub(crate) struct Connections {
    max: usize,
    state: Mutex<State>,
    /// A permit for each connection, with a place or without.
    permits: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    next_id: u64,
    taken: HashMap<u64, Taken>,
    report: Report,
}

/// A place that is taken.
struct Taken {
    phase: Phase,
    given_away: Arc<Notify>,
}

#[derive(Clone, Copy)]
enum Phase {
    /// Waiting for a request.
    Idle { since: Instant },
    /// So many requests have begun, at least one.
    Busy { requests: usize },
    /// The responses are made, and may still have to be sent.
    Answered,
}

impl Connections {
    /// At most `max` of them.
    pub(crate) fn new(max: usize) -> Self {
        let max = max.clamp(1, Semaphore::MAX_PERMITS - WITHOUT_PLACE_MAX);
        Self {
            max,
            state: Mutex::default(),
            permits: Arc::new(Semaphore::new(max + WITHOUT_PLACE_MAX)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until one more connection may be accepted, to be served or to be refused.
    pub(crate) async fn ready(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.expect("the semaphore is never closed")
    }

    /// Finds a place for a new connection.
    pub(crate) fn admit(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Place {
        let given_away = Arc::new(Notify::new());
        let mut state = self.lock();
        let is_full = state.taken.len() >= self.max;
        let is_refused = is_full && !state.close_longest_idle();
        let id = state.next_id;
        state.next_id += 1;
        if !is_refused {
            let taken = Taken {
                phase: Phase::Idle {
                    since: Instant::now(),
                },
                given_away: Arc::clone(&given_away),
            };
            state.taken.insert(id, taken);
        }
        let report = is_full.then(|| state.report.count(is_refused)).flatten();
        drop(state);
        if let Some((closed, refused)) = report {
            let connections = self.max;
            tracing::warn!(
                connections,
                closed,
                refused,
                "the limit on connections is reached"
            );
        }
        Place {
            connections: Arc::clone(self),
            id,
            given_away,
            is_refused,
            is_refusing: AtomicBool::new(false),
            has_begun: AtomicBool::new(false),
            _permit: permit,
        }
    }
}

impl State {
    /// Gives away the place that has been idle longest. Returns whether there was one.
    fn close_longest_idle(&mut self) -> bool {
        let idle = self
            .taken
            .iter()
            .filter_map(|(id, taken)| match taken.phase {
                Phase::Idle { since } => Some((since, *id)),
                Phase::Busy { .. } | Phase::Answered => None,
            });
        let Some((_, id)) = idle.min() else {
            return false;
        };
        if let Some(taken) = self.taken.remove(&id) {
            taken.given_away.notify_one();
        }
        true
    }
}

/// What has happened at the limit since the last line about it.
#[derive(Default)]
struct Report {
    last: Option<Instant>,
    closed: u64,
    refused: u64,
}

impl Report {
    /// Counts a connection that was refused, or one that was closed for another. Returns both counts if a line is due.
    fn count(&mut self, is_refused: bool) -> Option<(u64, u64)> {
        if is_refused {
            self.refused += 1;
        } else {
            self.closed += 1;
        }
        if self
            .last
            .is_some_and(|last| last.elapsed() < REPORT_INTERVAL)
        {
            return None;
        }
        let counts = (self.closed, self.refused);
        *self = Self {
            last: Some(Instant::now()),
            ..Self::default()
        };
        Some(counts)
    }
}

/// The place of a connection, or the lack of one. Dropping it makes room for another connection.
pub(crate) struct Place {
    connections: Arc<Connections>,
    id: u64,
    given_away: Arc<Notify>,
    /// True if there never was a place for the connection.
    is_refused: bool,
    /// True once a request is being refused.
    is_refusing: AtomicBool,
    /// True once a request has begun.
    has_begun: AtomicBool,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    /// Completes when the connection has to end: when its place is given away, but if it is refused or has a request that
    /// is, only when the time for that is over.
    pub(crate) async fn lost(&self) {
        if !self.is_refused {
            self.given_away.notified().await;
        }
        if self.is_refused || self.is_refusing.load(Ordering::Relaxed) {
            tokio::time::sleep(REFUSAL_TIME).await;
        }
    }

    /// Begins a request. Returns `None` if the connection has no place, and so its request is not to be served.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Turn> {
        self.has_begun.store(true, Ordering::Relaxed);
        let has_place = self.change(|phase| match phase {
            Phase::Busy { requests } => Phase::Busy {
                requests: requests + 1,
            },
            Phase::Idle { .. } | Phase::Answered => Phase::Busy { requests: 1 },
        });
        self.is_refusing.store(!has_place, Ordering::Relaxed);
        has_place.then(|| Turn(Arc::clone(self)))
    }

    /// Completes after `time` if no request has begun by then.
    pub(crate) async fn silent(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.has_begun.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// Notes that everything is sent that was to be sent.
    pub(crate) fn flushed(&self) {
        self.change(|phase| match phase {
            Phase::Answered => Phase::Idle {
                since: Instant::now(),
            },
            phase @ (Phase::Idle { .. } | Phase::Busy { .. }) => phase,
        });
    }

    /// Changes the phase of the place. Returns whether the connection has one.
    fn change(&self, change: impl FnOnce(Phase) -> Phase) -> bool {
        let mut state = self.connections.lock();
        let taken = state.taken.get_mut(&self.id);
        taken.is_some_and(|taken| {
            taken.phase = change(taken.phase);
            true
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().taken.remove(&self.id);
    }
}

/// A request that is being served; dropped when its response is made.
pub(crate) struct Turn(Arc<Place>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.change(|phase| match phase {
            Phase::Busy { requests } if requests > 1 => Phase::Busy {
                requests: requests - 1,
            },
            Phase::Busy { .. } | Phase::Idle { .. } | Phase::Answered => Phase::Answered,
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_request_that_comes_as_its_place_is_given_away_has_time_to_be_refused() {
        let connections = Arc::new(Connections::new(1));
        let idle = Arc::new(connections.admit(connections.ready().await));
        let (begun, unused) = (
            Arc::clone(&idle),
            Arc::new(connections.admit(connections.ready().await)),
        );
        assert!(begun.begin().is_none(), "its place was given away");
        let soon = REFUSAL_TIME / 10;
        assert!(timeout(soon, begun.lost()).await.is_err());
        drop(connections.admit(connections.ready().await));
        assert!(timeout(REFUSAL_TIME, unused.lost()).await.is_ok());
    }
}
