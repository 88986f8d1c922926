//! Waiting for an append to be as durable as the log promises.

use std::fmt;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::commit::completion::{Completion, Nobody};
use crate::error::{Error, Result};
use crate::offset::Offset;
use crate::runtime;
use crate::sync::{Event, EventListener, Mutex, OnceLock, crowd};

/// Appends that were submitted and whose outcome may be open.
///
/// Three ways lead to the outcome: [`wait`](Ticket::wait) blocks, the ticket itself is a future that
/// any runtime can poll, and [`on_complete`](Ticket::on_complete) calls back. Dropping a ticket, or
/// cancelling the future, does not cancel the append; but then nobody may see to it before the next
/// append, sync or close, or before the log is [idle](crate::Options::idle_after).
#[must_use = "an append is acknowledged only when its ticket says so"]
pub struct Ticket {
    offsets: Range<Offset>,
    /// What brings the outcome; `None` if the append was complete from the start.
    pending: Option<Pending>,
}

struct Pending {
    group: Arc<Group>,
    driver: Arc<dyn Driver>,
    listener: Option<EventListener>,
}

/// Appends that share an outcome: they become durable by one sync, or fail by one failure.
pub(crate) struct Group {
    outcome: OnceLock<Result<()>>,
    /// Whether one of the threads that wait is called to take the lead.
    called: crowd::Mutex<bool>,
    /// Wakes threads that wait: for the outcome, or to take the lead.
    threads: crowd::Condvar,
    /// Wakes futures. They do not lead, so a future that is never polled again holds up nobody.
    futures: Event,
    callbacks: Mutex<Vec<Callback>>,
}

type Callback = Box<dyn FnOnce(Result<()>) + Send>;

/// What brings open groups to their outcome: the log.
pub(crate) trait Driver: Send + Sync {
    /// Tries to bring the open groups to their outcome, on this thread. Returns at once if another
    /// thread is at it: that one settles `group`, or calls one that waits for it, when it is done.
    fn drive(&self, group: &Group);

    /// Sees to it that the open groups are brought to their outcome in the background.
    fn drive_in_background(&self);
}

impl Group {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            outcome: OnceLock::new(),
            called: crowd::Mutex::new(false),
            threads: crowd::Condvar::new(),
            futures: Event::new(),
            callbacks: Mutex::new(Vec::new()),
        })
    }

    /// Settles the outcome, for every append of this group, wakes those who wait for it, and has
    /// those called back who asked for it. The first outcome counts.
    pub(crate) fn settle(&self, outcome: Result<()>) {
        if self.outcome.set(outcome.clone()).is_err() {
            return;
        }
        // Whoever saw no outcome under this lock sleeps by now.
        drop(self.lock_called());
        self.threads.notify_all();
        self.futures.notify(usize::MAX);
        let callbacks = std::mem::take(&mut *self.callbacks.lock());
        if !callbacks.is_empty() {
            // On a thread of its own: whoever settles holds locks, and a callback may use the log.
            runtime::spawn(move || {
                for callback in callbacks {
                    runtime::run(|| callback(outcome.clone()));
                }
            });
        }
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// Calls one that waits, or comes to wait, to take the lead.
    pub(crate) fn call_one(&self) {
        *self.lock_called() = true;
        self.threads.notify_one();
    }

    /// Waits for the outcome, or brings it about.
    pub(crate) fn wait(&self, driver: &dyn Driver) -> Result<()> {
        if let Some(outcome) = self.outcome.get() {
            return outcome.clone();
        }
        loop {
            driver.drive(self);
            let mut called = self.lock_called();
            loop {
                if let Some(outcome) = self.outcome.get() {
                    return outcome.clone();
                }
                if std::mem::take(&mut *called) {
                    break;
                }
                let woken = self.threads.wait(called);
                called = woken.unwrap_or_else(crowd::PoisonError::into_inner);
            }
        }
    }

    fn lock_called(&self) -> crowd::MutexGuard<'_, bool> {
        self.called
            .lock()
            .unwrap_or_else(crowd::PoisonError::into_inner)
    }

    fn add_callback(&self, callback: Callback) {
        self.callbacks.lock().push(callback);
        // Whoever settled the outcome in the meantime may have looked for callbacks before.
        if let Some(outcome) = self.outcome.get() {
            let callbacks = std::mem::take(&mut *self.callbacks.lock());
            for callback in callbacks {
                runtime::run(|| callback(outcome.clone()));
            }
        }
    }
}

impl Ticket {
    /// A ticket for an append whose outcome is that of `group`, which `driver` brings about.
    pub(crate) fn pending(
        offsets: Range<Offset>,
        group: Arc<Group>,
        driver: Arc<dyn Driver>,
    ) -> Self {
        Self {
            offsets,
            pending: Some(Pending {
                group,
                driver,
                listener: None,
            }),
        }
    }

    /// A ticket for an append that is complete.
    pub fn ready(offsets: Range<Offset>) -> Self {
        Self {
            offsets,
            pending: None,
        }
    }

