//! Debug output: it shows the state of a log, its iterators and its tickets.

use proglog_log::{
    CommitLog, Durability, MemoryLog, Notify, Offset, ReadOnlyLog, Ticket, Visibility,
};
use proglog_store::testing::SimDisk;

use crate::support::{append, open, open_with, options};

#[test]
fn logs_readers_and_signals_print_their_state() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..3);
    let readable = "readable: Offset(0)..Offset(3)";
    let printed = format!("{log:?}");
    assert!(printed.starts_with("Log {"), "{printed}");
    for fact in [readable, "durability: Synced", "failure: None"] {
        assert!(printed.contains(fact), "{printed}");
    }
    let printed = format!("{:?}", log.reader(Visibility::default()));
    assert!(printed.contains(readable), "{printed}");
    let reader = ReadOnlyLog::open_in(disk.directory()).unwrap();
    let printed = format!("{reader:?}");
    assert!(
        printed.contains("readable: Offset(0)..Offset("),
        "{printed}"
    );
    let dynamic: &dyn CommitLog = &log;
    assert_eq!(format!("{dynamic:?}"), format!("{log:?}"));
}

#[test]
fn iterators_print_whether_they_ended() {
    let disk = SimDisk::new();
    let log = open(&disk);
    append(&log, 0..1);
    let mut records = log.records(0..);
    assert_eq!(format!("{records:?}"), "Records { ended: false, .. }");
    assert_eq!(records.by_ref().count(), 1);
    assert_eq!(format!("{records:?}"), "Records { ended: true, .. }");
    let mut follow = log.follow(0);
    assert_eq!(format!("{follow:?}"), "Follow { failure: None, .. }");
    log.close().unwrap();
    assert!(follow.next().unwrap().is_err());
    assert_eq!(
        format!("{follow:?}"),
        "Follow { failure: Some(Error { log: \"simulated\", reason: Closed }), .. }"
    );
    let stream = follow.into_stream();
    assert_eq!(format!("{stream:?}"), "FollowStream { ready: 0, .. }");
    assert_eq!(format!("{:?}", Notify::new()), "Notify { .. }");
}

#[test]
fn a_ticket_prints_whether_it_is_complete() {
    let disk = SimDisk::new();
    let log = open_with(&disk, &options().durability(Durability::Synced));
    let ticket = log.submit("one").unwrap();
    let printed = format!("{ticket:?}");
    let offsets = "Ticket { offsets: Offset(0)..Offset(1), complete: ";
    assert_eq!(printed, format!("{offsets}false, .. }}"));
    log.sync().unwrap();
    assert_eq!(format!("{ticket:?}"), format!("{offsets}true, .. }}"));
}

#[test]
fn a_completion_prints_whether_it_is_complete() {
    let (ticket, completion) = Ticket::with_completion("replicated", Offset::ZERO..Offset::new(1));
    let printed = format!("{completion:?}");
    assert!(printed.contains("SharedOutcome { outcome: "), "{printed}");
    completion.complete(Ok(()));
    assert!(format!("{ticket:?}").contains("complete: true"));
}

#[test]
fn a_log_in_memory_prints_no_record() {
    let log = MemoryLog::new();
    log.append("a secret").unwrap();
    let printed = "MemoryLog { offsets: Offset(0)..Offset(1), is_closed: false, .. }";
    assert_eq!(format!("{log:?}"), printed);
}
