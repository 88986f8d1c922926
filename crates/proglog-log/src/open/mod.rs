//! Opening a log: find what is there, plan the changes, apply them.

mod interrupted_truncation;
mod plan;
pub(crate) mod repair;
pub(crate) mod report;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proglog_store::io::Directory;
use proglog_store::segment::byte_of;

use crate::clock::TimeSource;
use crate::engine::{Engine, Parts, background};
use crate::error::reason::Result;
use crate::layout::inventory::{self, Inventory};
use crate::layout::names;
use crate::offset::{Offset, Offsets};
use crate::open::plan::Plan;
use crate::open::report::{Damage, Recovery, SetAside};
use crate::options::LogOptions;
use crate::segment::Segment;
use crate::segment::reclaiming::Reclaiming;

/// Opens the log in `directory`, or creates one if it is empty. Returns it and what opening found. `options`
/// were validated.
pub(crate) fn open(
    directory: Arc<dyn Directory>,
    options: &LogOptions,
) -> Result<(Arc<Engine>, Recovery)> {
    let begun = Instant::now();
    let directory: Arc<dyn Directory> =
        Arc::new(Reclaiming::new(directory, options.cache_or_global()));
    let lock = inventory::lock(&*directory)?;
    options.runtime.start()?;
    // Only with the lock nothing else changes.
    let inventory = Inventory::read(&*directory)?;
    let applied =
        Plan::find(&directory, &inventory, options)?.apply(&directory, &inventory, options)?;

    let active = applied.active.open()?;
    let (found, base) = (active.store.recovery(), active.base());
    let end = base.saturating_add(found.end.frames);
    let mut segments = applied.sealed;
    segments.push(applied.active);
    let last_appended_at = last_appended_at(&segments, end)?;
    let recovery = Recovery {
        clean: found.clean,
        records: Offsets::new(applied.checkpoint.current().start, end),
        recovery_point: base.saturating_add(found.recovery_point.frames),
        set_aside: found.set_aside.as_ref().map(|torn| SetAside {
            file: torn.file.clone(),
            byte: byte_of(torn.position),
            bytes: torn.bytes,
            removed: torn.removed.clone(),
        }),
        zeros_removed: found.zeros_removed,
        damaged: found.damaged.map(|position| Damage {
            file: names::store(base),
            byte: byte_of(position),
        }),
        header_restored: found.header_restored,
        indexes_rebuilt: applied.indexes_rebuilt,
        dated_ahead: dated_ahead(last_appended_at, &options.time_source),
        left_over: [inventory.left_over(), applied.left_over].concat(),
        elapsed: begun.elapsed(),
    };
    let engine = Engine::new(Parts {
        directory,
        options: options.clone(),
        lock,
        checkpoint: applied.checkpoint,
        segments,
        last_appended_at,
        tasks: background::tasks,
    })?;
    report(&engine, &recovery);
    #[cfg(feature = "tracing")]
    trace_opened(engine.log_id, &recovery);
    // Until it is appended to, the log is idle.
    active.index.close_file();
    engine.release_directory();
    engine.retain_soon();
    Ok((engine, recovery))
}

/// Notifies the observer of what opening found.
fn report(engine: &Engine, recovery: &Recovery) {
    if let Some(SetAside { file, bytes, .. }) = &recovery.set_aside {
        engine.notices.set_aside(file, *bytes);
    }
    if let Some(Damage { file, byte }) = &recovery.damaged {
        engine
            .notices
            .damaged(&file.as_str().into(), *byte, || None);
    }
}

/// Emits an event for what opening found.
#[cfg(feature = "tracing")]
fn trace_opened(log_id: u128, recovery: &Recovery) {
    let log_id = format_args!("{log_id:032x}");
    if recovery.damaged.is_some() {
        tracing::warn!(log_id, ?recovery, "log opened, with damage");
    } else {
        tracing::debug!(log_id, ?recovery, "log opened");
    }
}

/// Returns when the newest record was appended: the log's clock must not go back below that.
fn last_appended_at(segments: &[Arc<Segment>], end: Offset) -> Result<i64> {
    let newest = segments.iter().rev().find(|segment| segment.base() < end);
    let Some(segment) = newest else { return Ok(0) };
    let newest = segment.open()?.newest_appended_at(end, usize::MAX)?;
    Ok(newest.unwrap_or(0))
}

/// Returns how far `date` lies ahead of the system's clock, if by a second or more.
fn dated_ahead(date: i64, time_source: &TimeSource) -> Option<Duration> {
    let ahead = date.saturating_sub(time_source.system(false)).max(0);
    Some(Duration::from_micros(ahead.unsigned_abs())).filter(|ahead| ahead.as_secs() > 0)
}

#[cfg(test)]
mod tests {
    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::record::Record;

    #[test]
    fn the_clock_goes_on_from_the_newest_record_though_the_newest_segment_has_none() {
        let disk = SimDisk::new();
        let never = LogOptions::new().idle_after(Duration::MAX);
        let (log, _) = open(disk.directory(), &never).unwrap();
        for _ in 0..3 {
            log.append((&Record::new("a")).into()).unwrap();
        }
        log.truncate(Offset::new(2), None).unwrap();
        let newest = log.reader.read(1).unwrap().appended_at;
        log.close().unwrap();
        let (log, _) = open(disk.directory(), &never).unwrap();
        assert_eq!(log.writer.lock().last_appended_at(), Some(newest));
    }
}
