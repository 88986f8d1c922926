//! Tickets that are completed later, and callbacks that use the log.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;

use futures::FutureExt;
use proglog_log::{
    Append, CommitLog, Completion, Error, ErrorKind, Follow, Log, LogOptions, MemoryLog, Notify,
    Offset, OffsetBounds, Outcome, ReadLog, Reason, Record, Records, Result, StoredRecord, Ticket,
};
use proglog_store::testing::SimDisk;

/// Most background threads.
const THREADS_MAX: usize = 4;

/// A log as another crate could implement it: it acknowledges on request.
#[derive(Debug, Default)]
struct Replicated {
    local: MemoryLog,
    waiting: Mutex<Vec<Completion>>,
}

impl Replicated {
    fn later(&self, ticket: &Ticket) -> Ticket {
        let (ticket, completion) = Ticket::with_completion("replicated", ticket.offsets());
        self.waiting.lock().unwrap().push(completion);
        ticket
    }

    fn complete(&self, outcome: &Result<()>) {
        for completion in self.waiting.lock().unwrap().drain(..) {
            completion.complete(outcome.clone());
        }
    }
}

impl ReadLog for Replicated {
    fn name(&self) -> &'static str {
        "replicated"
    }

    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        self.local.read(offset)
    }

    fn records(&self, range: OffsetBounds) -> Records {
        self.local.records(range)
    }

    fn follow(&self, from: Offset) -> Follow {
        self.local.follow(from)
    }

    fn start_offset(&self) -> Offset {
        self.local.start_offset()
    }

    fn end_offset(&self) -> Offset {
        self.local.end_offset()
    }
}

impl CommitLog for Replicated {
    fn changes(&self) -> Notify {
        self.local.changes()
    }

    fn submit_append(&self, append: Append) -> Result<Ticket> {
        Ok(self.later(&self.local.submit_append(append)?))
    }

    fn trim(&self, start: Offset) -> Result<()> {
        self.local.trim(start)
    }

    fn sync(&self) -> Result<()> {
        self.local.sync()
    }

    fn close(&self) -> Result<()> {
        self.local.close()
    }
}

/// The next value, which must come within a minute.
fn next<T>(from: &Receiver<T>) -> Option<T> {
    match from.recv_timeout(Duration::from_mins(1)) {
        Err(RecvTimeoutError::Timeout) => panic!("nothing comes"),
        received => received.ok(),
    }
}

fn submit(log: &Replicated) -> Ticket {
    log.submit(Record::new("value")).unwrap()
}

#[test]
fn the_outcome_that_comes_later_is_waited_for_awaited_and_called_back_with() {
    let broken = Err(Error::new("replicated", Reason::Locked));
    for outcome in [Ok(()), broken] {
        let log = Replicated::default();
        let (sender, receiver) = channel();
        let waits = submit(&log);
        let waiting = sender.clone();
        thread::spawn(move || waiting.send((0, waits.wait())).unwrap());
        let called = sender.clone();
        submit(&log).on_complete(move |outcome| called.send((1, outcome)).unwrap());
        let mut awaited = submit(&log);
        assert!(
            (&mut awaited).now_or_never().is_none(),
            "it is not there yet"
        );
        log.complete(&outcome);
        let awaited = awaited.now_or_never().expect("it is there now");
        sender.send((2, awaited)).unwrap();
        for _ in 0..3 {
            let (offset, got) = next(&receiver).unwrap();
            match &outcome {
                Ok(()) => {
                    let offsets = Offset::new(offset)..Offset::new(offset + 1);
                    assert_eq!(got.unwrap(), offsets);
                }
                Err(error) => assert_eq!(got.unwrap_err().kind(), error.kind()),
            }
        }
    }
}

#[test]
fn awaiting_is_woken_by_the_completion() {
    let (ticket, completion) =
        Ticket::with_completion("replicated", Offset::new(3)..Offset::new(5));
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        sender.send(runtime.unwrap().block_on(ticket)).unwrap();
    });
    completion.complete(Ok(()));
    let offsets = next(&receiver).unwrap().unwrap();
    assert_eq!(offsets, Offset::new(3)..Offset::new(5));
}

#[test]
fn a_completion_that_is_dropped_leaves_the_outcome_unknown() {
    let log = Replicated::default();
    let (sender, receiver) = channel();
    let [waits, mut awaited] = [submit(&log), submit(&log)];
    assert!((&mut awaited).now_or_never().is_none());
    submit(&log).on_complete(move |outcome| sender.send(outcome).unwrap());
    drop(log);
    let outcomes = [
        waits.wait(),
        awaited.now_or_never().expect("nobody waits for ever"),
        next(&receiver).unwrap(),
    ];
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert!(matches!(error.reason, Reason::Abandoned), "{error:?}");
        assert_eq!(*error.log, *"replicated");
        assert_eq!(error.kind(), ErrorKind::Abandoned);
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}

#[test]
fn a_ticket_that_is_dropped_does_not_matter_to_its_completion() {
    let (ticket, completion) = Ticket::with_completion("replicated", Offset::ZERO..Offset::ZERO);
    drop(ticket);
    completion.complete(Ok(()));
}

#[test]
fn callbacks_that_wait_for_appends_on_all_background_threads_hang_nothing() {
    let logs = [(); THREADS_MAX].map(|()| {
        let disk = SimDisk::new();
        Log::open_in(disk.directory(), &LogOptions::new()).unwrap()
    });
    let shared = Log::open_in(SimDisk::new().directory(), &LogOptions::new()).unwrap();
    let all_are_taken = Arc::new(Barrier::new(THREADS_MAX));
    let (sender, receiver) = channel();
    for log in &logs {
        let (own, shared) = (log.clone(), shared.clone());
        let (all_are_taken, sender) = (Arc::clone(&all_are_taken), sender.clone());
        log.submit("first").unwrap().on_complete(move |outcome| {
            outcome.unwrap();
            all_are_taken.wait();
            for _ in 0..100 {
                own.append("own").unwrap();
                shared.append("shared").unwrap();
            }
            sender.send(()).unwrap();
        });
    }
    drop(sender);
    for _ in 0..THREADS_MAX {
        next(&receiver).expect("no callback panics");
    }
    assert_eq!(shared.end_offset(), Offset::new(100 * THREADS_MAX as u64));
    for log in logs {
        assert_eq!(log.end_offset(), Offset::new(101));
    }
}
