//! Appends of streams: a record a line.
//!
//! The lines that have arrived are appended as one batch, up to a limit. While that is under way, further lines are read,
//! which are the next batch. So a slow stream is appended line by line, and a fast one in large batches.
//!
//! A producer numbers its lines. A stream that broke off is sent again whole, and the log recognizes the batches that it
//! has: none reaches over the first line that is new. Their answers wait until the first ones are durable.

use std::mem;
use std::pin::Pin;
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use proglog_api::json::{self, StreamResponse};
use proglog_api::v1;
use proglog_broker::{AppendPermit, Appended};
use proglog_log::Record;

use crate::error::{Error, Result};
use crate::rest::answer;
use crate::rest::body::{self, discard, in_time};
use crate::rest::terms::{Terms, body_bytes_max};
use crate::state::App;

/// The most records of a batch.
const RECORDS_MAX: usize = 1_000;
/// The bytes of lines after which no further line is added to a batch.
const BYTES_MAX: usize = 1 << 20;

pub(crate) async fn append(app: &App, terms: Terms, body: Body) -> Result<Response> {
    let mut lines = Lines::new(app, &terms, body).await?;
    let mut appending = Appending::new(app, &terms);
    let failed = appending.run(&mut lines).await;
    let done = appending.done;
    match failed {
        Ok(()) => Ok(answer(&terms, done)),
        Err((line, error)) => {
            discard(lines.body, app.request_timeout).await;
            Err(Error::Line {
                line,
                records: done.records,
                error,
            })
        }
    }
}

fn answer(terms: &Terms, done: Done) -> Response {
    let durability = done.durability.unwrap_or_else(|| {
        // Nothing was appended.
        answer::durability(terms.log.meta().config.durability)
    });
    let mut response = answer::json(&StreamResponse {
        start_offset: done.start_offset,
        end_offset: done.end_offset,
        records: done.records,
        skipped: done.skipped,
        durability,
    });
    answer::set_durability(&mut response, durability);
    response
}

/// What was appended so far.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    start_offset: Option<u64>,
    end_offset: Option<u64>,
    records: u64,
    skipped: u64,
    durability: Option<json::Durability>,
}

/// The number of a line, from 1, and what is wrong with it.
type Failed = (u64, Box<Error>);

/// A batch that is being appended: its first line, its number of records, and the outcome.
type UnderWay<'a> = Pin<Box<dyn Future<Output = (u64, usize, Result<Appended>)> + Send + 'a>>;

/// The appending of a stream.
struct Appending<'a> {
    app: &'a App,
    terms: &'a Terms,
    /// The lines that are appended next.
    batch: Lot,
    under_way: Option<UnderWay<'a>>,
    /// The number of records in the batches before.
    begun: u64,
    done: Done,
}

/// Lines that become a batch.
#[derive(Default)]
struct Lot {
    /// The number of the line of each record.
    lines: Vec<u64>,
    records: Vec<Record>,
    bytes: usize,
}

impl Lot {
    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes >= BYTES_MAX
    }

    fn push(&mut self, line: u64, record: Record, bytes: usize) {
        self.lines.push(line);
        self.records.push(record);
        self.bytes += bytes;
    }

    /// Takes the first `len` lines, at most all.
    fn take(&mut self, len: usize) -> Self {
        let len = len.min(self.records.len());
        if len == self.records.len() {
            return mem::take(self);
        }
        // The bytes are those of all until the rest is taken.
        let rest = Self {
            lines: self.lines.split_off(len),
            records: self.records.split_off(len),
            bytes: self.bytes,
        };
        mem::replace(self, rest)
    }
}

impl<'a> Appending<'a> {
    fn new(app: &'a App, terms: &'a Terms) -> Self {
        Self {
            app,
            terms,
            batch: Lot::default(),
            under_way: None,
            begun: 0,
            done: Done::default(),
        }
    }

    /// Appends all lines. If one of them fails, those before it are appended.
    async fn run(&mut self, lines: &mut Lines) -> Result<(), Failed> {
        let failed = loop {
            match self.fill(lines) {
                Err(failed) => break Err(failed),
                Ok(()) if self.batch.is_full() => {
                    self.wait().await?;
                    self.begin();
                }
                Ok(()) if lines.is_ended => break Ok(()),
                Ok(()) => {
                    if let Err(error) = self.wait_for_more(lines).await? {
                        break Err((lines.number + 1, error.into()));
                    }
                }
            }
        };
        while self.under_way.is_some() || !self.batch.records.is_empty() {
            self.wait().await?;
            self.begin();
        }
        failed
    }

    /// Adds the lines that have arrived to the batch.
    fn fill(&mut self, lines: &mut Lines) -> Result<(), Failed> {
        while !self.batch.is_full() {
            let Some(line) = lines
                .take()
                .map_err(|error| (lines.number + 1, error.into()))?
            else {
                break;
            };
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let record = lines
                .parse(&line)
                .map_err(|error| (lines.number, error.into()))?;
            self.batch.push(lines.number, record, line.len());
        }
        lines.held = self.batch.bytes;
        Ok(())
    }

