//! The program: flags, signals, its log, and errors at startup.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(unix)]

mod support;

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use proglog_log::{Log, LogOptions};
use rustix::process::{Pid, Signal, kill_process};
use support::{NEVER, Program, eventually};
use tempfile::TempDir;

const RECORD: &str = r#"{"record":"aGVsbG8="}"#;

fn start(data: &Path, arguments: &[&str]) -> Program {
    Program::start(Program::command(data, arguments))
}

/// The single line that it fails with, beside its log.
fn refusal(data: &Path, arguments: &[&str]) -> String {
    let mut command = Program::command(data, arguments);
    command.env("RUST_LOG", "off").stderr(Stdio::piped());
    let output = command.output().unwrap();
    assert!(!output.status.success());
    assert_eq!(output.stdout, b"");
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(line.lines().count(), 1, "{line}");
    line
}

#[test]
fn either_signal_ends_it_well_and_nothing_that_was_answered_is_lost() {
    let data = TempDir::new().unwrap();
    // Buffered: the records reach the file only when the log is closed.
    for (round, signal) in ["INT", "TERM"].into_iter().enumerate() {
        let mut program = start(data.path(), &["--durability", "buffered"]);
        let mut client = program.client();
        let answer = client.call("POST /", RECORD);
        assert_eq!(answer.body, format!(r#"{{"offset":{round}}}"#));
        for offset in 0..=round {
            assert_eq!(
                client.call(&format!("GET /?offset={offset}"), "").body,
                RECORD
            );
        }
        // The idle connection does not delay it.
        program.signal(signal);
        assert_eq!(program.child.wait().unwrap().code(), Some(0));
        let mut rest = String::new();
        program.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "more than the address on standard output");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let data = TempDir::new().unwrap();
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let mut program = start(data.path(), &[]);
        let mut client = program.client();
        // It would wait for the body of this request.
        client.send("POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 30\r\n\r\n");
        assert_eq!(client.answer().unwrap().status, 100);
        program.signal(signal);
        eventually(|| TcpStream::connect(program.address).err());
        // The first few may count as the same signal.
        let ended = eventually(|| {
            program.signal(signal);
            program.child.try_wait().unwrap()
        });
        assert_eq!(ended.code(), Some(status));
    }
}

#[test]
fn signals_that_do_not_ask_it_to_end_are_ignored() {
    let data = TempDir::new().unwrap();
    let mut program = start(data.path(), &[]);
    for signal in ["HUP", "USR1", "USR2", "PIPE", "XFSZ"] {
        program.signal(signal);
        assert_eq!(program.client().call("POST /", RECORD).status, 200);
    }
    program.end();
}

#[test]
fn a_signal_that_comes_while_the_log_is_opened_ends_it_well() {
    for _ in 0..20 {
        let data = TempDir::new().unwrap();
        let path = data.path().join("logs/default/segments");
        let mut child = Program::command(data.path(), &[]).spawn().unwrap();
        let begun = Instant::now();
        while !path.join("LOCK").exists() {
            assert!(begun.elapsed() < NEVER, "it does not open its log");
        }
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = eventually(|| child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "{ended}");
        let log = Log::open(&path, &LogOptions::new()).unwrap();
        assert!(log.recovery().clean, "{}", log.recovery());
    }
}

#[test]
fn a_poll_at_the_end_of_the_log_writes_no_line() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &[]);
    command.env_remove("RUST_LOG").stderr(Stdio::piped());
    let mut program = Program::start(command);
    let mut client = program.client();
    for _ in 0..10 {
        assert_eq!(client.call("GET /?offset=0", "").status, 404);
    }
    assert_eq!(client.call("GET /?offset=x", "").status, 400);
    program.end();
    let mut lines = String::new();
    let mut errors = program.child.stderr.take().unwrap();
    errors.read_to_string(&mut lines).unwrap();
    assert!(!lines.contains("404"), "{lines}");
    assert!(lines.contains("400"), "{lines}");
}

