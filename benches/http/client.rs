//! The client: connections that each send a request, wait for the response, and send the next.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use benches::median;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Builder;
use tokio::task::JoinSet;

/// The requests of one connection: the bytes of each, whole.
pub(crate) type Requests = Box<dyn FnMut() -> Vec<u8> + Send>;

/// What a server has done in a round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    /// Requests answered with 200 a second.
    pub(crate) rate: f64,
    /// The median time of a request.
    pub(crate) p50: Duration,
}

/// Sends requests for `time` over as many connections as there are `requests`, from one thread.
pub(crate) fn round(
    address: SocketAddr,
    time: Duration,
    requests: Vec<Requests>,
) -> io::Result<Round> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut connections = Vec::new();
        for requests in requests {
            connections.push((Connection::open(address).await?, requests));
        }
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for (connection, requests) in connections {
            tasks.spawn(connection.send_until(begun + time, requests));
        }
        let mut times = Vec::new();
        while let Some(ended) = tasks.join_next().await {
            times.extend(ended.map_err(io::Error::other)??);
        }
        #[expect(clippy::cast_precision_loss, reason = "a number of requests")]
        let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
        Ok(Round {
            rate,
            p50: Duration::from_secs_f64(median(&times)),
        })
    })
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// Sends requests up to `end`, at least one, and returns the time of each in seconds.
    async fn send_until(mut self, end: Instant, mut requests: Requests) -> io::Result<Vec<f64>> {
        let mut times = Vec::new();
        loop {
            let request = requests();
            let sent = Instant::now();
            self.stream.write_all(&request).await?;
            self.receive().await?;
            let received = Instant::now();
            times.push((received - sent).as_secs_f64());
            if received >= end {
                return Ok(times);
            }
        }
    }

    /// Receives one response, which must be a success.
    async fn receive(&mut self) -> io::Result<()> {
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(len) = response_len(&self.buffer)?
                && self.buffer.len() >= len
            {
                return Ok(());
            }
        }
    }
}

/// Returns the length of the response that `bytes` begins with, once its head is there. An error if it is no success.
fn response_len(bytes: &[u8]) -> io::Result<Option<usize>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    let invalid = |what| io::Error::new(io::ErrorKind::InvalidData, what);
    let httparse::Status::Complete(head_len) = head.parse(bytes).map_err(io::Error::other)? else {
        return Ok(None);
    };
    if head.code != Some(200) {
        return Err(invalid(String::from_utf8_lossy(bytes).into_owned()));
    }
    let mut headers = head.headers.iter();
    let length = headers.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|header| {
        std::str::from_utf8(header.value)
            .ok()?
            .parse::<usize>()
            .ok()
    });
    let length = length.ok_or_else(|| invalid("a response without a length".to_owned()))?;
    Ok(Some(head_len + length))
}
