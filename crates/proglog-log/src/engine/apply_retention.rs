//! Retention: trims the segments that the policy lets go.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Ages, STEP_LASTS};
use crate::engine::Engine;
use crate::error::reason::Result;
use crate::offset::Offset;
use crate::retention::{Retention, SegmentUsage};
use crate::segment::Segment;

/// Bounds on the delay until the next pass of retention by age.
const DELAY_MIN: Duration = Duration::from_millis(10);
const DELAY_MAX: Duration = Duration::from_hours(1);

impl Engine {
    /// Replaces the retention policy, and applies it in the background.
    pub(crate) fn set_retention(&self, policy: Retention) -> Result<()> {
        self.check_appendable()?;
        *self.retention.lock() = policy;
        {
            // A pass that is scheduled may come too late for this policy.
            let mut by_age = self.tasks.retention_by_age.lock();
            *by_age = by_age.unscheduled();
        }
        self.retain_soon();
        Ok(())
    }

    /// Drops the segments that the retention policy lets go, and returns the start of the log.
    pub(crate) fn apply_retention(&self) -> Result<Offset> {
        self.check_appendable()?;
        self.check_directory()?;
        // No other trim drops the segments that are looked at here.
        let mut trimmed = self.trimming.lock();
        let policy = *self.retention.lock();
        let (ages, is_ahead) = {
            let mut clock = self.age_clock.lock();
            (clock.look(), clock.is_ahead())
        };
        let segments = self.segment_usage(ages, policy)?;
        let kept = policy.first_kept(&segments);
        let end = segments.last().map(|segment| segment.offsets.end);
        let start = kept.map(|segment| segment.offsets.start).or(end);
        let range = self.view.range(self.reader.visibility());
        // Readers may not see that far yet.
        if let Some(start) = start.map(|start| start.min(range.end))
            && start > range.start
        {
            self.trim_locked(start, None, &mut trimmed)?;
            #[cfg(feature = "tracing")]
            tracing::debug!(
                log_id = format_args!("{:032x}", self.log_id),
                start_offset = start.get(),
                "retention dropped old records"
            );
        }
        if let Some(delay) = policy.next_pass(kept) {
            // A pass that is scheduled already never comes too late: the age of what is kept only falls.
            let delay_max = if is_ahead { STEP_LASTS } else { DELAY_MAX };
            let delay = delay.clamp(DELAY_MIN, delay_max);
            self.tasks.retention_by_age.lock().arm_after(delay);
        }
        Ok(self.reader.start_offset())
    }

    /// Applies retention on a background thread. Returns whether it failed and may be tried again.
    pub(super) fn retain_in_background(&self) -> bool {
        let failure = self.apply_retention().err();
        let failure = failure.filter(|_| self.check_appendable().is_ok());
        if let Some(error) = &failure {
            self.count_failure("retention failed", error);
        }
        failure.is_some()
    }

    /// Applies retention, and schedules another pass if this one fails.
    pub(super) fn retain_by_age(&self) {
        if self.retain_in_background() {
            self.tasks.retention_by_age.lock().arm_after(DELAY_MAX);
        }
    }

    /// Returns the usage of every segment, the oldest first.
    fn segment_usage(&self, ages: Ages, policy: Retention) -> Result<Vec<SegmentUsage>> {
        let (active, end, age) = {
            let writer = self.writer.lock();
            // A sealed segment counts with the others, or is gone.
            let active = (!writer.sealed).then(|| Arc::clone(&writer.active));
            let found = || Some(ages.of_found(writer.last_appended_at()?));
            let age = writer.newest_append().map(|time| ages.since(time));
            (active, writer.next, age.or_else(found))
        };
        let start = self.reader.start_offset();
        let segments = self.view.segments();
        let sealed_end = active.as_ref().map_or(end, |active| active.base());
        // The log may have rolled since.
        let sealed = segments.partition_point(|segment| segment.base() < sealed_end);
        let sealed = &segments[..sealed];
        let nexts = sealed.iter().skip(1).map(|next| next.base());
        let mut usage = Vec::new();
        for (segment, next) in sealed.iter().zip(nexts.chain([sealed_end])) {
            let offsets = segment.base().max(start)..next.max(start);
            usage.push(SegmentUsage {
                records: offsets.end.saturating_since(offsets.start),
                offsets,
                bytes: segment.bytes()?,
                age: None,
                is_active: false,
            });
        }
        if let Some(active) = active {
            let first = active.base().max(start);
            let (durable, bytes) = self.durable_in(&active);
            usage.push(SegmentUsage {
                offsets: first..end.max(first),
                records: durable.max(first).saturating_since(first),
                bytes,
                // An empty segment is never too old.
                age: age.filter(|_| first < end),
                is_active: true,
            });
        }
        if policy.has_age() {
            fill_ages(&mut usage[..sealed.len()], &segments, ages, (end, age))?;
        }
        Ok(usage)
    }
}

