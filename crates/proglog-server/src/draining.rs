//! The beginning of a shutdown, for calls that would otherwise last.

use std::future;

use tokio::sync::watch;

/// Whether the server is shutting down. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Draining(watch::Sender<bool>);

impl Draining {
    /// Of a server that is not shutting down.
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Begins the shutdown.
    pub(crate) fn begin(&self) {
        self.0.send_replace(true);
    }

    /// Completes when the shutdown begins.
    pub(crate) fn begun(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut is_draining = self.0.subscribe();
        async move {
            if is_draining.wait_for(|is| *is).await.is_err() {
                // Nothing is left that could begin it.
                future::pending::<()>().await;
            }
        }
    }

    /// Returns whether the shutdown has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }
}
