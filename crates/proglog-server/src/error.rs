//! Errors of calls, and the table that maps each to a status, a stable code and facts.

use std::any::Any;
use std::error::Error as _;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proglog_log::{ErrorKind, Outcome, Reason};
use serde::Serialize;

/// An error of a call.
#[derive(Debug)]
pub(crate) enum Error {
    /// The query string is not a single valid `offset`.
    MalformedQuery(String),
    /// The body is not the message of the call.
    MalformedBody(String),
    /// The body ended early, or its HTTP framing is wrong.
    IncompleteBody,
    /// A read names no offset.
    MissingOffset,
    /// A read names different offsets in its query and body.
    ConflictingOffsets { query: u64, body: u64 },
    /// The body is compressed, or otherwise encoded.
    UnsupportedEncoding,
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body is larger than any valid one.
    BodyTooLarge { max: usize },
    /// The value is larger than the server's limit.
    RecordTooLarge { len: usize, max: usize },
    /// The headers of the record alone exceed the limit on its size.
    TooManyHeaders { max: usize },
    /// There is nothing at this path.
    UnknownPath,
    /// The path exists, the method does not. The router adds the `Allow` header.
    UnknownMethod,
    /// The connection is one too many. The limit on connections logs this.
    TooManyConnections,
    /// A handler panicked, outside the log.
    Panicked,
    /// An append failed.
    Append(Failure),
    /// The record at this offset could not be read.
    Read { offset: u64, failure: Failure },
}

/// A failed call into the log.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The log returned an error.
    Log(proglog_log::Error),
    /// The log is only read.
    ReadOnly,
    /// The log did not answer in time.
    Timeout,
    /// The log panicked.
    Panicked,
}

impl From<proglog_log::Error> for Failure {
    fn from(error: proglog_log::Error) -> Self {
        Self::Log(error)
    }
}

/// The detail of errors whose cause is for the operator alone.
const FAILED: &str = "the server failed; its log has the details";

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
            Self::IncompleteBody => (StatusCode::BAD_REQUEST, "incomplete_body"),
            Self::MissingOffset => (StatusCode::BAD_REQUEST, "missing_offset"),
            Self::ConflictingOffsets { .. } => (StatusCode::BAD_REQUEST, "conflicting_offsets"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path"),
            Self::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, "unknown_method"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::RecordTooLarge { .. } | Self::TooManyHeaders { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large")
            }
            Self::UnsupportedEncoding => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding")
            }
            Self::TooManyConnections => (StatusCode::SERVICE_UNAVAILABLE, "too_many_connections"),
            Self::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
            Self::Append(failure) | Self::Read { failure, .. } => failure.status_and_code(),
        }
    }

    /// The log's error, if the log returned one.
    fn of_log(&self) -> Option<&proglog_log::Error> {
        match self {
            Self::Append(Failure::Log(error))
            | Self::Read {
                failure: Failure::Log(error),
                ..
            } => Some(error),
            _ => None,
        }
    }

    /// The error in words, for the client. It holds no path and no message of the operating system.
    fn detail(&self) -> String {
        match self {
            Self::MalformedQuery(what) | Self::MalformedBody(what) => what.clone(),
            Self::IncompleteBody => "the body ended early or was not framed correctly".into(),
            Self::MissingOffset => {
                r#"give the offset as `/?offset=0` or as the JSON body `{"offset": 0}`"#.into()
            }
            Self::ConflictingOffsets { query, body } => {
                format!("the query asks for offset {query}, the body for offset {body}")
            }
            Self::UnknownPath => "there is nothing under this path".into(),
            Self::UnknownMethod => "this path does not know the method".into(),
            Self::BodyTimeout => "the body did not arrive in time".into(),
            Self::BodyTooLarge { max } => format!("the body is larger than {max} bytes"),
            Self::RecordTooLarge { len, max } => {
                format!("a record of {len} bytes is larger than the limit of {max}")
            }
            Self::TooManyHeaders { max } => {
                format!("the headers alone are over the limit of {max} bytes on a record")
            }
            Self::UnsupportedEncoding => "the body has to be sent without content encoding".into(),
            Self::Append(Failure::Timeout) => {
                "the log did not answer in time; the record may be stored".into()
            }
            Self::Append(failure) | Self::Read { failure, .. } => match failure {
                Failure::Log(error) => self.detail_of_log(error),
                Failure::ReadOnly => "this server only reads the log".into(),
                Failure::Timeout => "the log did not answer in time".into(),
                Failure::Panicked => FAILED.into(),
            },
            Self::TooManyConnections => {
                "the server has as many connections as it may; the request had no effect".into()
            }
            Self::Panicked => FAILED.into(),
        }
    }

    fn detail_of_log(&self, error: &proglog_log::Error) -> String {
        match error.kind() {
            // Their reasons hold offsets and sizes, and nothing else. The name of the log is not for clients.
            ErrorKind::OutOfRange | ErrorKind::Trimmed | ErrorKind::TooLarge => {
                error.reason.to_string()
            }
            ErrorKind::Corrupt => match self {
                Self::Read { offset, .. } => format!("the record at offset {offset} is damaged"),
                _ => "what the log has stored is damaged".into(),
            },
            ErrorKind::Io => "the log's storage failed".into(),
            ErrorKind::Closed => "the log is closed".into(),
            ErrorKind::Poisoned => {
                "an earlier failure stopped the log; it takes no more records until it is reopened"
                    .into()
            }
            ErrorKind::DiskFull => "there is no space for the record".into(),
            _ => FAILED.into(),
        }
    }

    /// The facts of the error, for programs.
    fn facts(&self) -> Facts {
        let mut facts = Facts::default();
        match self {
            Self::BodyTooLarge { max } | Self::TooManyHeaders { max } => {
                facts.bytes_max = Some(*max);
            }
            Self::RecordTooLarge { len, max } => {
                (facts.bytes, facts.bytes_max) = (Some(*len), Some(*max));
            }
            Self::Append(failure) => facts.outcome = Some(failure.outcome()),
            Self::Read { offset, .. } => facts.offset = Some(*offset),
            _ => {}
        }
        match self.of_log().map(|error| &error.reason) {
            Some(Reason::RecordTooLarge { len, max } | Reason::BatchTooLarge { len, max }) => {
                (facts.bytes, facts.bytes_max) = (Some(*len), Some(*max));
            }
            Some(Reason::OutOfRange { start, end, .. } | Reason::Trimmed { start, end, .. }) => {
                (facts.start_offset, facts.end_offset) = (Some(start.get()), Some(end.get()));
            }
            _ => {}
        }
        facts
    }

    /// The time before another try, of errors that may pass with time alone.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        let passing = match self {
            Self::TooManyConnections
            | Self::Append(Failure::Timeout)
            | Self::Read {
                failure: Failure::Timeout,
                ..
            } => true,
            _ => self
                .of_log()
                .is_some_and(|error| error.kind() == ErrorKind::Closed),
        };
        passing.then_some(Duration::from_secs(1))
    }

    /// The body of the response. Logs the cause of a server error for the operator.
    pub(crate) fn problem(&self) -> Problem {
        let (status, code) = self.status_and_code();
        self.report(status, code);
        Problem {
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: self.detail(),
            code,
            facts: self.facts(),
        }
    }

    /// Logs the cause of a server error for the operator.
    fn report(&self, status: StatusCode, code: &str) {
        if !status.is_server_error() || matches!(self, Self::TooManyConnections) {
            return;
        }
        if let Some(error) = self.of_log() {
            let source = error.source();
            tracing::error!(code, error = %error, source, "the log failed");
        } else {
            tracing::error!(code, "{}", self.detail());
        }
    }
}

