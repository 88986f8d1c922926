//! Tickets for submitted appends, and completions for logs implemented outside this crate.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::commit::shared_outcome::{Committer, SharedOutcome};
use crate::error::reason::Reason;
use crate::error::{Error, LogName, Result};
use crate::offset::Offsets;
use crate::runtime::{self, RuntimeHandle};
use crate::sync::EventListener;

/// A submitted append, or batch of appends, whose outcome may still be open.
///
/// There are three ways to the outcome: [`wait`](Ticket::wait) blocks, the ticket itself is a future that any
/// runtime can poll, and [`on_complete`](Ticket::on_complete) registers a callback. Dropping a ticket does not
/// cancel the append. If nothing waits on the ticket, the append completes with the next append, sync or close,
/// or once the log is [idle](crate::LogOptions::idle_after).
#[must_use = "an append is acknowledged only when its ticket says so"]
pub struct Ticket {
    offsets: Offsets,
    /// `None` if the append was complete from the start.
    pending: Option<Pending>,
}

struct Pending {
    group: Arc<SharedOutcome>,
    committer: Arc<dyn Committer>,
    listener: Option<EventListener>,
}

impl Ticket {
    /// Returns a ticket whose outcome is that of `group`, which `committer` completes.
    pub(crate) fn pending(
        offsets: Offsets,
        group: Arc<SharedOutcome>,
        committer: Arc<dyn Committer>,
    ) -> Self {
        Self {
            offsets,
            pending: Some(Pending {
                group,
                committer,
                listener: None,
            }),
        }
    }

    /// Returns a ticket for an append that is already acknowledged.
    pub fn ready(offsets: impl Into<Offsets>) -> Self {
        Self {
            offsets: offsets.into(),
            pending: None,
        }
    }

    /// Returns a ticket whose outcome is open, and the [`Completion`] that sets it: for implementations of
    /// [`CommitLog`](crate::CommitLog) that learn the outcome of an append later. The records have `offsets`
    /// if the append succeeds.
    ///
    /// Its callbacks run on the runtime of the process. Waiting for such a ticket, awaiting it or adding a callback
    /// does no work towards the outcome: only the `Completion` sets it, whether or not the ticket still exists. `log`
    /// is the name of the log in the error of an append that the `Completion` abandons.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Mutex;
    ///
    /// use proglog_log::{Batch, Completion, MemoryLog, Reason, Result, Ticket};
    ///
    /// /// Acknowledges an append once others have it too.
    /// struct Replicated {
    ///     local: MemoryLog,
    ///     waiting: Mutex<Vec<Completion>>,
    /// }
    ///
    /// impl Replicated {
    ///     fn submit_batch(&self, batch: Batch) -> Result<Ticket> {
    ///         let offsets = self.local.append_batch(batch)?;
    ///         let (ticket, completion) = Ticket::with_completion("replicated", offsets);
    ///         self.waiting.lock().unwrap().push(completion);
    ///         Ok(ticket)
    ///     }
    ///
    ///     fn others_have_all(&self) {
    ///         for completion in self.waiting.lock().unwrap().drain(..) {
    ///             completion.complete(Ok(()));
    ///         }
    ///     }
    /// }
    ///
    /// let log = Replicated { local: MemoryLog::new(), waiting: Mutex::default() };
    /// let ticket = log.submit_batch(["hello"].into())?;
    /// log.others_have_all();
    /// assert_eq!(ticket.wait()?, 0..1);
    ///
    /// let ticket = log.submit_batch(["never replicated"].into())?;
    /// drop(log);
    /// let error = ticket.wait().unwrap_err();
    /// assert!(matches!(error.reason, Reason::Abandoned));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_completion(
        log: impl Into<Arc<str>>,
        offsets: impl Into<Offsets>,
    ) -> (Self, Completion) {
        let group = SharedOutcome::new(RuntimeHandle::default());
        let ticket = Self::pending(offsets.into(), Arc::clone(&group), Arc::new(NoCommitter));
        let log = LogName::new(log);
        (ticket, Completion { log, group })
    }

    /// Returns the offsets that the records have if the append succeeds.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.offsets
    }

    /// Blocks until the append has its outcome, and returns the offsets of the records. The calling thread may
    /// do the sync for every append that waits.
    ///
    /// # Errors
    ///
    /// For an append to a [`Log`](crate::Log): [`Reason::Store`] if it could not be written or synced, for want of
    /// room among others, and [`Reason::GivenUp`] if it was not written since one before it could not be. For a
    /// ticket [with a completion](Ticket::with_completion): the error that the completion was given, or
    /// [`Reason::Abandoned`]. [`Error::outcome`] says whether the records may be stored all the same.
    pub fn wait(self) -> Result<Offsets> {
        if let Some(Pending {
            group, committer, ..
        }) = self.pending
        {
            group.wait(&*committer)?;
        }
        Ok(self.offsets)
    }

    /// Calls `callback` with the outcome, as [`Ticket::wait`] returns it: at once on this thread if the outcome
    /// is known, otherwise on one of the few background threads. A callback should return quickly, since
    /// others may have to wait for it. A panic in a callback is caught and affects nothing else.
    ///
    /// A callback may use the log, and may append and block on the result with [`Ticket::wait`] or
    /// [`Log::append`](crate::Log::append): a waiting thread does the sync itself and needs no other thread,
    /// even if all background threads are in callbacks that wait. A callback must not block on work that
    /// another background thread has to do, since it would wait for ever once every background thread does the
    /// same: on a ticket or a [stream](crate::FollowStream) as a future (with a `block_on`, say), on another
    /// callback, or on a ticket [with a completion](Ticket::with_completion) that is completed there.
    pub fn on_complete(self, callback: impl FnOnce(Result<Offsets>) + Send + 'static) {
        let offsets = self.offsets;
        let Some(pending) = self.pending else {
            return runtime::run(|| callback(Ok(offsets)));
        };
        let callback = move |outcome: Result<()>| callback(outcome.map(|()| offsets));
        pending.group.add_callback(Box::new(callback));
        pending.commit_in_background();
    }
}

