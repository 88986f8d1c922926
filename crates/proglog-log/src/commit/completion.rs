//! Tickets whose outcome somebody else brings: for a log that is not this crate's.

use std::sync::Arc;

use crate::commit::ticket::{Driver, Group};
use crate::error::{Error, Result};

/// The completing half of a ticket, made by [`Ticket::with_completion`](crate::Ticket::with_completion): who
/// holds it owes the outcome.
///
/// Dropped without one it completes the ticket with [`Error::Abandoned`], whose outcome is
/// [`Unknown`](crate::Outcome::Unknown): nobody waits for ever.
#[derive(Debug)]
#[must_use = "dropping it fails the append"]
pub struct Completion {
    /// Shared with the ticket.
    group: Arc<Group>,
}

/// Drives nothing: the outcome comes when it comes.
pub(crate) struct Nobody;

impl Driver for Nobody {
    fn drive(&self, _group: &Group) {}

    fn drive_in_background(&self) {}
}

impl Completion {
    pub(crate) fn new(group: Arc<Group>) -> Self {
        Self { group }
    }

    /// Settles the outcome of the append: that its records are as durable as the log promises, or why they
    /// are not. Whoever waits for the ticket, or awaits it, is woken, and its callback is called on a
    /// background thread. Does not block, and may be called with locks held.
    pub fn complete(self, outcome: Result<()>) {
        self.group.settle(outcome);
    }
}

impl Drop for Completion {
    /// Does nothing once it was completed: the first outcome counts.
    fn drop(&mut self) {
        self.group.settle(Err(Error::Abandoned));
    }
}
