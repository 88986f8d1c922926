//! Errors: their kinds, and the outcome of a failed append.

use std::io;
use std::sync::Arc;

use proglog_store::{Error, ErrorKind, Operation, Outcome, Position};

fn file() -> Arc<str> {
    "a.store".into()
}

fn source() -> Arc<io::Error> {
    Arc::new(io::Error::other("no"))
}

fn io_error(kind: io::ErrorKind) -> Error {
    Error::Io {
        operation: Operation::Write,
        file: file(),
        source: Arc::new(kind.into()),
    }
}

/// Errors of the file system, and of the state of the store.
fn of_the_store() -> Vec<(Error, ErrorKind)> {
    let locked = Error::Locked { file: file() };
    let sealed = Error::Sealed { file: file() };
    let closed = Error::Closed { file: file() };
    let unreadable = Error::Unreadable {
        file: file(),
        byte: 8192,
        source: source(),
    };
    let end_unreadable = Error::EndUnreadable {
        file: file(),
        byte: 8192,
        source: source(),
    };
    let poisoned = Error::Poisoned {
        source: Arc::new(closed.clone()),
    };
    vec![
        (io_error(io::ErrorKind::Other), ErrorKind::Io),
        (io_error(io::ErrorKind::StorageFull), ErrorKind::DiskFull),
        (io_error(io::ErrorKind::QuotaExceeded), ErrorKind::DiskFull),
        (io_error(io::ErrorKind::FileTooLarge), ErrorKind::DiskFull),
        (io_error(io::ErrorKind::NotFound), ErrorKind::NotFound),
        (locked, ErrorKind::Locked),
        (unreadable, ErrorKind::Corrupt),
        (end_unreadable, ErrorKind::Corrupt),
        (poisoned, ErrorKind::Poisoned),
        (sealed, ErrorKind::Closed),
        (closed, ErrorKind::Closed),
    ]
}

/// Errors after which the outcome of an append is unknown.
fn in_doubt() -> [Error; 2] {
    [
        Error::SyncFailed {
            file: file(),
            source: source(),
        },
        Error::WriteNotUndone {
            file: file(),
            source: source(),
        },
    ]
}

/// Errors of a damaged file.
fn corrupt() -> [Error; 5] {
    let position = Position::new(9);
    [
        Error::NotAStore {
            file: file(),
            len: 3,
        },
        Error::HeadersDiffer { file: file() },
        Error::InvalidFrame {
            file: file(),
            position,
            word: 1,
            left: 5,
        },
        Error::ChecksumMismatch {
            file: file(),
            position,
            expected: 1,
            got: 2,
        },
        Error::Truncated {
            file: file(),
            end: Position::ZERO,
            expected: position,
        },
    ]
}

/// Errors of a file of another version.
fn unsupported() -> [Error; 3] {
    [
        Error::UnsupportedVersion {
            file: file(),
            got: 2,
            known: 1,
        },
        Error::UnsupportedFeatures {
            file: file(),
            bits: 2,
        },
        Error::UnsupportedChecksum {
            file: file(),
            kind: 9,
        },
    ]
}

/// Errors of invalid arguments.
fn invalid_input() -> [Error; 4] {
    let position = Position::new(9);
    [
        Error::LabelTooLong { len: 9, max: 8 },
        Error::PayloadLimitTooLarge { got: 9, max: 8 },
        Error::PayloadTooLarge { len: 9, max: 8 },
        Error::ControlFrame {
            file: file(),
            position,
        },
    ]
}

fn all() -> Vec<(Error, ErrorKind)> {
    let (position, end) = (Position::new(9), Position::ZERO);
    let past_the_end = Error::OutOfRange {
        file: file(),
        position,
        end,
    };
    let mut all = of_the_store();
    let synced = Error::BelowRecoveryPoint {
        file: file(),
        position: end,
        recovery_point: position,
    };
    all.extend([past_the_end, synced].map(|error| (error, ErrorKind::OutOfRange)));
    all.extend(in_doubt().map(|error| (error, ErrorKind::Poisoned)));
    all.extend(corrupt().map(|error| (error, ErrorKind::Corrupt)));
    all.extend(unsupported().map(|error| (error, ErrorKind::Unsupported)));
    all.extend(invalid_input().map(|error| (error, ErrorKind::InvalidInput)));
    all
}

#[test]
fn each_error_is_of_a_kind_that_one_can_act_on() {
    for (error, kind) in all() {
        assert_eq!(error.kind(), kind, "{error:?}");
    }
}

#[test]
fn an_append_is_in_doubt_only_where_a_sync_failed_or_a_write_was_not_undone() {
    for (error, _) in all() {
        let is_in_doubt = in_doubt()
            .iter()
            .any(|other| other.to_string() == error.to_string());
        assert_eq!(
            error.outcome() == Outcome::Unknown,
            is_in_doubt,
            "{error:?}"
        );
    }
}

#[test]
fn an_error_of_the_file_system_says_what_was_tried() {
    assert_eq!(
        io_error(io::ErrorKind::Other).to_string(),
        "cannot write a.store"
    );
}