/// Fills in the ages of `sealed`, the usage of the first of `segments`. Where no record shows that of a segment, its
/// records are at least as old as the first readable record after them. `last` is the end of the log, and the age of its
/// newest record.
fn fill_ages(
    sealed: &mut [SegmentUsage],
    segments: &[Arc<Segment>],
    ages: Ages,
    last: (Offset, Option<Duration>),
) -> Result<()> {
    let of_found = |date| ages.of_found(date);
    // The end of the next segment, and the age of its newest record.
    let mut after = last;
    for (index, usage) in sealed.iter_mut().enumerate().rev() {
        let (segment, end) = (&segments[index], usage.offsets.end);
        usage.age = match segment.newest_append() {
            Some(time) => Some(ages.since(time)),
            None => segment.newest_appended_at(end)?.map(of_found),
        };
        if usage.age.is_none() {
            let oldest = match segments.get(index + 1) {
                Some(next) if next.newest_append().is_none() => next.oldest_appended_at(after.0)?,
                _ => None,
            };
            usage.age = oldest.map(of_found).or(after.1);
        }
        after = (end, usage.age);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proglog_store::testing::SimDisk;

    use super::*;
    use crate::clock::TestClock;
    use crate::open::{self, report::Recovery};
    use crate::options::LogOptions;
    use crate::record::Record;

    const HOUR: Duration = Duration::from_hours(1);
    const YEAR: Duration = Duration::from_hours(365 * 24);

    /// 1 January 2026.
    fn today() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(490_896)
    }

    /// A log that keeps records for an hour, on a clock of its own.
    fn open(disk: &SimDisk, clock: &Arc<TestClock>) -> (Arc<Engine>, Recovery) {
        let options = LogOptions::new()
            .retention(Retention::new().age(HOUR))
            .idle_after(Duration::MAX)
            .clock(clock);
        open::open(disk.directory(), &options).unwrap()
    }

    fn append(log: &Engine) {
        log.append((&Record::new("a")).into()).unwrap();
    }

    /// Appends a record to a segment of its own.
    fn append_segment(log: &Engine) {
        append(log);
        log.roll_now().unwrap();
    }

    fn start(log: &Engine) -> u64 {
        log.apply_retention().unwrap().get()
    }

    #[test]
    fn records_of_a_clock_that_was_once_years_ahead_go_after_the_limit_all_the_same() {
        let (disk, clock) = (SimDisk::new(), TestClock::new(today()));
        let (log, _) = open(&disk, &clock);
        clock.set(today() + 50 * YEAR);
        append_segment(&log);
        clock.set(today());
        append_segment(&log);
        let dates = [0, 1].map(|offset| log.reader.read(offset).unwrap().appended_at());
        assert_eq!(dates, [today() + 50 * YEAR; 2], "they do not decrease");
        clock.advance(Duration::from_secs(3_598));
        assert_eq!(start(&log), 0);
        clock.advance(Duration::from_secs(2));
        assert_eq!(start(&log), 2);
        append_segment(&log);
        log.close().unwrap();
        // Another process counts from when it has seen them.
        let (log, recovery) = open(&disk, &clock);
        let ahead = recovery.dated_ahead.unwrap();
        assert_eq!(ahead + HOUR, 50 * YEAR);
        clock.advance(Duration::from_secs(3_599));
        assert_eq!(start(&log), 2);
        clock.advance(Duration::from_secs(1));
        assert_eq!(start(&log), 3);
    }

    #[test]
    fn a_clock_that_is_years_ahead_for_a_moment_drops_nothing() {
        let (disk, clock) = (SimDisk::new(), TestClock::new(today()));
        let (log, _) = open(&disk, &clock);
        append_segment(&log);
        append(&log);
        log.close().unwrap();
        let (log, recovery) = open(&disk, &clock);
        assert_eq!(recovery.dated_ahead, None);
        append_segment(&log);
        for _ in 0..3 {
            clock.set(today() + 50 * YEAR);
            assert_eq!(start(&log), 0);
            clock.set(today());
            clock.advance(Duration::from_mins(10));
            clock.set(today());
            assert_eq!(start(&log), 0);
        }
    }

    #[test]
    fn a_log_that_was_opened_before_its_clock_was_set_keeps_what_is_young_and_drops_what_is_old() {
        let (disk, clock) = (SimDisk::new(), TestClock::new(today()));
        let (log, _) = open(&disk, &clock);
        append_segment(&log);
        log.close().unwrap();
        let booted = SystemTime::UNIX_EPOCH;
        clock.set(booted);
        let (log, _) = open(&disk, &clock);
        append_segment(&log);
        clock.set(today() + 2 * HOUR);
        append_segment(&log);
        assert_eq!(
            start(&log),
            0,
            "whether the clock stays there is not known yet"
        );
        clock.advance(Duration::from_mins(5));
        assert_eq!(start(&log), 1, "the first segment is two hours old");
        clock.advance(Duration::from_mins(54));
        assert_eq!(start(&log), 1);
        clock.advance(Duration::from_mins(1));
        assert_eq!(start(&log), 3);
    }

    #[test]
    fn what_was_appended_before_the_clock_was_set_is_kept_by_the_next_opening() {
        let (disk, clock) = (SimDisk::new(), TestClock::new(SystemTime::UNIX_EPOCH));
        clock.advance(Duration::from_secs(5));
        let (log, _) = open(&disk, &clock);
        append_segment(&log);
        log.close().unwrap();
        clock.set(today());
        let (log, _) = open(&disk, &clock);
        clock.advance(Duration::from_secs(3_599));
        assert_eq!(start(&log), 0);
        clock.advance(Duration::from_secs(1));
        assert_eq!(start(&log), 1);
    }
}
