//! The server, as a process of its own, and connections to it.

use std::fs;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use proglog_api::json;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

/// Longer than any answer takes.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// The address space of a thread's stack in the server, of which it uses little.
const STACK_BYTES: u64 = 64 << 20;

/// A server that is running. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

impl Server {
    /// Starts the program and waits until it prints its address.
    pub(crate) fn start(program: &Path, data: &Path, durability: &str) -> anyhow::Result<Self> {
        let mut errors = tempfile::tempfile().context("cannot make a file")?;
        let mut child = Command::new(program)
            .args(["--listen", "127.0.0.1:0", "--durability", durability])
            // Small ones, so that it is rolled often.
            .args(["--segment-bytes", "16384", "--data-dir"])
            .arg(data)
            .env("RUST_LOG", "warn")
            .env("RUST_MIN_STACK", STACK_BYTES.to_string())
            .stdout(Stdio::piped())
            .stderr(errors.try_clone()?)
            .spawn()
            .with_context(|| format!("cannot run {}", program.display()))?;
        let output = child.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        let mut server = Self {
            child,
            url: String::new(),
        };
        read?;
        let Some(address) = line.strip_prefix("listening on ") else {
            server.kill();
            errors.rewind()?;
            bail!("the server does not start: {}", io::read_to_string(errors)?);
        };
        address.trim_end().clone_into(&mut server.url);
        Ok(server)
    }

    /// As `kill -9` does. Waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Keeps the server from starting threads from here on: it gets no address space for another stack.
    pub(crate) fn deny_threads(&self) -> anyhow::Result<()> {
        let mut before = self.size()?;
        // Threads that it has begun to start get their memory.
        loop {
            thread::sleep(Duration::from_millis(200));
            let now = self.size()?;
            if now == before {
                return self.limit(Resource::As, now + STACK_BYTES / 2);
            }
            before = now;
        }
    }

    /// The bytes that the server has mapped.
    fn size(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
        let kibibytes = size.and_then(|size| size.trim().strip_suffix(" kB"));
        let kibibytes: u64 = kibibytes.context("there is no size")?.parse()?;
        Ok(kibibytes << 10)
    }

    /// Lets the server open one more file from here on.
    pub(crate) fn deny_descriptors(&self) -> anyhow::Result<()> {
        let open = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        self.limit(Resource::Nofile, open.count() as u64 + 1)
    }

    fn limit(&self, resource: Resource, limit: u64) -> anyhow::Result<()> {
        let limits = Rlimit {
            current: Some(limit),
            maximum: Some(limit),
        };
        prlimit(Some(Pid::from_child(&self.child)), resource, limits)?;
        Ok(())
    }

    pub(crate) fn connect(&self) -> Connection {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None);
        let agent = config.timeout_global(Some(ANSWER_MAX)).build().into();
        let url = format!("{}/", self.url);
        Connection { agent, url }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A connection; `None` is answered where it broke.
#[derive(Debug)]
pub(crate) struct Connection {
    agent: ureq::Agent,
    url: String,
}

impl Connection {
    /// The offset of the record, once it is appended.
    pub(crate) fn append(&self, record: Vec<u8>) -> Option<Result<u64, String>> {
        let record = Bytes::from(record);
        let request = serde_json::to_vec(&json::ProduceRequest { record }).ok()?;
        let response = self.agent.post(&self.url).send(&request);
        let (status, body) = body(response)?;
        let offset = serde_json::from_slice(&body).map(|json::ProduceResponse { offset }| offset);
        Some(offset.map_err(|_| answer(status, &body)))
    }

    /// The value of the record, if there is one.
    pub(crate) fn read(&self, offset: u64) -> Option<Result<Option<Bytes>, String>> {
        let response = self
            .agent
            .get(format!("{}?offset={offset}", self.url))
            .call();
        let (status, body) = body(response)?;
        if status == 404 {
            return Some(Ok(None));
        }
        let record = serde_json::from_slice(&body).map(|json::ConsumeResponse { record }| record);
        Some(record.map(Some).map_err(|_| answer(status, &body)))
    }
}

type Response = ureq::http::Response<ureq::Body>;

fn body(response: Result<Response, ureq::Error>) -> Option<(u16, Vec<u8>)> {
    let mut response = response.ok()?;
    let body = response.body_mut().read_to_vec().ok()?;
    Some((response.status().as_u16(), body))
}

fn answer(status: u16, body: &[u8]) -> String {
    format!("status {status}: {}", String::from_utf8_lossy(body))
}
