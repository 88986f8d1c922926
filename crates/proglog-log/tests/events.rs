//! Events that a log emits with the feature `tracing`.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proglog_log::{Log, LogOptions};
use proglog_store::testing::{CallKind, Fault, SimDisk, When};
use tracing_subscriber::fmt::MakeWriter;

/// Collects what is written.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Returns what was written since the last call.
    fn take(&self) -> String {
        let bytes = std::mem::take(&mut *self.0.lock());
        String::from_utf8(bytes).expect("events are text")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn opening_rolling_truncating_and_failing_emit_events() {
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(lines.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let disk = SimDisk::new();
    let options = LogOptions::new()
        .idle_after(Duration::MAX)
        .segment_bytes_max(1 << 10);
    let log = Log::open_in(disk.directory(), &options).unwrap();
    let expect = |level: &str, message: &str| {
        let lines = lines.take();
        let mut lines = lines.lines();
        let is_expected = |line: &&str| line.contains(level) && line.contains(message);
        let event = lines.find(is_expected);
        let event = event.unwrap_or_else(|| panic!("no `{level} {message}`"));
        let names_log = event.contains("error=log \"simulated\": ");
        assert_eq!(names_log, level != "DEBUG", "{event}");
    };
    expect("DEBUG", "log opened");
    log.append("first").unwrap();
    assert_eq!(lines.take(), "", "an append emits nothing");
    for _ in 0..10 {
        log.append(vec![7; 200]).unwrap();
    }
    expect("DEBUG", "segment created");
    log.truncate(5).unwrap();
    expect("DEBUG", "log truncated");
    disk.inject(
        When::Next(CallKind::Write, 0),
        Fault::error(io::ErrorKind::StorageFull),
    );
    log.append("no room").unwrap_err();
    expect("WARN", "appends rolled back");
    disk.inject(When::Next(CallKind::Sync, 0), Fault::os_error(5));
    log.append("not synced").unwrap_err();
    expect("ERROR", "log poisoned");
    assert!(log.append("poisoned").is_err());
    assert_eq!(lines.take(), "", "a log is poisoned once");
}
