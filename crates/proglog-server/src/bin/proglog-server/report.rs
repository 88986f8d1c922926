//! The report of opening a log, in one sentence for the operator.

use std::fmt;

use proglog_log::Recovery;

/// Displays a [`Recovery`] as the rest of a sentence: `3 records, offsets 0..3, clean`.
pub(crate) struct Sentence<'a>(pub(crate) &'a Recovery);

impl fmt::Display for Sentence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recovery = self.0;
        let (start, end) = (recovery.records.start.get(), recovery.records.end.get());
        let state = if recovery.clean { "clean" } else { "recovered" };
        let count = end - start;
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} record{plural}, offsets {start}..{end}, {state}")?;
        if let Some(torn) = &recovery.set_aside {
            let (bytes, position, file) = (torn.bytes, torn.position, &torn.file);
            write!(
                f,
                "; {bytes} bytes of an unfinished write at {position} set aside in {file}"
            )?;
        }
        if let Some((file, position)) = &recovery.damaged {
            write!(f, "; damaged at {position} in {file}")?;
        }
        if recovery.indexes_rebuilt > 0 {
            write!(f, "; {} indexes rebuilt", recovery.indexes_rebuilt)?;
        }
        Ok(())
    }
}
