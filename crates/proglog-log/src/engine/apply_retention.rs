//! Retention: trims the segments that the policy lets go.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::error::reason::Result;
use crate::offset::Offset;
use crate::retention::SegmentUsage;

/// Bounds on the delay until the next pass of retention by age.
const DELAY_MIN: Duration = Duration::from_millis(10);
const DELAY_MAX: Duration = Duration::from_hours(1);

impl Engine {
    /// Drops the segments that the retention policy lets go, and returns the start of the log.
    pub(crate) fn apply_retention(&self) -> Result<Offset> {
        self.check_appendable()?;
        self.check_directory()?;
        // No other trim drops the segments that are looked at here.
        let mut trimmed = self.trimming.lock();
        let policy = self.options.retention;
        let now = self.steady_clock.now();
        let segments = self.segment_usage()?;
        let kept = policy.first_kept(&segments, now);
        let end = segments.last().map(|segment| segment.offsets.end);
        let start = kept.map(|segment| segment.offsets.start).or(end);
        let range = self.view.range(self.reader.visibility());
        // Readers may not see that far yet.
        if let Some(start) = start.map(|start| start.min(range.end))
            && start > range.start
        {
            self.trim_locked(start, &mut trimmed)?;
            #[cfg(feature = "tracing")]
            tracing::debug!(
                log_id = format_args!("{:032x}", self.log_id),
                start_offset = start.get(),
                "retention dropped old records"
            );
        }
        if let Some(delay) = policy.next_pass(kept, now) {
            // A pass that is scheduled already never comes too late: the age of what is kept only falls.
            let delay = delay.clamp(DELAY_MIN, DELAY_MAX);
            self.tasks.retention_by_age.arm_after(delay);
        }
        Ok(self.reader.start_offset())
    }

    /// Applies retention on a background thread. Returns whether it failed and may be tried again.
    pub(super) fn retain_in_background(&self) -> bool {
        let retained = self.apply_retention();
        let failed = retained.is_err() && self.check_appendable().is_ok();
        #[cfg(feature = "tracing")]
        if let Err(error) = &retained
            && failed
        {
            tracing::warn!(
                log_id = format_args!("{:032x}", self.log_id),
                error = &self.view.log().error(error.clone()) as &dyn std::error::Error,
                "retention failed"
            );
        }
        failed
    }

    /// Applies retention, and schedules another pass if this one fails.
    pub(super) fn retain_by_age(&self) {
        if self.retain_in_background() {
            self.tasks.retention_by_age.arm_after(DELAY_MAX);
        }
    }

    /// Returns the usage of every segment, the oldest first.
    fn segment_usage(&self) -> Result<Vec<SegmentUsage>> {
        let (active, end, newest) = {
            let writer = self.writer.lock();
            // A sealed segment counts with the others, or is gone.
            let active = (!writer.sealed).then(|| Arc::clone(&writer.active));
            (active, writer.next, writer.last_appended_at())
        };
        let start = self.reader.start_offset();
        let segments = self.view.segments();
        let sealed_end = active.as_ref().map_or(end, |active| active.base());
        let nexts = segments.iter().skip(1).map(|next| next.base());
        let sealed = segments.iter().zip(nexts.chain([sealed_end]));
        let mut usage = Vec::new();
        // The log may have rolled since.
        for (segment, next) in sealed.take_while(|(segment, _)| segment.base() < sealed_end) {
            let summary = segment.summary(next)?;
            let offsets = segment.base().max(start)..next.max(start);
            usage.push(SegmentUsage {
                records: offsets.end.saturating_since(offsets.start),
                offsets,
                bytes: summary.bytes,
                newest: summary.newest,
                is_active: false,
            });
        }
        let Some(active) = active else {
            return Ok(usage);
        };
        let first = active.base().max(start);
        let (durable, bytes) = self.durable_in(&active);
        usage.push(SegmentUsage {
            offsets: first..end.max(first),
            records: durable.max(first).saturating_since(first),
            bytes,
            // An empty segment is never too old.
            newest: newest.filter(|_| first < end),
            is_active: true,
        });
        Ok(usage)
    }
}
