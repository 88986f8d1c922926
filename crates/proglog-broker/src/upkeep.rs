//! What is done for logs that nobody asks for: those that have failed are opened again, and those that are not used are
//! closed.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::logs::Logs;
use crate::slot::{Chore, Opening, Slot, Turn};

/// The time until a chore is tried again that something else has kept from being done.
const BUSY: Duration = Duration::from_millis(100);

/// The longest and the shortest time between looks at which logs are used.
const LOOK_MAX: Duration = Duration::from_mins(1);
const LOOK_MIN: Duration = Duration::from_secs(1);

/// Does what is due, until the logs are closed or gone.
pub(crate) async fn run(logs: Weak<Logs>) {
    loop {
        let Some(held) = logs.upgrade() else { return };
        if held.is_closed() {
            return;
        }
        let next = begin_due(&held, Instant::now());
        let changed = Arc::clone(&held.upkeep);
        drop(held);
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = changed.notified() => {}
        }
    }
}

/// Begins what is due; returns when to look again.
fn begin_due(logs: &Arc<Logs>, now: Instant) -> Instant {
    let idle_close = logs.options.idle_close;
    let mut next = now + (idle_close / 8).clamp(LOOK_MIN, LOOK_MAX);
    for slot in logs.all() {
        store_snapshot(logs, &slot, now);
        let chore = match slot.chore(now, idle_close) {
            Ok(chore) => chore,
            Err(at) => {
                next = next.min(at.unwrap_or(next));
                continue;
            }
        };
        match slot.try_turn() {
            Some(turn) => begin(logs, &slot, turn, chore, now),
            None => next = next.min(now + BUSY),
        }
    }
    next
}

/// Begins to store a snapshot of the producers of a log, if it is due.
fn store_snapshot(logs: &Logs, slot: &Slot, now: Instant) {
    let open = slot.peek();
    if let Some(log) = open.filter(|log| log.producers.take_due(now.into_std())) {
        drop(logs.changes.call(move || log.store_snapshot()));
    }
}

fn begin(logs: &Arc<Logs>, slot: &Arc<Slot>, turn: Turn, chore: Chore, now: Instant) {
    let idle_close = logs.options.idle_close;
    let done = logs.change(slot, turn, move |logs, slot, turn| {
        match chore {
            Chore::Close => slot.release(turn)?,
            Chore::CloseIdle => {
                if let Some(since) = now.checked_sub(idle_close) {
                    slot.release_unused(turn, since);
                }
            }
            // The outcome is kept by the slot.
            Chore::Open => drop(logs.open_in_turn(slot, turn, Opening::Use)),
        }
        Ok(())
    });
    // It is done whether or not anything waits.
    drop(done);
}
