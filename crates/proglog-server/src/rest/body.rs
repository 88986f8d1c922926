//! Bodies of requests: read within limits of size and time, decoded, or discarded.

use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use proglog_broker::AppendPermit;
use prost::Message;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The most of an unwanted body that is read and discarded, so that a client that sends its whole body
/// before it reads gets to see the response.
const DISCARDED_BYTES_MAX: usize = 16 << 20;

/// The largest body of a call that is not an append.
pub(crate) const SMALL: usize = 64 << 10;

/// Limits on a body.
pub(crate) struct Limits<'a> {
    pub(crate) bytes_max: usize,
    /// The time for the body, and a second more for each MiB of it.
    pub(crate) time: Duration,
    /// What its memory is drawn from, if it is that of an append.
    pub(crate) permit: Option<&'a mut AppendPermit>,
}

/// Reads the body of the request with these `headers` within its limits. If it is too large, the rest is discarded.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Body,
    mut limits: Limits<'_>,
) -> Result<Bytes> {
    if let Err(error) = check_encoding(headers) {
        return Err(refuse(headers, body, error, limits.time).await);
    }
    let max = limits.bytes_max;
    // Refuse a client that waits for `100 Continue` before it sends.
    if headers.contains_key(header::EXPECT) && body.size_hint().lower() > max as u64 {
        return Err(Error::BodyTooLarge { max });
    }
    let begun = Instant::now();
    let collected = collect(&mut body, &mut limits, begun).await;
    if let Err(error) = &collected
        && !matches!(error, Error::IncompleteBody | Error::BodyTimeout)
    {
        discard(body, limits.time.saturating_sub(begun.elapsed())).await;
    }
    collected
}

pub(crate) fn check_encoding(headers: &HeaderMap) -> Result<()> {
    match headers.get(header::CONTENT_ENCODING) {
        Some(encoding) if encoding != "identity" => Err(Error::UnsupportedEncoding),
        _ => Ok(()),
    }
}

/// Collects a body. One that comes as a single frame is not copied. Others are copied into one growing buffer: their
/// frames may be of one byte each, and keeping them would take a hundred bytes for each.
async fn collect(body: &mut Body, limits: &mut Limits<'_>, begun: Instant) -> Result<Bytes> {
    let max = limits.bytes_max;
    let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
    loop {
        let len = first.len() + whole.len();
        let mebibytes = Duration::from_secs((len >> 20) as u64);
        let left = limits.time.saturating_add(mebibytes);
        let frame = in_time(left.saturating_sub(begun.elapsed()), next(body)).await?;
        let Some(data) = frame? else {
            return Ok(if whole.is_empty() {
                first
            } else {
                whole.freeze()
            });
        };
        if data.len() > max - len {
            return Err(Error::BodyTooLarge { max });
        }
        if let Some(permit) = &mut limits.permit {
            permit.grow_to(len + data.len()).await?;
        }
        if len == 0 {
            first = data;
        } else {
            whole.extend_from_slice(&first);
            first = Bytes::new();
            whole.extend_from_slice(&data);
        }
    }
}

/// Returns the data of the next frame that has any, or `None` at the end of the body.
pub(crate) async fn next(body: &mut Body) -> Result<Option<Bytes>> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::IncompleteBody)?;
        if let Ok(data) = frame.into_data()
            && !data.is_empty()
        {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// Bounds the arrival of a part of a body.
pub(crate) async fn in_time<T>(time: Duration, part: impl Future<Output = T>) -> Result<T> {
    let arrived = tokio::time::timeout(time, part).await;
    arrived.map_err(|_| Error::BodyTimeout)
}

/// Returns `error` after discarding the body, for at most `timeout`, or at once if the client waits for `100 Continue`.
pub(crate) async fn refuse(
    headers: &HeaderMap,
    body: Body,
    error: Error,
    timeout: Duration,
) -> Error {
    if !headers.contains_key(header::EXPECT) {
        discard(body, timeout).await;
    }
    error
}

/// Reads and discards the rest of a body, up to [`DISCARDED_BYTES_MAX`] and for at most `time`. The
/// response does not depend on how this ends.
pub(crate) async fn discard(mut body: Body, time: Duration) {
    let read = async {
        let mut discarded = 0;
        while let Some(Ok(frame)) = body.frame().await
            && discarded <= DISCARDED_BYTES_MAX
        {
            discarded += frame.data_ref().map_or(0, Bytes::len);
        }
    };
    let _ = tokio::time::timeout(time, read).await;
}

/// Parses JSON. `example` is for the error.
pub(crate) fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T> {
    if body.is_empty() {
        let what = format!("the body is empty; expected JSON such as `{example}`");
        return Err(Error::MalformedBody(what));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body is not JSON such as `{example}`: {error}");
        Error::MalformedBody(what)
    })
}

/// Decodes a message from a slice, not from `Bytes`, so that values are copied. A slice of the body
/// would keep the connection's read buffer alive as long as a log in memory keeps the record.
pub(crate) fn decode<M: Message + Default>(body: &[u8]) -> Result<M> {
    M::decode(body).map_err(|error| {
        let what = format!("the body is not the protobuf message of this call: {error}");
        Error::MalformedBody(what)
    })
}
