//! Conditional appends, and the end of all offsets.

use std::sync::Arc;

use proglog_log::{CommitLog, ErrorKind, MemoryLog, Offset, Outcome, Reason};
use proglog_store::testing::SimDisk;

use crate::support::{append, holds, killed, open};

#[test]
fn an_append_that_there_are_no_offsets_for_is_refused() {
    let disk = SimDisk::new();
    let log = open(&disk);
    log.reset(u64::MAX - 2).unwrap();
    let refused = |records: usize| {
        let error = log.append_batch(vec!["more"; records]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::LimitReached);
        assert_eq!(error.outcome(), Outcome::NotAppended);
    };
    refused(3);
    append(&log, u64::MAX - 2..u64::MAX - 1);
    refused(2);
    append(&log, u64::MAX - 1..u64::MAX);
    refused(1);
    holds(&log, u64::MAX - 2..u64::MAX);
    holds(&open(&killed(&disk, &log)), u64::MAX - 2..u64::MAX);
}

#[test]
fn a_conditional_append_succeeds_only_at_the_end_that_is_assigned() {
    let disk = SimDisk::new();
    let logs: [Arc<dyn CommitLog>; 2] = [Arc::new(open(&disk)), Arc::new(MemoryLog::new())];
    for log in logs {
        let ticket = log.submit_at(Offset::ZERO, "a".into()).unwrap();
        for expected in [0, 2, u64::MAX] {
            let error = log.submit_at(expected.into(), "b".into()).unwrap_err();
            assert!(
                matches!(error.reason, Reason::EndMoved { expected: told, end }
                if told.get() == expected && end.get() == 1)
            );
            assert_eq!(error.outcome(), Outcome::NotAppended);
        }
        let next = log.submit_at(Offset::new(1), "b".into()).unwrap();
        assert_eq!(ticket.wait().unwrap(), Offset::ZERO..Offset::new(1));
        assert_eq!(next.wait().unwrap(), Offset::new(1)..Offset::new(2));
    }
}