    /// Waits until more of the stream has arrived, and appends what has in the meantime. The inner error is that of the
    /// stream.
    async fn wait_for_more(&mut self, lines: &mut Lines) -> Result<Result<()>, Failed> {
        if self.under_way.is_none() {
            self.begin();
        }
        let Some(under_way) = &mut self.under_way else {
            return Ok(lines.read().await);
        };
        let outcome = tokio::select! {
            biased;
            outcome = under_way => outcome,
            read = lines.read() => return Ok(read),
        };
        self.under_way = None;
        self.count(outcome)?;
        Ok(Ok(()))
    }

    /// Begins to append the batch. None is under way.
    fn begin(&mut self) {
        let (app, terms, begun) = (self.app, self.terms, self.begun);
        let lot = self
            .batch
            .take(terms.known_after(begun).unwrap_or(usize::MAX));
        let Some(&first_line) = lot.lines.first() else {
            return;
        };
        self.begun += lot.records.len() as u64;
        self.under_way = Some(Box::pin(async move {
            let len = lot.records.len();
            let appended = terms.append_part(app, begun, lot.records.into()).await;
            (first_line, len, appended)
        }));
    }

    /// Waits for the batch that is under way.
    async fn wait(&mut self) -> Result<(), Failed> {
        match self.under_way.take() {
            Some(under_way) => self.count(under_way.await),
            None => Ok(()),
        }
    }

    /// Takes note of the outcome of a batch.
    fn count(&mut self, outcome: (u64, usize, Result<Appended>)) -> Result<(), Failed> {
        let (line, len, appended) = outcome;
        let appended = appended.map_err(|error| (line, error.into()))?;
        let done = &mut self.done;
        done.durability = Some(answer::durability(appended.durability));
        if appended.is_duplicate {
            done.skipped += len as u64;
        } else if let Some(offsets) = appended.offsets {
            done.records += len as u64;
            done.start_offset.get_or_insert(offsets.start.get());
            done.end_offset = Some(offsets.end.get());
        }
        Ok(())
    }
}

/// The lines of a body.
struct Lines {
    body: Body,
    /// What has arrived and is not taken yet.
    buffer: BytesMut,
    /// How much of the buffer has no end of a line.
    searched: usize,
    /// The number of lines that were taken.
    number: u64,
    /// When the last line was complete.
    last: Instant,
    is_ended: bool,
    /// Bytes of lines that were taken and are not appended yet.
    held: usize,
    permit: AppendPermit,
    app: App,
    record_bytes_max: usize,
}

impl Lines {
    async fn new(app: &App, terms: &Terms, body: Body) -> Result<Self> {
        let record_bytes_max = terms.log.meta().config.record_bytes_max;
        Ok(Self {
            body,
            buffer: BytesMut::new(),
            searched: 0,
            number: 0,
            last: Instant::now(),
            is_ended: false,
            held: 0,
            permit: app.broker().await?.admission().permit(),
            app: app.clone(),
            record_bytes_max: usize::try_from(record_bytes_max).unwrap_or(usize::MAX),
        })
    }

    /// Takes the next line, if all of it has arrived.
    fn take(&mut self) -> Result<Option<Bytes>> {
        let end = self.buffer[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let line = match end {
            Some(end) => {
                let mut line = self.buffer.split_to(self.searched + end + 1);
                line.truncate(line.len() - 1);
                line
            }
            // The last line need not have an end.
            None if self.is_ended && !self.buffer.is_empty() => self.buffer.split(),
            None => {
                self.searched = self.buffer.len();
                let max = body_bytes_max(self.record_bytes_max as u64);
                if self.searched > max {
                    return Err(Error::BodyTooLarge { max });
                }
                return Ok(None);
            }
        };
        self.searched = 0;
        self.number += 1;
        self.last = Instant::now();
        Ok(Some(line.freeze()))
    }

    /// Reads what arrives next. Nothing is lost if it is cancelled.
    async fn read(&mut self) -> Result<()> {
        let left = self.app.request_timeout.saturating_sub(self.last.elapsed());
        match in_time(left, body::next(&mut self.body)).await?? {
            Some(data) => self.buffer.extend_from_slice(&data),
            None => self.is_ended = true,
        }
        // What is being appended is at most as large.
        let bytes = self.buffer.len() + 2 * self.held;
        Ok(self.permit.grow_to(bytes).await?)
    }

    fn parse(&self, line: &[u8]) -> Result<Record> {
        let json::Record(record) = serde_json::from_slice(line).map_err(|error| {
            // The line has its own number.
            let text = error
                .to_string()
                .replace(" at line 1 column ", " at column ");
            Error::MalformedBody(text)
        })?;
        let (len, max) = (size(&record), self.record_bytes_max);
        if len > max {
            return Err(Error::RecordTooLarge { len, max });
        }
        Ok(record.into())
    }
}

/// The size of a record, as the limit on it counts.
fn size(record: &v1::Record) -> usize {
    let headers = record.headers.iter();
    let headers = headers.map(|header| header.name.len() + header.value.len() + 32);
    record.value.len() + record.key.as_ref().map_or(0, Bytes::len) + headers.sum::<usize>()
}
