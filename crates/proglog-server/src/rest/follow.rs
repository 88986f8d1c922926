//! Streams of records that go on at the end of the log: server-sent events, and lines of JSON.
//!
//! A follower is an offset. Its body is made as the client takes it, a piece at a time, from what the log has at that
//! time; so nothing is queued for a slow client, and there is no limit to how slow it may be.

use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt};
use futures::stream;
use proglog_api::json::Form;
use proglog_broker::Handle;
use proglog_log::{ErrorKind, Offset, Offsets, Reason, StoredRecord};
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};

use crate::error::{Error, Failure, Result};
use crate::rest::answer;
use crate::rest::negotiate::Media;
use crate::rest::parameters::Parameters;
use crate::rest::start::{Outside, Start};
use crate::state::{App, FOLLOWERS_MAX};

/// The most records and bytes of values that are read for a piece of the body.
const RECORDS_MAX: usize = 1_000;
const BYTES_MAX: usize = 64 << 10;

/// The silence after which an empty comment or line is sent.
const SILENCE: Duration = Duration::from_secs(15);

const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Returns the stream of `log`, as events or lines. `resumed` is where a stream before it ended.
pub(crate) async fn answer(
    app: App,
    log: Handle,
    media: Media,
    parameters: Parameters,
    resumed: Option<Start>,
) -> Result<Response> {
    if app.draining.has_begun() {
        return Err(Error::Draining);
    }
    let permit = Arc::clone(&app.followers).try_acquire_owned();
    let permit = permit.map_err(|_| Error::TooManyFollowers { max: FOLLOWERS_MAX })?;
    let outside = if parameters.clamps {
        Outside::Clamped
    } else {
        Outside::Trimmed
    };
    let start = resumed.unwrap_or(parameters.start);
    let place = start.find(&app, &log, outside).await?;
    let follower = Follower {
        ends: log.ends(),
        draining: app.draining.begun().boxed(),
        app,
        log,
        next: place.offset,
        writer: Writer {
            is_events: media == Media::Events,
            form: parameters.form,
        },
        skips_damaged: parameters.skips_damaged,
        phase: Phase::Begins {
            is_trimmed: place.clamped_from.is_some_and(|asked| asked < place.offset),
        },
        _permit: permit,
    };
    let pieces = stream::unfold(follower, async |mut follower| {
        let piece = follower.piece().await?;
        Some((Ok::<_, Infallible>(piece), follower))
    });
    let mut response = answer::with_body(media, Body::from_stream(pieces));
    let headers = response.headers_mut();
    let caching = HeaderValue::from_static("no-store, no-transform");
    headers.insert(header::CACHE_CONTROL, caching);
    headers.insert(BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// A stream of a log, as far as it was sent.
struct Follower {
    app: App,
    log: Handle,
    ends: watch::Receiver<Offsets>,
    draining: BoxFuture<'static, ()>,
    /// The record that is sent next.
    next: Offset,
    writer: Writer,
    skips_damaged: bool,
    phase: Phase,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begins {
        /// True if the stream was to begin below the start of the log.
        is_trimmed: bool,
    },
    Runs,
    Ended,
}

impl Follower {
    /// Returns the next piece of the body, which is not empty; `None` at its end.
    async fn piece(&mut self) -> Option<Bytes> {
        let mut piece = Vec::new();
        match self.phase {
            Phase::Begins { is_trimmed } => {
                self.phase = Phase::Runs;
                self.writer.begin(&mut piece);
                if is_trimmed {
                    self.trimmed(self.next, &mut piece);
                }
            }
            Phase::Runs => {}
            Phase::Ended => return None,
        }
        while piece.is_empty() {
            if self.app.draining.has_begun() {
                self.end(&mut piece);
                break;
            }
            let read = self.log.read(self.next, RECORDS_MAX, BYTES_MAX);
            match self.app.in_time(read).await {
                Ok(records) if records.is_empty() => self.wait(&mut piece).await,
                Ok(records) => self.records(records, &mut piece),
                Err(failure) => self.failed(failure, &mut piece),
            }
        }
        Some(piece.into())
    }

    fn records(&mut self, records: Vec<StoredRecord>, piece: &mut Vec<u8>) {
        for record in records {
            self.next = record.offset.saturating_add(1);
            self.writer.record(record, piece);
        }
    }

    /// Waits for a change of the log, the shutdown of the server, or too long a silence.
    async fn wait(&mut self, piece: &mut Vec<u8>) {
        let next = self.next;
        let changed = tokio::select! {
            changed = self.ends.wait_for(|offsets| offsets.end > next) => changed.is_ok(),
            () = &mut self.draining => true,
            () = tokio::time::sleep(SILENCE) => {
                self.writer.silence(piece);
                true
            }
        };
        if !changed && let Err(error) = self.reopen().await {
            self.fail(&error, piece);
        }
    }

    /// Gets the log again, which was closed to be opened again, or for good.
    async fn reopen(&mut self) -> Result<()> {
        let log = self.app.log(self.log.name()).await?;
        if log.id() != self.log.id() {
            return Err(Error::LogChanged { id: log.id() });
        }
        self.ends = log.ends();
        self.log = log;
        Ok(())
    }

    /// Continues after a failed read, if that is possible.
    fn failed(&mut self, failure: Failure, piece: &mut Vec<u8>) {
        let offset = self.next;
        match failure.of_log().map(|error| &error.reason) {
            Some(&Reason::Trimmed { start, .. }) => self.trimmed(start, piece),
            Some(&Reason::OutOfRange { start, end, .. }) => {
                let offsets = Offsets::new(start, end);
                self.fail(&Error::BeyondEnd { offset, offsets }, piece);
            }
            _ if self.skips_damaged && failure.kind() == Some(ErrorKind::Corrupt) => {
                self.next = offset.saturating_add(1);
                self.writer.damaged(offset.get(), self.next.get(), piece);
            }
            _ => {
                let offset = offset.get();
                self.fail(&Error::Read { offset, failure }, piece);
            }
        }
    }

    /// Continues at `start`, the start of the log.
    fn trimmed(&mut self, start: Offset, piece: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Trimmed {
            start_offset: u64,
        }
        self.next = start;
        let start_offset = start.get();
        self.writer
            .event("trimmed", &Trimmed { start_offset }, piece);
    }

    /// Ends the stream with an error.
    fn fail(&mut self, error: &Error, piece: &mut Vec<u8>) {
        self.phase = Phase::Ended;
        self.writer.event("error", &error.problem(), piece);
    }

    /// Ends the stream, since the server shuts down.
    fn end(&mut self, piece: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct End {
            reason: &'static str,
            next_offset: u64,
        }
        self.phase = Phase::Ended;
        let end = End {
            reason: "draining",
            next_offset: self.next.get(),
        };
        self.writer.event("end", &end, piece);
    }
}

/// Writes records and events.
#[derive(Debug, Clone, Copy)]
struct Writer {
    /// True for server-sent events, false for lines.
    is_events: bool,
    form: Form,
}

impl Writer {
    /// Writes how long clients wait before they connect again: not all at once.
    fn begin(self, piece: &mut Vec<u8>) {
        if self.is_events {
            let jitter = RandomState::new().build_hasher().finish() % 2_001;
            piece.extend_from_slice(format!("retry: {}\n\n", 1_000 + jitter).as_bytes());
        }
    }

    fn silence(self, piece: &mut Vec<u8>) {
        let silence: &[u8] = if self.is_events { b":\n\n" } else { b"\n" };
        piece.extend_from_slice(silence);
    }

    fn record(self, record: StoredRecord, piece: &mut Vec<u8>) {
        if self.is_events {
            piece.extend_from_slice(format!("id: {}\ndata: ", record.offset).as_bytes());
        }
        self.form.write_record(&record.into(), piece);
        self.finish(piece);
    }

    /// Writes records that are left out. A stream that is resumed leaves them out, too.
    fn damaged(self, from: u64, to: u64, piece: &mut Vec<u8>) {
        if self.is_events {
            piece.extend_from_slice(format!("id: {}\n", to.saturating_sub(1)).as_bytes());
        }
        self.event("damaged", &Damaged { from, to }, piece);
    }

    fn event(self, event: &'static str, data: &impl Serialize, piece: &mut Vec<u8>) {
        #[derive(Serialize)]
        struct Line<'a, T> {
            event: &'static str,
            #[serde(flatten)]
            data: &'a T,
        }
        let json = if self.is_events {
            piece.extend_from_slice(format!("event: {event}\ndata: ").as_bytes());
            serde_json::to_vec(data)
        } else {
            serde_json::to_vec(&Line { event, data })
        };
        piece.extend_from_slice(&json.expect("numbers and text always serialize"));
        self.finish(piece);
    }

    fn finish(self, piece: &mut Vec<u8>) {
        let end: &[u8] = if self.is_events { b"\n\n" } else { b"\n" };
        piece.extend_from_slice(end);
    }
}

/// Records that are left out: `from` up to `to`, without `to`.
#[derive(Serialize)]
struct Damaged {
    from: u64,
    to: u64,
}

/// Writes the line of records that are left out.
pub(crate) fn write_damaged(from: u64, to: u64, lines: &mut Vec<u8>) {
    let writer = Writer {
        is_events: false,
        form: Form::Base64,
    };
    writer.damaged(from, to, lines);
}
