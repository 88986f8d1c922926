//! The program where what it says cannot be written.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(target_os = "linux")]

mod support;

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::{Program, eventually};
use tempfile::TempDir;

const RECORD: &str = r#"{"record":"aGVsbG8="}"#;

/// The device that is always full.
fn full() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn say_more(command: &mut Command) -> &mut Command {
    command.env("RUST_LOG", "debug")
}

/// Appends and reads records, and makes the program log lines.
fn serves(program: &Program) {
    let mut client = program.client();
    for _ in 0..10 {
        assert_eq!(client.call("POST /", RECORD).status, 200);
        assert_eq!(client.call("GET /?offset=0", "").body, RECORD);
        assert_eq!(client.call("GET /?offset=999", "").status, 404);
        assert_eq!(client.call("GET /?offset=x", "").status, 400);
    }
}

#[test]
fn it_serves_on_where_standard_error_is_a_full_device() {
    // The second has an error, which is said as well.
    for level in ["debug", "proglog=loud"] {
        let data = TempDir::new().unwrap();
        let mut command = Program::command(data.path(), &[]);
        command.env("RUST_LOG", level).stderr(full());
        let mut program = Program::start(command);
        serves(&program);
        program.end();
    }
}

#[test]
fn it_serves_on_where_the_reader_of_standard_error_has_gone() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &[]);
    say_more(&mut command).stderr(Stdio::piped());
    let mut program = Program::start(command);
    drop(program.child.stderr.take());
    serves(&program);
    program.end();
}

#[test]
fn it_serves_on_where_the_reader_of_standard_error_reads_no_more() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &["--durability", "buffered"]);
    say_more(&mut command).stderr(Stdio::piped());
    let mut program = Program::start(command);
    // Each writes a line, and more than the pipe holds.
    let line = format!("GET /?{}", "x".repeat(1 << 10));
    let mut client = program.client();
    for _ in 0..200 {
        assert_eq!(client.call(&line, "").status, 400);
    }
    serves(&program);
    program.end();
}

#[test]
fn its_exit_status_does_not_depend_on_its_last_words() {
    let data = TempDir::new().unwrap();
    for (argument, status) in [("--help", 0), ("--nonsense", 2), ("--segment-bytes=7", 1)] {
        let mut command = Program::command(data.path(), &[argument]);
        let ended = command.stdout(full()).stderr(full()).status().unwrap();
        assert_eq!(ended.code(), Some(status), "{argument}");
    }
}

#[test]
fn beyond_a_limit_on_file_size_appends_are_refused_and_lines_counted_until_it_is_raised() {
    const LIMIT: usize = 1 << 20;
    let data = TempDir::new().unwrap();
    let path = data.path().join("errors");
    let mut errors = File::create_new(&path).unwrap();
    let mut command = Program::command(data.path(), &[]);
    let appending = File::options().append(true).open(&path).unwrap();
    command.env("RUST_LOG", "info").stderr(appending);
    let mut program = Program::start(command);
    // After the line about the log, up to 10 bytes before the limit.
    let begun = eventually(|| {
        let said = fs::read_to_string(&path).unwrap();
        (said.contains("the log in") && said.ends_with('\n')).then_some(said)
    });
    errors.seek(SeekFrom::End(0)).unwrap();
    errors
        .write_all(&vec![b'.'; LIMIT - 10 - begun.len()])
        .unwrap();
    let id = Pid::from_child(&program.child);
    let limit = |current| {
        let maximum = None;
        prlimit(Some(id), Resource::Fsize, Rlimit { current, maximum }).unwrap();
    };
    limit(Some(LIMIT as u64));

    let mut client = program.client();
    let record = format!(r#"{{"record":"{}"}}"#, "A".repeat(400 << 10));
    for status in [200, 200, 200, 507, 507] {
        let answer = client.call("POST /", &record);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(status == 200 || answer.code() == "disk_full");
    }
    assert_eq!(client.call("GET /?offset=2", "").status, 200);

    limit(None);
    assert_eq!(client.call("POST /", &record).body, r#"{"offset":3}"#);
    program.end();
    let said = fs::read(&path).unwrap();
    let said = String::from_utf8_lossy(&said[LIMIT - 10..]).into_owned();
    let (torn, rest) = said.split_once('\n').unwrap();
    assert_eq!(torn.len(), 10);
    // A line about each refused append, and one about its response. They are written on a thread
    // of their own, so the last of them may come after the limit was raised.
    let (dropped, rest) = rest.split_once('\n').unwrap();
    let dropped = dropped
        .strip_prefix("proglog-server: dropped ")
        .and_then(|rest| rest.strip_suffix(" lines that could not be written here"))
        .and_then(|count| count.parse::<usize>().ok());
    let written = ["disk_full", "status=507"].map(|part| rest.matches(part).count());
    let dropped = dropped.unwrap_or_else(|| panic!("no count of dropped lines: {said}"));
    assert!(dropped > 0, "{said}");
    assert_eq!(dropped + written[0] + written[1], 4, "{said}");
    assert!(rest.trim_end().ends_with("closed"), "{said}");
}
