//! Finding a record by the time at which it was appended.

use std::ops::Range;

use crate::error::{Error, ErrorKind, Result};
use crate::offset::Offset;
use crate::read::reader::Reader;

impl Reader {
    /// The offset of the first record that was appended at `time` or later, in microseconds since
    /// 1970; the end if there is none. It takes as many reads as the number of records has binary
    /// digits. A damaged record cannot tell its time: it counts as appended with the one behind it, and
    /// each that is come upon takes a read more.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if the file system fails; [`Error::Closed`].
    pub fn offset_at(&self, time: i64) -> Result<Offset> {
        let (mut low, mut high) = (self.start_offset(), self.end_offset());
        while low < high {
            let middle = low.plus(high.since(low) / 2);
            match self.first_readable(middle..high) {
                Ok(Some((offset, appended_at))) if appended_at < time => low = offset.plus(1),
                // Not even there any more, if it was truncated in the meantime.
                Ok(_) | Err(Error::OutOfRange { .. }) => high = middle,
                Err(Error::Trimmed { start, .. }) => low = start.min(high),
                Err(error) => return Err(error),
            }
        }
        Ok(low)
    }

    /// The first record of `offsets` that can be read, and when it was appended.
    fn first_readable(&self, offsets: Range<Offset>) -> Result<Option<(Offset, i64)>> {
        for offset in (offsets.start.get()..offsets.end.get()).map(Offset::new) {
            match self.read(offset) {
                Ok(record) => return Ok(Some((offset, record.appended_at))),
                Err(error) if error.kind() == ErrorKind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}
