//! Background work: the tasks of a log, and the syncs that no append waits for.
//!
//! A log of weaker durability is synced at its interval, or after a number of bytes. That happens without the
//! lead, so appends are acknowledged meanwhile; only acknowledged records are claimed as durable, since others
//! may still be rolled back.

use std::sync::{Arc, Weak};

use crate::engine::tasks::Task;
use crate::engine::{Engine, Tasks};
use crate::error::kind::ErrorKind;
use crate::error::reason::{Reason, Result};
use crate::options::Durability;
use crate::runtime::RuntimeHandle;
use crate::sync::Mutex;

/// Returns the tasks of `engine`, which run on `runtime`. A failure is counted, and reported through a commit group if
/// there is one.
pub(crate) fn tasks(engine: &Weak<Engine>, runtime: &RuntimeHandle) -> Tasks {
    Tasks {
        commit: Task::new(engine, runtime, |engine, ()| engine.commit_when_free()),
        sync: Task::new(engine, runtime, |engine, ()| {
            if let Err(error) = engine.sync_acknowledged() {
                engine.count_failure("records not synced in the background", &error);
            }
        }),
        quiesce: Task::new(engine, runtime, Engine::quiesce_if_idle),
        retention: Task::new(engine, runtime, |engine, ()| {
            _ = engine.retain_in_background();
        }),
        retention_by_age: Mutex::new(Task::new(engine, runtime, |engine, ()| {
            engine.retain_by_age();
        })),
    }
}

impl Engine {
    /// Syncs the acknowledged records of the active segment, without the lead.
    fn sync_acknowledged(&self) -> Result<()> {
        let (segment, acknowledged, generation) = {
            let writer = self.writer.lock();
            if writer.sealed {
                // All of it is on the device, or was dropped.
                return Ok(());
            }
            let segment = Arc::clone(&writer.active);
            let acknowledged = match self.options.durability {
                Durability::Buffered => segment.end(),
                Durability::Synced | Durability::Interval(_) => self.view.acknowledged(),
            };
            (segment, acknowledged, self.view.generation())
        };
        if acknowledged.segment_base != segment.base() {
            // The segment is new, and nothing in it is acknowledged.
            return Ok(());
        }
        let synced = self.sync_segment(&segment, acknowledged.boundary);
        if let Err(error) = synced.map_err(Reason::from) {
            let error = error.of_poisoned_store();
            if error.kind() == ErrorKind::Poisoned {
                self.poison(&error);
            }
            return Err(error);
        }
        self.write_checkpoint_if_due(&segment, generation);
        Ok(())
    }
}