impl Pending {
    fn commit_in_background(&self) {
        if !self.group.is_complete() {
            self.committer.commit_in_background();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(outcome) = self.group.outcome() {
                return Poll::Ready(outcome.clone());
            }
            match &mut self.listener {
                None => {
                    self.listener = Some(self.group.listen());
                    self.commit_in_background();
                }
                Some(listener) => match Pin::new(listener).poll(context) {
                    Poll::Ready(()) => self.listener = None,
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
    }
}

impl Future for Ticket {
    type Output = Result<Offsets, Error>;

    /// Never blocks: a background thread commits.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.pending {
            Some(pending) => ready!(pending.poll(context)),
            None => Ok(()),
        };
        Poll::Ready(outcome.map(|()| self.offsets))
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let complete = self
            .pending
            .as_ref()
            .is_none_or(|pending| pending.group.is_complete());
        f.debug_struct("Ticket")
            .field("offsets", &self.offsets)
            .field("complete", &complete)
            .finish_non_exhaustive()
    }
}

/// Sets the outcome of a ticket made by [`Ticket::with_completion`].
///
/// Dropping it without calling [`complete`](Completion::complete) fails the append with
/// [`Reason::Abandoned`], whose outcome is [`Unknown`](crate::Outcome::Unknown), so that no ticket waits for
/// ever.
#[derive(Debug)]
#[must_use = "dropping it fails the append"]
pub struct Completion {
    log: LogName,
    /// Shared with the ticket.
    group: Arc<SharedOutcome>,
}

impl Completion {
    /// Sets the outcome of the append: `Ok` once its records are as durable as the log promises, otherwise
    /// the failure. Wakes the threads and tasks that wait for the ticket; its callback runs on a background
    /// thread. Does not block, and may be called with locks held.
    pub fn complete(self, outcome: Result<()>) {
        self.group.complete(outcome);
    }
}

impl Drop for Completion {
    /// Has no effect after [`Completion::complete`]: the first outcome counts.
    fn drop(&mut self) {
        self.group.complete(Err(self.log.error(Reason::Abandoned)));
    }
}

/// Commits nothing: a [`Completion`] sets the outcome.
struct NoCommitter;

impl Committer for NoCommitter {
    fn try_commit(&self, _group: &SharedOutcome) {}

    fn commit_in_background(&self) {}
}