    /// A ticket for an append whose outcome is open, and the half that brings it: for whoever implements
    /// [`CommitLog`](crate::CommitLog) and knows only later what became of an append. The records are to
    /// have these offsets, if it succeeds.
    ///
    /// Waiting for such a ticket, awaiting it or asking to be called back brings nothing about: all of it
    /// is for whoever holds the [`Completion`]. Dropping the ticket does not matter to it.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Mutex;
    ///
    /// use proglog_log::{Batch, CommitLog, Completion, Error, MemoryLog, Offset, Record, Ticket};
    ///
    /// /// Acknowledges an append once others have it too.
    /// struct Replicated {
    ///     local: MemoryLog,
    ///     waiting: Mutex<Vec<Completion>>,
    /// }
    ///
    /// impl Replicated {
    ///     fn submit(&self, batch: Batch) -> Result<Ticket, Error> {
    ///         let offsets = self.local.append_batch(batch)?;
    ///         let (ticket, completion) = Ticket::with_completion(offsets);
    ///         self.waiting.lock().expect("nobody panics").push(completion);
    ///         Ok(ticket)
    ///     }
    ///
    ///     fn others_have_all(&self) {
    ///         for completion in self.waiting.lock().expect("nobody panics").drain(..) {
    ///             completion.complete(Ok(()));
    ///         }
    ///     }
    /// }
    ///
    /// let log = Replicated { local: MemoryLog::new(), waiting: Mutex::default() };
    /// let ticket = log.submit(Record::new("hello").into())?;
    /// log.others_have_all();
    /// assert_eq!(ticket.wait()?.start, Offset::ZERO);
    ///
    /// let ticket = log.submit(Record::new("never replicated").into())?;
    /// drop(log);
    /// assert!(matches!(ticket.wait(), Err(Error::Abandoned)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_completion(offsets: Range<Offset>) -> (Self, Completion) {
        let group = Group::new();
        let ticket = Self::pending(offsets, Arc::clone(&group), Arc::new(Nobody));
        (ticket, Completion::new(group))
    }

    /// The offsets that the records have, if the append succeeds.
    #[must_use]
    pub fn offsets(&self) -> Range<Offset> {
        self.offsets.clone()
    }

    /// Waits for the outcome and returns the offsets of the records. May do the sync for all that
    /// wait, on this thread.
    ///
    /// # Errors
    ///
    /// What made the append fail; [`Error::outcome`] tells whether it may be stored all the same.
    pub fn wait(self) -> Result<Range<Offset>> {
        if let Some(Pending { group, driver, .. }) = self.pending {
            group.wait(&*driver)?;
        }
        Ok(self.offsets)
    }

    /// Calls `callback` with the outcome, as [`Ticket::wait`] returns it: at once on this thread if
    /// it is known already, otherwise on a background thread, of which there are few. So it should not
    /// take long, and others may have to wait for it. A panic in it is caught and ends nothing else.
    ///
    /// It may use the log, and may append and wait for that, by [`Ticket::wait`] or
    /// [`Log::append`](crate::Log::append): a thread that waits does the sync itself and needs no other,
    /// even if all background threads are in callbacks that wait. But it must not block on what another
    /// background thread has to do, or with all of them taken it waits for ever: on a ticket or a
    /// [stream](crate::FollowStream) as a future (with a `block_on`, say), on another callback, or on a
    /// ticket [with a completion](Ticket::with_completion) that comes from there.
    pub fn on_complete(self, callback: impl FnOnce(Result<Range<Offset>>) + Send + 'static) {
        let offsets = self.offsets;
        let Some(pending) = self.pending else {
            return runtime::run(|| callback(Ok(offsets)));
        };
        let callback = move |outcome: Result<()>| callback(outcome.map(|()| offsets));
        pending.group.add_callback(Box::new(callback));
        pending.drive_in_background();
    }
}

impl Pending {
    fn drive_in_background(&self) {
        if !self.group.is_complete() {
            self.driver.drive_in_background();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            if let Some(outcome) = self.group.outcome.get() {
                return Poll::Ready(outcome.clone());
            }
            match &mut self.listener {
                None => {
                    self.listener = Some(self.group.futures.listen());
                    self.drive_in_background();
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
    type Output = Result<Range<Offset>, Error>;

    /// Never blocks: what has to be done is done on a thread of the log's own runtime.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match &mut self.pending {
            Some(pending) => ready!(pending.poll(context)),
            None => Ok(()),
        };
        Poll::Ready(outcome.map(|()| self.offsets.clone()))
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

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::sync::{AtomicBool, Ordering};

    /// Finds the lead taken the first time, and has it the second time.
    #[derive(Default)]
    struct TakenAtFirst(AtomicBool);

    impl Driver for TakenAtFirst {
        fn drive(&self, group: &Group) {
            if self.0.swap(true, Ordering::Relaxed) {
                group.settle(Ok(()));
            }
        }

        fn drive_in_background(&self) {}
    }

    #[test]
    fn who_is_called_before_it_sleeps_takes_the_lead_all_the_same() {
        let group = Group::new();
        group.call_one();
        let (sender, receiver) = channel();
        thread::spawn(move || sender.send(group.wait(&TakenAtFirst::default())));
        let outcome = receiver.recv_timeout(Duration::from_mins(1)).unwrap();
        assert!(outcome.is_ok());
    }
}
