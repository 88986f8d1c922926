//! Errors in words, for people.

use proglog_broker::Error as BrokerError;
use proglog_log::ErrorKind;

use super::{Error, Failure};

/// The detail of errors whose cause is for the operator alone.
const FAILED: &str = "the server failed; its log has the details";

/// The longest detail that repeats what a client has sent.
const LEN_MAX: usize = 400;

impl Error {
    /// The error in words, for the client. It holds no path and no message of the operating system.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::MalformedQuery(what)
            | Self::MalformedBody(what)
            | Self::MalformedHeader(what)
            | Self::MalformedName(what)
            | Self::MalformedProducer(what)
            | Self::ConflictingParameters(what)
            | Self::CrossOrigin(what) => shortened(what),
            Self::Append(Failure::Timeout) => {
                "the log did not answer in time; the record may be stored".into()
            }
            Self::Append(failure) | Self::Call(failure) => failure.detail(None),
            Self::Read { offset, failure } => failure.detail(Some(*offset)),
            Self::Line { line, error, .. } => format!("line {line}: {}", error.detail()),
            Self::EndMoved { expected, end, .. } => {
                format!("expected to append at offset {expected}, but the log's end is {end}")
            }
            Self::BeyondEnd { offset, offsets } => {
                format!("offset {offset} is past the log's end {}", offsets.end)
            }
            Self::BelowStart { offset, offsets } => {
                format!("offset {offset} is below the log's start {}", offsets.start)
            }
            Self::LogChanged { id } => {
                format!("the log was deleted and made again; its id is {id} now")
            }
            Self::ProducerNotFound => {
                "the log does not know this producer; it begins with epoch 0 and sequence 0".into()
            }
            Self::Panicked => FAILED.into(),
            _ => self.detail_of_request(),
        }
    }

    /// As [`Error::detail`], of errors about the request alone.
    fn detail_of_request(&self) -> String {
        match self {
            Self::IncompleteBody => "the body ended early or was not framed correctly".into(),
            Self::MissingOffset => {
                r#"give the offset as `/?offset=0` or as the JSON body `{"offset": 0}`"#.into()
            }
            Self::ConflictingOffsets { query, body } => {
                format!("the query asks for offset {query}, the body for offset {body}")
            }
            Self::ConfirmationMissing => {
                "a log is deleted with all its records; repeat its name as `?confirm=<name>`".into()
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
            Self::TooManyRecords { max } => format!("a batch has at most {max} records"),
            Self::UnsupportedEncoding => "the body has to be sent without content encoding".into(),
            Self::UnsupportedType { known } => {
                format!("the content type has to be one of {known}; `/raw` takes any")
            }
            Self::TooManyConnections => {
                "the server has as many connections as it may; the request had no effect".into()
            }
            Self::TooManyFollowers { max } => {
                format!("there are {max} followers already, as many as there may be")
            }
            Self::Draining => "the server is shutting down".into(),
            _ => FAILED.into(),
        }
    }
}

impl Failure {
    /// `offset` is that of a read.
    fn detail(&self, offset: Option<u64>) -> String {
        match self {
            Self::Broker(BrokerError::Log(error)) => of_log(error, offset),
            Self::Broker(error) => of_broker(error),
            Self::ReadOnly => "this server only reads the log".into(),
            Self::Timeout => "the log did not answer in time".into(),
        }
    }
}

fn of_broker(error: &BrokerError) -> String {
    match error {
        // They hold names, numbers and what clients have sent, and nothing else.
        BrokerError::NotFound { .. }
        | BrokerError::AlreadyExists { .. }
        | BrokerError::DefaultLog
        | BrokerError::InvalidConfig(_)
        | BrokerError::Unsupported { .. }
        | BrokerError::Refused(_)
        | BrokerError::TooManyProducers
        | BrokerError::Overloaded { .. }
        | BrokerError::Timeout { .. } => error.to_string(),
        BrokerError::Poisoned { .. } => {
            "a failure stopped the log; it is opened again soon, which recovers it".into()
        }
        BrokerError::Failed { .. } | BrokerError::Locked { .. } => {
            "the log cannot be opened; this is tried again, and the server's log has the details"
                .into()
        }
        BrokerError::Meta { .. } | BrokerError::MetaLost { .. } => {
            "the configuration of the log is damaged; PUT mends it without touching a record".into()
        }
        BrokerError::Storage { .. } => "the server's storage failed".into(),
        BrokerError::Closed => "the server is shutting down".into(),
        _ => FAILED.into(),
    }
}

fn of_log(error: &proglog_log::Error, offset: Option<u64>) -> String {
    match error.kind() {
        // Their reasons hold offsets and sizes, and nothing else. The name of the log is not for clients.
        ErrorKind::OutOfRange | ErrorKind::Trimmed | ErrorKind::TooLarge | ErrorKind::EndMoved => {
            error.reason.to_string()
        }
        ErrorKind::Corrupt => match offset {
            Some(offset) => format!("the record at offset {offset} is damaged"),
            None => "what the log has stored is damaged".into(),
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

/// A text that may repeat much of what a client has sent, short enough to answer it.
fn shortened(text: &str) -> String {
    let (shown, rest) = text.split_at(text.floor_char_boundary(LEN_MAX));
    let more = if rest.is_empty() { "" } else { ".." };
    format!("{shown}{more}")
}