#[test]
fn its_log_says_when_the_limit_on_connections_is_reached_but_not_each_time() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &["--connections-max", "2"]);
    command.stderr(Stdio::piped());
    let mut program = Program::start(command);
    let clients = (0..20).map(|_| {
        let mut client = program.client();
        assert_eq!(client.call("POST /", RECORD).status, 200);
        client
    });
    assert_eq!(clients.collect::<Vec<_>>().len(), 20);
    program.end();
    let mut lines = String::new();
    let mut errors = program.child.stderr.take().unwrap();
    errors.read_to_string(&mut lines).unwrap();
    assert_eq!(lines.lines().count(), 1, "{lines}");
    assert!(lines.contains("limit on connections"), "{lines}");
    assert!(
        lines.contains("connections=2 closed=1 refused=0"),
        "{lines}"
    );
}

#[test]
fn settings_come_from_flags_and_from_the_environment() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &[]);
    command
        .env("PROGLOG_DURABILITY", "interval")
        .env("PROGLOG_SEGMENT_BYTES", "1024");
    let from_environment = Program::start(command);
    let mut client = from_environment.client();
    for _ in 0..100 {
        assert_eq!(client.call("POST /", RECORD).status, 200);
    }
    let segments = std::fs::read_dir(data.path().join("logs/default/segments")).unwrap();
    let paths = segments.map(|entry| entry.unwrap().path());
    let stores = paths.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    assert!(stores.count() > 1);

    let other = TempDir::new().unwrap();
    let folder = other.path().join("from/a/flag");
    let flags = [
        "--data-dir",
        folder.to_str().unwrap(),
        "--listen",
        "localhost:0",
    ];
    let from_flags = start(data.path(), &flags);
    assert_eq!(
        from_flags.client().call("POST /", RECORD).body,
        r#"{"offset":0}"#
    );
    assert!(folder.join("logs/default/segments").is_dir());
}

#[test]
fn a_failed_start_is_explained_in_one_line() {
    let data = TempDir::new().unwrap();
    let program = start(data.path(), &[]);
    assert!(refusal(data.path(), &[]).contains("locked"));

    let other = TempDir::new().unwrap();
    let address = program.address.to_string();
    let line = refusal(other.path(), &["--listen", &address]);
    assert!(
        line.contains(&format!("cannot listen on {address}")),
        "{line}"
    );
    assert!(!other.path().join("logs/default/segments").exists());

    let line = refusal(other.path(), &["--segment-bytes", "7"]);
    assert!(line.contains("segment_bytes_max is 7"), "{line}");

    start(other.path(), &[]).end();
    let segments = other.path().join("logs/default/segments");
    std::fs::remove_dir_all(&segments).unwrap();
    std::fs::create_dir(&segments).unwrap();
    std::fs::write(segments.join("letter.txt"), "dear").unwrap();
    let line = refusal(other.path(), &[]);
    assert!(line.contains("letter.txt"), "{line}");
    assert_eq!(std::fs::read(segments.join("letter.txt")).unwrap(), b"dear");
}

#[test]
fn its_log_begins_with_a_sentence_about_the_log_that_it_opened() {
    let data = TempDir::new().unwrap();
    for found in [
        "opened cleanly with no records, at offset 0",
        "recovered after a crash: records 0..1",
    ] {
        let mut command = Program::command(data.path(), &[]);
        command.env("RUST_LOG", "info").stderr(Stdio::piped());
        let mut program = Program::start(command);
        let errors = program.child.stderr.take().unwrap();
        let line = BufReader::new(errors).lines().next().unwrap().unwrap();
        let path = data.path().join("logs/default");
        let sentence = format!("the log in {} was {found}", path.display());
        assert!(line.contains(&sentence), "{line}");
        program.client().call("POST /", RECORD);
        program.kill();
    }
}

#[test]
fn after_a_kill_a_new_start_succeeds_at_once() {
    let data = TempDir::new().unwrap();
    for round in 0..3 {
        let mut program = start(data.path(), &[]);
        let answer = program.client().call("POST /", RECORD);
        assert_eq!(answer.body, format!(r#"{{"offset":{round}}}"#));
        program.kill();
    }
}
