//! Errors of calls, and the table that maps each to a status, a stable code and facts.

mod broker;
mod detail;
mod problem;

use std::any::Any;
use std::time::Duration;

use axum::http::StatusCode;
use proglog_broker::LogId;
use proglog_log::{ErrorKind, Offset, Offsets, Outcome};

/// The result of a call.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a call.
#[derive(Debug)]
pub(crate) enum Error {
    /// The query string does not fit the call.
    MalformedQuery(String),
    /// The body is not the message of the call.
    MalformedBody(String),
    /// A header does not fit the call.
    MalformedHeader(String),
    /// A part of the path is no name.
    MalformedName(String),
    /// The headers that name a producer are not valid.
    MalformedProducer(String),
    /// Parameters exclude each other.
    ConflictingParameters(String),
    /// The body ended early, or its HTTP framing is wrong.
    IncompleteBody,
    /// A read names no offset.
    MissingOffset,
    /// A read names different offsets in its query and body.
    ConflictingOffsets { query: u64, body: u64 },
    /// A log is deleted only if the query repeats its name.
    ConfirmationMissing,
    /// The body is compressed, or otherwise encoded.
    UnsupportedEncoding,
    /// The call does not know the media type of the body.
    UnsupportedType { known: &'static str },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than any valid one.
    BodyTooLarge { max: usize },
    /// The value is larger than the server's limit.
    RecordTooLarge { len: usize, max: usize },
    /// The headers of the records alone exceed the limit on their size.
    TooManyHeaders { max: usize },
    /// The batch has more records than it may.
    TooManyRecords { max: usize },
    /// There is nothing at this path.
    UnknownPath,
    /// The path exists, the method does not. The router adds the `Allow` header.
    UnknownMethod,
    /// A web page that is not the server's has sent the request.
    CrossOrigin(String),
    /// The connection is one too many. The limit on connections logs this.
    TooManyConnections,
    /// There are as many followers as there may be.
    TooManyFollowers { max: usize },
    /// The server is shutting down.
    Draining,
    /// A handler panicked, outside the log.
    Panicked,
    /// The log was deleted and made again since the client asked for its id.
    LogChanged { id: LogId },
    /// The log does not know the producer.
    ProducerNotFound,
    /// The offset asked for is past the log's end.
    BeyondEnd { offset: Offset, offsets: Offsets },
    /// The offset asked for is below the log's start.
    BelowStart { offset: Offset, offsets: Offsets },
    /// An append failed.
    Append(Failure),
    /// An append expected another end of the log. The client wants to see the records since then.
    EndMoved {
        expected: Offset,
        end: Offset,
        missed: Option<Missed>,
    },
    /// A line of a stream is wrong, or was not appended. Those before it were.
    Line {
        line: u64,
        records: u64,
        error: Box<Self>,
    },
    /// The record at this offset could not be read.
    Read { offset: u64, failure: Failure },
    /// Another call failed.
    Call(Failure),
}

/// Records that a writer has missed.
#[derive(Debug)]
pub(crate) struct Missed {
    /// A JSON array.
    pub(crate) records: String,
    pub(crate) next_offset: u64,
}

/// A failed call into the broker, or into one of its logs.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The broker returned an error.
    Broker(proglog_broker::Error),
    /// The log is only read.
    ReadOnly,
    /// The log did not answer in time.
    Timeout,
}

impl From<proglog_broker::Error> for Failure {
    fn from(error: proglog_broker::Error) -> Self {
        Self::Broker(error)
    }
}

impl From<proglog_log::Error> for Failure {
    fn from(error: proglog_log::Error) -> Self {
        Self::Broker(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Call(failure)
    }
}

impl From<proglog_broker::Error> for Error {
    fn from(error: proglog_broker::Error) -> Self {
        Self::Call(error.into())
    }
}

impl Error {
    /// The error for the panic of a handler, which it logs.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        tracing::error!(panic = text.unwrap_or("no text"), "a handler panicked");
        Self::Panicked
    }

