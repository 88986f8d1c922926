//! Trims and verifications of a log, and its producers.

use axum::extract::{Request, State};
use axum::response::Response;
use proglog_log::{Offset, Offsets};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::rest::answer;
use crate::rest::body::{self, Limits, parse};
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::{self, Query};
use crate::state::App;

/// Which records a trim drops: those before one of these.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trim {
    before: Option<u64>,
    before_time: Option<Time>,
}

/// Microseconds since 1970, or a time of RFC 3339.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Time {
    Micros(i64),
    Text(String),
}

#[derive(Debug, Serialize)]
struct Trimmed {
    start_offset: u64,
}

#[derive(Debug, Serialize)]
struct Verified {
    records: [u64; 2],
    bytes: u64,
    damaged: Vec<[u64; 2]>,
}

/// How far a producer has come.
#[derive(Debug, Serialize)]
struct Producer<'a> {
    id: &'a str,
    epoch: u64,
    next_sequence: u64,
    last_offset: u64,
}

pub(crate) async fn producer(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    let log = app.log(&names.log).await?;
    let id = names.second();
    let progress = log.producer(id).ok_or(Error::ProducerNotFound)?;
    Ok(answer::not_stored(answer::json(&Producer {
        id,
        epoch: progress.epoch,
        next_sequence: progress.next_sequence,
        last_offset: progress.last_offset.get(),
    })))
}

pub(crate) async fn trim(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    Media::check_json(request.headers())?;
    let limits = Limits {
        bytes_max: body::SMALL,
        time: app.request_timeout,
        permit: None,
    };
    let (head, body) = request.into_parts();
    let body = body::read(&head.headers, body, limits).await?;
    let trim: Trim = parse(&body, r#"{"before": 1000}"#)?;
    let log = app.log(&names.log).await?;
    let start = match (trim.before, trim.before_time) {
        (Some(offset), None) => Offset::new(offset),
        (None, Some(time)) => {
            let time = time.parse()?;
            app.in_time(log.offset_for_time(time)).await?
        }
        _ => {
            let what = "the body has one of `before` and `before_time`";
            return Err(Error::MalformedBody(what.into()));
        }
    };
    let offsets = log.offsets();
    if start > offsets.end {
        return Err(Error::BeyondEnd {
            offset: start,
            offsets,
        });
    }
    let offsets = app.in_time(log.trim(start)).await?;
    let start_offset = offsets.start.get();
    Ok(answer::json(&Trimmed { start_offset }))
}

impl Time {
    fn parse(&self) -> Result<std::time::SystemTime> {
        let time = match self {
            Self::Micros(micros) => query::time_of(*micros),
            Self::Text(text) => query::time(text),
        };
        time.ok_or_else(|| {
            let what = "`before_time` is neither microseconds since 1970 nor a time of RFC 3339";
            Error::MalformedBody(what.into())
        })
    }
}

/// Reads every record. It takes as long as it takes, and ends if the client goes.
pub(crate) async fn verify(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    let log = app.log(&names.log).await?;
    let verified = log.verify().await?;
    let range = |offsets: Offsets| [offsets.start.get(), offsets.end.get()];
    Ok(answer::not_stored(answer::json(&Verified {
        records: range(verified.records),
        bytes: verified.bytes,
        damaged: verified.damaged.into_iter().map(range).collect(),
    })))
}
