//! The program where the system gives it no more threads, or no more file descriptors.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use support::{Client, Program};
use tempfile::TempDir;

/// Appends this many records and reads each at once.
fn append_and_read(client: &mut Client, records: usize) {
    for _ in 0..records {
        let answer = client.call("POST /", RECORD);
        assert_eq!(answer.status, 200, "{answer:?}");
        let offset: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let answer = client.call(&format!("GET /?offset={}", offset["offset"]), "");
        assert_eq!((answer.status, &*answer.body), (200, RECORD), "{answer:?}");
    }
}

const RECORD: &str = r#"{"record":"aGVsbG8="}"#;

/// Keeps a process from starting threads from here on: the memory for one more stack is more than it may have.
fn deny_threads(program: &Program) {
    let id = program.child.id();
    let current = Some(settled_size(id) + STACK_BYTES / 2);
    let limit = Rlimit {
        current,
        maximum: None,
    };
    let pid = Pid::from_raw(id.try_into().unwrap());
    prlimit(pid, Resource::As, limit).unwrap();
}

/// Waits until the threads that a process has begun to start have all their memory, and returns how much it has mapped.
fn settled_size(id: u32) -> u64 {
    let size = || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kib = size.unwrap().trim().strip_suffix(" kB").unwrap();
        kib.parse::<u64>().unwrap() << 10
    };
    let mut before = size();
    loop {
        thread::sleep(Duration::from_millis(200));
        let now = size();
        if now == before {
            return now;
        }
        before = now;
    }
}

const STACK_BYTES: u64 = 128 << 20;

#[test]
fn where_no_thread_can_be_started_each_call_is_answered_and_stored_once() {
    let data = TempDir::new().unwrap();
    let mut command = Program::command(data.path(), &[]);
    command.env("RUST_MIN_STACK", STACK_BYTES.to_string());
    let program = Program::start(command);
    append_and_read(&mut program.client(), 1);
    deny_threads(&program);
    let clients = 8;
    let appending = (0..clients).map(|_| {
        let mut client = program.client();
        thread::spawn(move || append_and_read(&mut client, 10))
    });
    for client in appending.collect::<Vec<_>>() {
        client.join().unwrap();
    }
    let mut client = program.client();
    let end = client.call(&format!("GET /?offset={}", 10 * clients + 1), "");
    assert_eq!(end.status, 404, "more is stored than was answered");
}

#[test]
fn where_descriptors_are_few_connections_leave_enough_to_the_log() {
    let data = TempDir::new().unwrap();
    let program = Program::command(data.path(), &["--segment-bytes", "1024"]);
    let mut command = Command::new("sh");
    // The first limit is the lower one, and may be raised to the second.
    let script = "ulimit -Sn 40 && ulimit -Hn 80 && exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(program.get_program());
    command.args(program.get_args()).stdout(Stdio::piped());
    let variables = program.get_envs();
    command.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    let program = Program::start(command);
    append_and_read(&mut program.client(), 1);
    let idle = (0..100).map(|_| TcpStream::connect(program.address).unwrap());
    let _idle = idle.collect::<Vec<_>>();
    let mut client = program.client();
    // Over many segments.
    append_and_read(&mut client, 300);
    for offset in (0..300).step_by(7) {
        let answer = client.call(&format!("GET /?offset={offset}"), "");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let segments = fs::read_dir(data.path().join("logs/default/segments"))
        .unwrap()
        .count()
        / 2;
    assert!(segments > 10, "{segments}");
}
