//! What a log notifies its observer of. Background work runs when a test says so.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use proglog_log::{
    Damaged, Durability, Error, ErrorKind, Job, Log, LogOptions, Observer, Offset, Reason, Runtime,
    Synced,
};
use proglog_store::testing::{CallKind, Fault, SimDisk, Survivors, When};

use crate::support::{append, damage, options, segments, value};

/// Jobs that wait for a test to run them.
#[derive(Default)]
struct Jobs(Mutex<Vec<Job>>);

impl Jobs {
    /// Runs jobs until there are none.
    fn run(&self) {
        while let Some(job) = { self.0.lock().unwrap().pop() } {
            job();
        }
    }
}

impl Runtime for Jobs {
    fn spawn(&self, job: Job) {
        self.0.lock().unwrap().push(job);
    }

    fn spawn_after(&self, delay: Duration, job: Job) {
        assert!(delay > Duration::ZERO);
        drop(job);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    /// Of how many records.
    Synced(u64),
    Rolled(u64),
    Damaged(Option<ErrorKind>),
    Poisoned(ErrorKind),
    SetAside(u64),
}

/// Keeps what it is notified of, and does something more each time.
struct Recorder<F> {
    events: Mutex<Vec<Event>>,
    bytes: Mutex<u64>,
    also: F,
}

impl<F: Fn(&Event)> Recorder<F> {
    fn keep(&self, event: Event) {
        (self.also)(&event);
        self.events.lock().unwrap().push(event);
    }

    fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events.lock().unwrap())
    }
}

impl<F: Fn(&Event) + Send + Sync> Observer for Recorder<F> {
    fn synced(&self, synced: &Synced) {
        *self.bytes.lock().unwrap() += synced.bytes;
        self.keep(Event::Synced(synced.records));
    }

    fn rolled(&self, base_offset: Offset) {
        self.keep(Event::Rolled(base_offset.get()));
    }

    fn damaged(&self, damaged: &Damaged) {
        assert!(damaged.file.ends_with(".log") && damaged.byte >= 8192);
        let error = damaged.error.as_ref();
        self.keep(Event::Damaged(error.map(Error::kind)));
    }

    fn poisoned(&self, error: &Error) {
        self.keep(Event::Poisoned(error.kind()));
    }

    fn set_aside(&self, file: &str, bytes: u64) {
        assert!(file.contains(".torn-"), "{file}");
        self.keep(Event::SetAside(bytes));
    }
}

/// A log with an observer that does `also` after each event.
fn observed<F: Fn(&Event) + Send + Sync + 'static>(
    disk: &SimDisk,
    options: LogOptions,
    also: F,
) -> (Log, Arc<Recorder<F>>, Arc<Jobs>) {
    let jobs = Arc::new(Jobs::default());
    let recorder = Arc::new(Recorder {
        events: Mutex::default(),
        bytes: Mutex::default(),
        also,
    });
    let options = options.runtime(jobs.clone()).observer(recorder.clone());
    let log = Log::open_in(disk.directory(), &options).unwrap();
    (log, recorder, jobs)
}

fn nothing(_event: &Event) {}

#[test]
fn each_sync_and_each_roll_is_reported_once_and_in_order() {
    let disk = SimDisk::new();
    let (log, recorder, jobs) = observed(&disk, options(), nothing);
    jobs.run();
    assert_eq!(recorder.take(), []);
    append(&log, 0..30);
    log.append_batch([30, 31, 32].map(value)).unwrap();
    assert_eq!(recorder.take(), [], "they are reported in the background");
    jobs.run();
    let mut bases = segments(&disk);
    bases.remove(0);
    assert!(bases.len() > 2);
    let mut expected = Vec::new();
    for offset in 0..=30 {
        if bases.contains(&offset) {
            expected.push(Event::Rolled(offset));
        }
        expected.push(Event::Synced(if offset == 30 { 3 } else { 1 }));
    }
    assert_eq!(recorder.take(), expected);
    let bytes = *recorder.bytes.lock().unwrap();
    assert!((33 * 128..33 * 180).contains(&bytes), "{bytes} bytes");
    log.sync().unwrap();
    log.close().unwrap();
    jobs.run();
    assert_eq!(recorder.take(), [], "nothing was left to sync");
}

#[test]
fn what_is_not_synced_at_once_is_reported_when_it_is() {
    for durability in [Durability::Buffered, Durability::Interval(Duration::MAX)] {
        let disk = SimDisk::new();
        let options = options().durability(durability).segment_bytes_max(64 << 10);
        let (log, recorder, jobs) = observed(&disk, options, nothing);
        append(&log, 0..7);
        jobs.run();
        assert_eq!(recorder.take(), []);
        log.sync().unwrap();
        append(&log, 7..9);
        log.sync().unwrap();
        // It seals the segment, which syncs what is in it.
        append(&log, 9..12);
        log.roll().unwrap();
        append(&log, 12..13);
        log.close().unwrap();
        jobs.run();
        let expected = [
            Event::Synced(7),
            Event::Synced(2),
            Event::Synced(3),
            Event::Rolled(12),
            Event::Synced(1),
        ];
        assert_eq!(recorder.take(), expected, "{durability:?}");
    }
}

#[test]
fn a_roll_reports_what_it_has_synced() {
    let disk = SimDisk::new();
    let options = options().durability(Durability::Buffered);
    let (log, recorder, jobs) = observed(&disk, options, nothing);
    append(&log, 0..30);
    jobs.run();
    let bases = segments(&disk);
    let rolls = bases.windows(2).flat_map(|bases| {
        let (base, next) = (bases[0], bases[1]);
        [Event::Synced(next - base), Event::Rolled(next)]
    });
    assert!(bases.len() > 2);
    assert_eq!(recorder.take(), rolls.collect::<Vec<_>>());
}

