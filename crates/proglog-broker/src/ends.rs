//! The end of a log, for all that wait for it.

use std::sync::Arc;

use parking_lot::Mutex;
use proglog_log::{CommitLog, Offsets};
use tokio::runtime::Handle;
use tokio::sync::watch;

/// The offsets of a log that is open, for all that wait for changes of them. While there are such, one task waits for
/// the log, and wakes them.
#[derive(Debug, Default)]
pub(crate) struct Ends(Mutex<Option<Arc<watch::Sender<Offsets>>>>);

impl Ends {
    /// Returns what has the offsets of `log` now and after each change. Its sender is gone once the log is closed.
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        log: &Arc<dyn CommitLog>,
        runtime: &Handle,
    ) -> watch::Receiver<Offsets> {
        let mut sender = self.0.lock();
        if let Some(sender) = &*sender {
            return sender.subscribe();
        }
        let (new, receiver) = watch::channel(log.offsets());
        let new = Arc::new(new);
        *sender = Some(Arc::clone(&new));
        runtime.spawn(Arc::clone(self).watch(Arc::clone(log), new));
        receiver
    }

    /// Returns whether anything waits.
    pub(crate) fn is_watched(&self) -> bool {
        let sender = self.0.lock();
        sender
            .as_ref()
            .is_some_and(|sender| sender.receiver_count() > 0)
    }

    async fn watch(self: Arc<Self>, log: Arc<dyn CommitLog>, sender: Arc<watch::Sender<Offsets>>) {
        let notify = log.changes();
        loop {
            let changed = notify.notified();
            let offsets = log.offsets();
            sender.send_if_modified(|sent| std::mem::replace(sent, offsets) != offsets);
            if log.is_closed() {
                *self.0.lock() = None;
                return;
            }
            tokio::select! {
                () = changed => {}
                () = sender.closed() => {
                    let mut shared = self.0.lock();
                    // Nothing can subscribe meanwhile.
                    if sender.receiver_count() == 0 {
                        *shared = None;
                        return;
                    }
                }
            }
        }
    }
}
