//! Statuses of calls that fail: from the table of errors, with its codes and facts as details.

use std::collections::HashMap;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::Error;

/// The domain of the reasons in details.
const DOMAIN: &str = "proglog";

/// The status of an error. Its details have an `ErrorInfo` with the code as reason and the facts as metadata, and a
/// `RetryInfo` if another try may succeed.
pub(super) fn of(error: &Error) -> Status {
    let (status, code) = error.status_and_code();
    let problem = serde_json::to_value(error.problem());
    let mut facts = match problem {
        Ok(Value::Object(problem)) => problem,
        _ => Map::new(),
    };
    let detail = facts.remove("detail");
    for field in ["title", "status", "code"] {
        facts.remove(field);
    }
    let facts = facts.into_iter().map(|(name, fact)| match fact {
        Value::String(text) => (name, text),
        other => (name, other.to_string()),
    });
    let mut details = ErrorDetails::new();
    details.set_error_info(
        code.to_ascii_uppercase(),
        DOMAIN,
        facts.collect::<HashMap<_, _>>(),
    );
    if let Some(time) = error.retry_after() {
        details.set_retry_info(Some(time));
    }
    let detail = detail.as_ref().and_then(Value::as_str).unwrap_or_default();
    Status::with_error_details(code_of(status, code), detail, details)
}

/// Returns whether a read found no record, since none is there yet or it was trimmed.
pub(super) fn is_out_of_range(error: &Error) -> bool {
    let (_, code) = error.status_and_code();
    ["record_not_found", "record_trimmed"].contains(&code)
}

/// The code for a status of HTTP and the stable code beside it.
fn code_of(status: StatusCode, code: &str) -> Code {
    match (status.as_u16(), code) {
        (_, "record_corrupt") => Code::DataLoss,
        (_, "log_timeout") => Code::DeadlineExceeded,
        (_, "log_exists") => Code::AlreadyExists,
        (400 | 413 | 415 | 422, _) => Code::InvalidArgument,
        (401, _) => Code::Unauthenticated,
        (403, _) => Code::PermissionDenied,
        // There is no such service or method.
        (_, "unknown_path") => Code::Unimplemented,
        (404, _) => Code::NotFound,
        (409, _) => Code::FailedPrecondition,
        (410 | 416, _) => Code::OutOfRange,
        (412, _) => Code::Aborted,
        (429 | 507, _) => Code::ResourceExhausted,
        (503, _) => Code::Unavailable,
        _ => Code::Internal,
    }
}

/// The status that ends streams when the server is shutting down.
pub(super) fn draining() -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info("DRAINING", DOMAIN, HashMap::new());
    Status::with_error_details(Code::Unavailable, "draining", details)
}

/// Returns whether the headers of a request are those of a call of gRPC.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|name| name.as_bytes().starts_with(b"application/grpc"))
}

/// The response to a call of gRPC that failed.
pub(crate) fn response(error: &Error) -> Response {
    of(error).into_http::<Body>().into_response()
}
