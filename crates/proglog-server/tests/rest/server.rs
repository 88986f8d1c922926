//! A server of logs in memory, and a client of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use proglog_broker::{Backend, Broker, BrokerOptions, Memory};
use proglog_server::ServerOptions;
use serde_json::Value;
use tokio::sync::oneshot;

/// Longer than any test takes: a wait that reaches it fails the test.
pub(crate) const NEVER: Duration = Duration::from_mins(1);

/// A server on a free port, with its own runtime and thread.
pub(crate) struct Server {
    address: SocketAddr,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server of logs in memory.
    pub(crate) fn start() -> Self {
        Self::with(Arc::new(Memory::new()), ServerOptions::new())
    }

    pub(crate) fn with(backend: Arc<dyn Backend>, options: ServerOptions) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (shutdown, signal) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let thread = std::thread::spawn(move || {
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                let broker = Broker::open(backend, BrokerOptions::new()).await.unwrap();
                let signal = async { signal.await.unwrap_or_default() };
                options.serve_broker(listener, broker.clone(), signal).await;
                broker.close().await.unwrap();
            });
        });
        Self {
            address,
            shutdown: Some(shutdown),
            thread: Some(thread),
        }
    }

    /// Starts a shutdown.
    pub(crate) fn shut_down(&mut self) {
        // Dropping the sender is the signal.
        self.shutdown = None;
    }

    /// Shuts it down and waits for its end.
    pub(crate) fn join(mut self) {
        self.shut_down();
        self.thread.take().unwrap().join().unwrap();
    }

    /// Begins a request on a new connection.
    pub(crate) fn request(&self, line: &str) -> Request {
        Request {
            address: self.address,
            head: format!("{line} HTTP/1.1\r\nconnection: close\r\n"),
            host: "localhost".into(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path}")).send("")
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        self.request(&format!("POST {path}")).send(body)
    }

    pub(crate) fn put(&self, path: &str, body: &str) -> Answer {
        self.request(&format!("PUT {path}")).send(body)
    }

    /// Creates the log of this name.
    pub(crate) fn create(&self, name: &str) {
        assert_eq!(self.put(&format!("/v1/logs/{name}"), "").status, 201);
    }

    /// Appends these texts, each as a record.
    pub(crate) fn append(&self, log: &str, texts: &[&str]) {
        let records: Vec<_> = texts
            .iter()
            .map(|text| serde_json::json!({"text": text}))
            .collect();
        let body = serde_json::json!({ "records": records }).to_string();
        let answer = self.post(&format!("/v1/logs/{log}/records"), &body);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut_down();
    }
}

/// A request that is not sent yet.
pub(crate) struct Request {
    address: SocketAddr,
    head: String,
    host: String,
}

impl Request {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head += &[name, ": ", value, "\r\n"].concat();
        self
    }

    pub(crate) fn host(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// Returns a connection on which nothing was sent.
    pub(crate) fn raw(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(NEVER)).unwrap();
        BufReader::new(stream)
    }

    /// Sends the head, and returns the connection.
    pub(crate) fn open(self) -> BufReader<TcpStream> {
        let mut stream = self.raw();
        let head = format!("{}host: {}\r\n\r\n", self.head, self.host);
        stream.get_mut().write_all(head.as_bytes()).unwrap();
        stream
    }

    /// Sends the request with this body, and returns the response.
    pub(crate) fn send(self, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let is_head = self.head.starts_with("HEAD");
        let mut stream = self
            .header("content-length", &body.len().to_string())
            .open();
        stream.get_mut().write_all(body).unwrap();
        Answer::read(&mut stream, is_head)
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The status line and headers, in lower case.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads a response to the end of the connection.
    pub(crate) fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> Self {
        let head = head(stream);
        let mut body = Vec::new();
        stream.read_to_end(&mut body).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let answer = Self { status, head, body };
        let length = answer.header("content-length");
        if !length.is_empty() && !is_head {
            assert_eq!(length, answer.body.len().to_string());
        }
        answer
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let start = format!("{name}: ");
        let line = self
            .head
            .lines()
            .find_map(|line| line.strip_prefix(&*start));
        line.unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The status and code of an error, after checking that it is a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text()
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (self.status, problem["code"].as_str().unwrap().into())
    }
}

/// Reads the head of a response, in lower case.
pub(crate) fn head(stream: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(
            stream.read_line(&mut head).unwrap() > 0,
            "no answer: {head:?}"
        );
    }
    head.to_lowercase()
}

pub(crate) fn problem(status: u16, code: &str) -> (u16, String) {
    (status, code.into())
}
