//! Shared by the tests: a log with a hook, a server on a port, and a client that sends arbitrary bytes.
#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod router;

use std::fmt;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use proglog_log::{
    Append, CommitLog, Follow, MemoryLog, Notify, Offset, OffsetBounds, ReadLog, Records, Result,
    StoredRecord, Ticket,
};
use proglog_server::ServerOptions;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// Longer than any test takes: a wait that reaches it fails the test.
pub(crate) const NEVER: Duration = Duration::from_mins(1);
/// A timeout that a test waits for.
pub(crate) const SOON: Duration = Duration::from_millis(300);

/// Tries until there is a value, for a limited time.
pub(crate) fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(begun.elapsed() < NEVER, "it never happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// An in-memory log that calls a hook before each append and read.
pub(crate) struct HookedLog {
    pub(crate) inner: MemoryLog,
    pub(crate) before: Box<dyn Fn() -> Result<()> + Send + Sync>,
}

impl HookedLog {
    pub(crate) fn new(before: impl Fn() -> Result<()> + Send + Sync + 'static) -> Arc<Self> {
        let (inner, before) = (MemoryLog::new(), Box::new(before));
        Arc::new(Self { inner, before })
    }
}

impl ReadLog for HookedLog {
    fn name(&self) -> &'static str {
        "hooked"
    }
    fn read(&self, offset: Offset) -> Result<StoredRecord> {
        (self.before)()?;
        self.inner.read(offset)
    }
    fn records(&self, range: OffsetBounds) -> Records {
        self.inner.records(range)
    }
    fn follow(&self, from: Offset) -> Follow {
        self.inner.follow(from)
    }
    fn start_offset(&self) -> Offset {
        self.inner.start_offset()
    }
    fn end_offset(&self) -> Offset {
        self.inner.end_offset()
    }
}

impl CommitLog for HookedLog {
    fn changes(&self) -> Notify {
        self.inner.changes()
    }
    fn submit_append(&self, append: Append) -> Result<Ticket> {
        (self.before)()?;
        self.inner.submit_append(append)
    }
    fn trim(&self, start: Offset) -> Result<()> {
        self.inner.trim(start)
    }
    fn sync(&self) -> Result<()> {
        self.inner.sync()
    }
    fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

impl fmt::Debug for HookedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookedLog").finish_non_exhaustive()
    }
}

/// A server on a free port, with its own runtime and thread.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestServer {
    pub(crate) fn start(options: ServerOptions, log: Arc<dyn CommitLog>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, signal) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let signal = async { signal.await.unwrap_or_default() };
            runtime.block_on(async {
                let listener = TcpListener::from_std(listener).unwrap();
                options.serve(listener, log, signal).await;
            });
        });
        Self {
            address,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Starts a shutdown.
    pub(crate) fn shut_down(&mut self) {
        // Dropping the sender is the signal.
        self.shutdown = None;
    }

    /// Shuts it down and waits for its end.
    pub(crate) fn join(&mut self) {
        self.shut_down();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// The program as users start it. Dropping it kills the process.
pub(crate) struct Program {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// Standard output after the first line.
    pub(crate) output: BufReader<ChildStdout>,
}

impl Program {
    /// A command with `arguments` and settings for tests.
    pub(crate) fn command(data: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_proglog-server"));
        command
            .env("PROGLOG_LISTEN", "127.0.0.1:0")
            .env("PROGLOG_DATA_DIR", data);
        command.args(arguments).env("RUST_LOG", "warn");
        command.stdout(Stdio::piped());
        command
    }

    /// Starts `command` and waits for the line with its address.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on http://").map(str::trim_end);
        let address = address
            .unwrap_or_else(|| panic!("{line:?}"))
            .parse()
            .unwrap();
        Self {
            child,
            address,
            output,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends the signal of this name.
    #[cfg(unix)]
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(sent.success());
    }

    /// Shuts it down and checks that it ends well.
    #[cfg(unix)]
    pub(crate) fn end(&mut self) {
        self.signal("TERM");
        let ended = eventually(|| self.child.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0), "{ended}");
    }

    /// Kills the process, as `kill -9` does, and waits for its end.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn code(&self) -> String {
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert!(self.head.contains("content-type: application/problem+json"));
        assert_eq!(problem["status"], self.status);
        problem["code"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(NEVER)).unwrap();
        let stream = BufReader::new(stream);
        Self { stream }
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a whole request and returns the response.
    pub(crate) fn call(&mut self, line: &str, body: &str) -> Answer {
        self.send(request(line, body));
        self.answer().unwrap()
    }

    /// Reads the next response, or `None` if the connection was closed instead.
    pub(crate) fn answer(&mut self) -> Option<Answer> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            match self.stream.read_line(&mut head) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no answer and no end: {error}"),
            }
        }
        let head = head.to_lowercase();
        let status = head.split(' ').nth(1)?.parse().unwrap();
        let length = head.split("content-length: ").nth(1);
        let length = length.map_or(0, |rest| rest.lines().next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).unwrap();
        let body = String::from_utf8(body).unwrap();
        Some(Answer { status, head, body })
    }

    /// Returns whether nothing arrives for a while.
    pub(crate) fn hears_nothing(&mut self) -> bool {
        self.socket().set_read_timeout(Some(SOON)).unwrap();
        let waits = self.stream.fill_buf().is_err();
        self.socket().set_read_timeout(Some(NEVER)).unwrap();
        waits
    }
}

pub(crate) fn request(line: &str, body: &str) -> String {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n{body}")
}