#[test]
fn records_that_are_appended_after_a_truncation_are_reported_too() {
    for (end, base) in [(5, None), (0, Some(0))] {
        let disk = SimDisk::new();
        let options = options().segment_bytes_max(64 << 10);
        let (log, recorder, jobs) = observed(&disk, options, nothing);
        append(&log, 0..10);
        jobs.run();
        recorder.take();
        if end == 0 {
            // Everything, which takes a new segment.
            log.append(vec![7; 2 << 20].split_off(1 << 20)).unwrap();
        }
        jobs.run();
        recorder.take();
        log.truncate(end).unwrap();
        jobs.run();
        let rolled = base.map(Event::Rolled);
        assert_eq!(recorder.take(), rolled.into_iter().collect::<Vec<_>>());
        append(&log, end..end + 3);
        jobs.run();
        assert_eq!(recorder.take(), [const { Event::Synced(1) }; 3]);
    }
}

#[test]
fn a_failure_that_stops_the_log_is_reported_once() {
    let disk = SimDisk::new();
    let (log, recorder, jobs) = observed(&disk, options(), nothing);
    let full = Fault::error(std::io::ErrorKind::StorageFull);
    disk.inject(When::Next(CallKind::Write, 0), full);
    log.append("no room").unwrap_err();
    jobs.run();
    assert_eq!(recorder.take(), [], "it does not stop the log");
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    log.append("not synced").unwrap_err();
    for _ in 0..3 {
        assert!(log.append("refused").is_err());
    }
    drop(log.close());
    jobs.run();
    assert_eq!(recorder.take(), [Event::Poisoned(ErrorKind::Poisoned)]);
}

#[test]
fn damage_is_reported_when_it_is_read_and_when_the_log_is_opened() {
    let disk = SimDisk::new();
    let (log, recorder, jobs) = observed(&disk, options().segment_bytes_max(64 << 10), nothing);
    append(&log, 0..20);
    log.close().unwrap();
    damage(&disk, 13);
    let (log, recorder_of_opened, jobs_too) = observed(&disk, options(), nothing);
    for _ in 0..2 {
        log.read(12).unwrap();
        let error = log.read(13).unwrap_err();
        assert!(matches!(error.reason, Reason::Corrupt { .. }));
    }
    assert_eq!(log.records(..).filter(Result::is_err).count(), 1);
    jobs_too.run();
    let met = || Event::Damaged(Some(ErrorKind::Corrupt));
    assert_eq!(recorder_of_opened.take(), [met(), met(), met()]);
    jobs.run();
    recorder.take();

    // The process ends before the mark of a closed log is written, so that opening reads all of it.
    let disk = SimDisk::new();
    let (log, _, _) = observed(&disk, options().segment_bytes_max(64 << 10), nothing);
    append(&log, 0..20);
    damage(&disk, 3);
    let left = disk.crash(Survivors::KeepAll);
    let name = format!("{:020}.log", 0);
    let mut bytes = left.read_file(&name);
    // A write that did not get far.
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    bytes.extend([7; 100]);
    left.write_file(&name, &bytes);
    let (log, recorder, jobs) = observed(&left, options(), nothing);
    assert_eq!(log.recovery().damaged.as_ref().unwrap().file, name);
    jobs.run();
    assert_eq!(
        recorder.take(),
        [Event::SetAside(100), Event::Damaged(None)]
    );
}

#[test]
fn an_observer_may_use_the_log_that_calls_it() {
    let disk = SimDisk::new();
    let log = Arc::new(OnceLock::<Log>::new());
    let log_of_observer = Arc::clone(&log);
    let also = move |event: &Event| {
        let log = log_of_observer.get().unwrap();
        let end = log.end_offset();
        match event {
            Event::Rolled(_) => {
                assert_eq!(log.append(value(end.get())).unwrap(), end);
                log.trim(end.saturating_sub(2)).unwrap();
                log.truncate(end).unwrap();
                log.sync().unwrap();
            }
            _ => drop(log.read(end.saturating_sub(1)).unwrap()),
        }
    };
    let (opened, recorder, jobs) = observed(&disk, options(), also);
    log.set(opened.clone()).unwrap();
    append(&opened, 0..20);
    jobs.run();
    let events = recorder.take();
    assert!(events.iter().any(|event| matches!(event, Event::Rolled(_))));
    assert_eq!(opened.end_offset(), 20);
    opened.close().unwrap();
}

#[test]
fn an_observer_that_panics_hears_of_what_comes_next_and_harms_no_append() {
    let disk = SimDisk::new();
    let also = |event: &Event| {
        assert!(*event != Event::Synced(2), "a panic that the test wants");
    };
    let (log, recorder, jobs) = observed(&disk, options(), also);
    append(&log, 0..1);
    log.append_batch([1, 2].map(value)).unwrap();
    append(&log, 3..4);
    jobs.run();
    assert_eq!(recorder.take(), [Event::Synced(1), Event::Synced(1)]);
    append(&log, 4..5);
    jobs.run();
    assert_eq!(recorder.take(), [Event::Synced(1)]);
}

#[test]
fn events_that_wait_take_bounded_memory_and_the_last_one_is_not_left_out() {
    let disk = SimDisk::new();
    let options = options().segment_bytes_max(64 << 20);
    let (log, recorder, jobs) = observed(&disk, options, nothing);
    append(&log, 0..1200);
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    log.append("not synced").unwrap_err();
    jobs.run();
    let events = recorder.take();
    assert_eq!(events.len(), 1025);
    assert_eq!(events.last(), Some(&Event::Poisoned(ErrorKind::Poisoned)));
}