impl Failure {
    fn status_and_code(&self) -> (StatusCode, &'static str) {
        let error = match self {
            Self::Log(error) => error,
            Self::ReadOnly => return (StatusCode::FORBIDDEN, "read_only"),
            Self::Timeout => return (StatusCode::SERVICE_UNAVAILABLE, "log_timeout"),
            Self::Panicked => return (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        };
        match error.kind() {
            ErrorKind::OutOfRange => (StatusCode::NOT_FOUND, "record_not_found"),
            ErrorKind::Trimmed => (StatusCode::GONE, "record_trimmed"),
            ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large"),
            ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "record_corrupt"),
            ErrorKind::Io => (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed"),
            ErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "log_closed"),
            ErrorKind::Poisoned => (StatusCode::SERVICE_UNAVAILABLE, "log_poisoned"),
            ErrorKind::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
            // `LimitReached`: there are no offsets left. `Abandoned`: the outcome is unknown.
            // `InvalidInput`, `EndMoved`, `Locked`, `NotALog`, `Unsupported`: neither call causes
            // them. And kinds of later versions.
            _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// The outcome of an append with this failure.
    fn outcome(&self) -> &'static str {
        let outcome = match self {
            Self::Log(error) => error.outcome(),
            Self::ReadOnly => Outcome::NotAppended,
            Self::Timeout | Self::Panicked => Outcome::Unknown,
        };
        match outcome {
            Outcome::NotAppended => "not_appended",
            Outcome::Unknown => "unknown",
        }
    }
}

/// The body of an error response: problem details (RFC 9457) of the default type.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    #[serde(flatten)]
    facts: Facts,
}

/// Extension members of a problem. Those that do not apply are left out.
#[derive(Debug, Default, Serialize)]
struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, _) = self.status_and_code();
        let body = serde_json::to_vec(&self.problem()).expect("plain fields always serialize");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        let problem_json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, problem_json);
        // Otherwise a cache may keep a 404 after the record was appended.
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(time) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(time.as_secs()));
        }
        if matches!(self, Self::TooManyConnections) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
