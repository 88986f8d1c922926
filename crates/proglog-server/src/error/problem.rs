//! Problem details (RFC 9457): the bodies of error responses.

use std::error::Error as _;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proglog_broker::{Error as BrokerError, LogName};
use proglog_log::producers::Refused;
use proglog_log::{ErrorKind, Offsets, Reason};
use serde::Serialize;
use serde_json::value::{RawValue, Value};

use super::{Error, Failure};

/// The body of an error response: problem details of the default type.
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
    line: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Records>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_sequence: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_max: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
}

/// A number of records, or the records.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Records {
    Count(u64),
    All(Box<RawValue>),
}

impl Facts {
    fn offsets(&mut self, offsets: Offsets) {
        self.start_offset = Some(offsets.start.get());
        self.end_offset = Some(offsets.end.get());
    }

    fn of_failure(&mut self, failure: &Failure) {
        match failure {
            Failure::Broker(BrokerError::Log(error)) => self.of_reason(&error.reason),
            Failure::Broker(error) => self.of_broker(error),
            Failure::ReadOnly | Failure::Timeout => {}
        }
    }

    fn of_broker(&mut self, error: &BrokerError) {
        match error {
            BrokerError::NotFound { nearest, .. } => {
                let nearest = nearest.as_ref().map(LogName::as_str);
                self.nearest = Some(nearest.into());
            }
            BrokerError::InvalidConfig(error) => self.field = Some(error.field),
            BrokerError::Refused(Refused::Fenced { epoch }) => self.epoch = Some(*epoch),
            BrokerError::Refused(Refused::Gap { expected } | Refused::Overlap { expected }) => {
                self.expected_sequence = Some(*expected);
            }
            _ => {}
        }
    }

    fn of_reason(&mut self, reason: &Reason) {
        match reason {
            Reason::RecordTooLarge { len, max } | Reason::BatchTooLarge { len, max } => {
                (self.bytes, self.bytes_max) = (Some(*len), Some(*max));
            }
            Reason::OutOfRange { start, end, .. } | Reason::Trimmed { start, end, .. } => {
                self.offsets(Offsets::new(*start, *end));
            }
            Reason::EndMoved { expected, end } => {
                self.expected_offset = Some(expected.get());
                self.end_offset = Some(end.get());
            }
            _ => {}
        }
    }
}

impl Error {
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
            Self::LogChanged { id } => facts.log_id = Some(id.to_string()),
            Self::BeyondEnd { offset, offsets } | Self::BelowStart { offset, offsets } => {
                facts.offset = Some(offset.get());
                facts.offsets(*offsets);
            }
            Self::EndMoved {
                expected,
                end,
                missed,
            } => {
                facts.expected_offset = Some(expected.get());
                facts.end_offset = Some(end.get());
                facts.outcome = Some("not_appended");
                if let Some(missed) = missed {
                    facts.next_offset = Some(missed.next_offset);
                    let records = RawValue::from_string(missed.records.clone());
                    facts.records = records.ok().map(Records::All);
                }
            }
            Self::Line {
                line,
                records,
                error,
            } => {
                facts = error.facts();
                facts.line = Some(*line);
                facts.records = Some(Records::Count(*records));
            }
            Self::Append(failure) => facts.outcome = Some(failure.outcome()),
            Self::Read { offset, failure } => {
                facts.offset = Some(*offset);
                if failure.kind() == Some(ErrorKind::Corrupt) {
                    facts.next_offset = offset.checked_add(1);
                }
            }
            _ => {}
        }
        if let Some(failure) = self.failure() {
            facts.of_failure(failure);
        }
        facts
    }

    /// Logs the cause of a server error for the operator.
    fn report(&self, status: StatusCode, code: &str) {
        if !status.is_server_error() || matches!(self, Self::TooManyConnections | Self::Draining) {
            return;
        }
        if let Some(Failure::Broker(error)) = self.failure() {
            let source = error.source();
            tracing::error!(code, error = %error, source, "the log failed");
        } else {
            tracing::error!(code, "{}", self.detail());
        }
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
            headers.insert(header::RETRY_AFTER, seconds(time));
        }
        if matches!(self, Self::TooManyConnections) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A time in whole seconds, rounded up, and at least one.
fn seconds(time: Duration) -> HeaderValue {
    let rounded = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    HeaderValue::from(rounded.max(1))
}
