//! The part of the table for errors of the broker and its logs.

use std::io;
use std::time::Duration;

use axum::http::StatusCode;
use proglog_broker::Error;
use proglog_log::ErrorKind;
use proglog_log::producers::Refused;

/// The status and the stable code of each error.
pub(super) fn status_and_code(error: &Error) -> (StatusCode, &'static str) {
    match error {
        Error::NotFound { .. } => (StatusCode::NOT_FOUND, "log_not_found"),
        Error::AlreadyExists { .. } => (StatusCode::CONFLICT, "log_exists"),
        Error::DefaultLog => (StatusCode::CONFLICT, "default_log"),
        Error::InvalidConfig(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid_config"),
        Error::Poisoned { .. } => (StatusCode::SERVICE_UNAVAILABLE, "log_poisoned"),
        Error::Failed { .. }
        | Error::Meta { .. }
        | Error::MetaLost { .. }
        | Error::Locked { .. } => (StatusCode::SERVICE_UNAVAILABLE, "log_failed"),
        Error::Storage { source, .. } if is_full(source) => {
            (StatusCode::INSUFFICIENT_STORAGE, "disk_full")
        }
        Error::Storage { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed"),
        Error::Log(error) => of_kind(error.kind()),
        Error::Unsupported { .. } => (StatusCode::FORBIDDEN, "unsupported_operation"),
        Error::Overloaded { .. } => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Error::Timeout { .. } => (StatusCode::SERVICE_UNAVAILABLE, "log_timeout"),
        Error::Refused(refused) => (StatusCode::CONFLICT, of_refused(*refused)),
        Error::TooManyProducers => (StatusCode::TOO_MANY_REQUESTS, "too_many_producers"),
        Error::Closed => (StatusCode::SERVICE_UNAVAILABLE, "log_closed"),
        // The outcome beside it is unknown.
        Error::NotSynced { source, .. } => status_and_code(source),
        // `Panicked`, and errors of later versions.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

fn of_refused(refused: Refused) -> &'static str {
    match refused {
        Refused::Unknown => "producer_unknown",
        Refused::Fenced { .. } => "producer_fenced",
        Refused::Overlap { .. } => "producer_overlap",
        // `Gap`, and `Exhausted`: there are no numbers left.
        _ => "producer_gap",
    }
}

fn of_kind(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::OutOfRange => (StatusCode::NOT_FOUND, "record_not_found"),
        ErrorKind::Trimmed => (StatusCode::GONE, "record_trimmed"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "record_too_large"),
        ErrorKind::EndMoved => (StatusCode::PRECONDITION_FAILED, "end_moved"),
        ErrorKind::Corrupt => (StatusCode::INTERNAL_SERVER_ERROR, "record_corrupt"),
        ErrorKind::Io => (StatusCode::INTERNAL_SERVER_ERROR, "storage_failed"),
        ErrorKind::Closed => (StatusCode::SERVICE_UNAVAILABLE, "log_closed"),
        ErrorKind::Poisoned => (StatusCode::SERVICE_UNAVAILABLE, "log_poisoned"),
        ErrorKind::DiskFull => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
        // `LimitReached`: there are no offsets left. `Abandoned`: the outcome is unknown. `InvalidInput`, `Locked`,
        // `NotALog`, `Unsupported`: no call on an open log causes them. And kinds of later versions.
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// Returns how long to wait before another try, of errors that may pass with time alone.
pub(super) fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Poisoned { retry_in, .. } | Error::Failed { retry_in, .. } => Some(*retry_in),
        Error::Overloaded { .. } | Error::Timeout { .. } | Error::Closed => {
            Some(Duration::from_secs(1))
        }
        Error::Log(error) if error.kind() == ErrorKind::Closed => Some(Duration::from_secs(1)),
        Error::NotSynced { source, .. } => retry_after(source),
        _ => None,
    }
}

/// The error of the log, if it returned one.
pub(super) fn of_log(error: &Error) -> Option<&proglog_log::Error> {
    match error {
        Error::Log(error) => Some(error),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proglog_log::{Offsets, Outcome};

    use super::*;

    #[test]
    fn a_sync_that_fails_after_an_append_is_answered_by_its_cause_and_leaves_the_outcome_unknown() {
        let error = Error::NotSynced {
            offsets: Offsets::new(0, 1),
            source: Arc::new(Error::Closed),
        };
        let expected = (StatusCode::SERVICE_UNAVAILABLE, "log_closed");
        assert_eq!(status_and_code(&error), expected);
        assert_eq!(retry_after(&error), Some(Duration::from_secs(1)));
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
}
