//! The figures of a log on disk.

use crate::engine::Engine;
use crate::error::reason::Result;
use crate::stat::Stat;

impl Engine {
    pub(crate) fn stat(&self) -> Result<Stat> {
        self.view.check_open()?;
        // No segment is dropped, or is truncated after its length was looked at.
        let _trimming = self.trimming.lock();
        let (assigned_end, active) = {
            let writer = self.writer.lock();
            (writer.next, writer.active.clone())
        };
        let segments = self.view.segments();
        let sealed = segments
            .iter()
            .filter(|segment| segment.base() < active.base());
        let sealed = sealed.map(|segment| segment.bytes()).sum::<Result<u64>>()?;
        Ok(Stat {
            offsets: self.reader.offsets(),
            assigned_end,
            recovery_point: active.recovery_point().offset(),
            bytes: sealed + active.end().boundary.position.get(),
            segments: segments.len(),
        })
    }
}