    /// The table: the status and the stable code of each error.
    pub(crate) fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MalformedQuery(_) => (StatusCode::BAD_REQUEST, "malformed_query"),
            Self::MalformedBody(_) => (StatusCode::BAD_REQUEST, "malformed_body"),
            Self::MalformedHeader(_) => (StatusCode::BAD_REQUEST, "malformed_header"),
            Self::MalformedName(_) => (StatusCode::BAD_REQUEST, "malformed_name"),
            Self::MalformedProducer(_) => (StatusCode::BAD_REQUEST, "malformed_producer"),
            Self::ConflictingParameters(_) => (StatusCode::BAD_REQUEST, "conflicting_parameters"),
            Self::IncompleteBody => (StatusCode::BAD_REQUEST, "incomplete_body"),
            Self::MissingOffset => (StatusCode::BAD_REQUEST, "missing_offset"),
            Self::ConflictingOffsets { .. } => (StatusCode::BAD_REQUEST, "conflicting_offsets"),
            Self::CrossOrigin(_) => (StatusCode::FORBIDDEN, "cross_origin"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path"),
            Self::ProducerNotFound => (StatusCode::NOT_FOUND, "producer_not_found"),
            Self::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, "unknown_method"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BelowStart { .. } => (StatusCode::GONE, "record_trimmed"),
            Self::EndMoved { .. } => (StatusCode::PRECONDITION_FAILED, "end_moved"),
            Self::LogChanged { .. } => (StatusCode::PRECONDITION_FAILED, "log_changed"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::RecordTooLarge { .. } | Self::TooManyHeaders { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large")
            }
            Self::TooManyRecords { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "batch_too_large"),
            Self::UnsupportedEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding")
            }
            Self::UnsupportedType { .. } => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_type")
            }
            Self::BeyondEnd { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "beyond_end"),
            Self::ConfirmationMissing => (StatusCode::UNPROCESSABLE_ENTITY, "confirmation_missing"),
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"),
            Self::TooManyFollowers { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "too_many_followers")
            }
            Self::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::Line { error, .. } => error.status_and_code(),
            Self::Append(failure) | Self::Read { failure, .. } | Self::Call(failure) => {
                failure.status_and_code()
            }
        }
    }

    /// Returns how long to wait before another try, of errors that may pass with time alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooManyConnections | Self::TooManyFollowers { .. } | Self::Draining => {
                Some(Duration::from_secs(1))
            }
            Self::Line { error, .. } => error.retry_after(),
            Self::Append(failure) | Self::Read { failure, .. } | Self::Call(failure) => {
                failure.retry_after()
            }
            _ => None,
        }
    }

    /// The failure of a call, if one has failed.
    fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Append(failure) | Self::Read { failure, .. } | Self::Call(failure) => {
                Some(failure)
            }
            Self::Line { error, .. } => error.failure(),
            _ => None,
        }
    }
}

impl Failure {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Broker(error) => broker::status_and_code(error),
            Self::ReadOnly => (StatusCode::FORBIDDEN, "read_only"),
            Self::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "log_timeout"),
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Broker(error) => broker::retry_after(error),
            Self::ReadOnly => None,
            Self::Timeout => Some(Duration::from_secs(1)),
        }
    }

    /// The error of the log, if it returned one.
    pub(crate) fn of_log(&self) -> Option<&proglog_log::Error> {
        match self {
            Self::Broker(error) => broker::of_log(error),
            Self::ReadOnly | Self::Timeout => None,
        }
    }

    /// The kind of the log's error, if it returned one.
    pub(crate) fn kind(&self) -> Option<ErrorKind> {
        self.of_log().map(proglog_log::Error::kind)
    }

    /// The outcome of an append with this failure.
    fn outcome(&self) -> &'static str {
        let outcome = match self {
            Self::Broker(error) => error.outcome(),
            Self::ReadOnly => Outcome::NotAppended,
            Self::Timeout => Outcome::Unknown,
        };
        match outcome {
            Outcome::NotAppended => "not_appended",
            Outcome::Unknown => "unknown",
        }
    }
}
