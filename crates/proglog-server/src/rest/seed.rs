//! The two calls on the log `default`: append with POST, read with GET.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use proglog_api::{json, v1};
use prost::Message;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::rest::body::{self, Limits, decode, parse, refuse};
use crate::rest::negotiate::Media;
use crate::rest::query::Query;
use crate::state::App;

/// The largest body of a read.
const READ_BODY_BYTES_MAX: usize = 4 << 10;
/// The bytes that a header counts towards the limit on records, as in the log.
const HEADER_BYTES: usize = 32;

pub(crate) async fn produce(State(app): State<App>, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    if let Err(error) = Query::parse(head.uri.query()).finish() {
        return Err(refuse(&head.headers, body, error, app.request_timeout).await);
    }
    let mut permit = app.broker().await?.admission().permit();
    let limits = Limits {
        bytes_max: app.append_body_bytes_max,
        time: app.request_timeout,
        permit: Some(&mut permit),
    };
    let body = body::read(&head.headers, body, limits).await?;
    let media = of_body(&head.headers);
    let record = record(media, &body, app.record_bytes_max)?;
    let (len, max) = (record.value.len(), app.record_bytes_max);
    if len > max {
        return Err(Error::RecordTooLarge { len, max });
    }
    let appended = app.append(record.into()).await;
    let offset = appended.map_err(Error::Append)?.get();
    Ok(match of_answer(&head.headers, media) {
        media @ Media::Protobuf(_) => protobuf(media, &v1::ProduceResponse { offset }),
        _ => in_json(&json::ProduceResponse { offset }),
    })
}

/// Reads the record from the body of an append.
fn record(media: Media, body: &[u8], max: usize) -> Result<v1::Record> {
    if let Media::Protobuf(_) = media {
        check_headers(body, max)?;
        let request: v1::ProduceRequest = decode(body)?;
        let missing = || Error::MalformedBody("the request has no record".into());
        return request.record.ok_or_else(missing);
    }
    let request: json::ProduceRequest = parse(body, r#"{"record": "<base64>"}"#)?;
    Ok(v1::Record::new(request.record))
}

pub(crate) async fn consume(State(app): State<App>, request: Request) -> Result<Response> {
    let (head, body) = request.into_parts();
    let query = match offset_in_query(head.uri.query()) {
        Ok(offset) => offset,
        Err(error) => return Err(refuse(&head.headers, body, error, app.request_timeout).await),
    };
    let limits = Limits {
        bytes_max: READ_BODY_BYTES_MAX,
        time: app.request_timeout,
        permit: None,
    };
    let body = body::read(&head.headers, body, limits).await?;
    let media = of_body(&head.headers);
    let offset = offset(query, media, &body)?;
    let read = app.read(offset).await;
    let record = read.map_err(|failure| Error::Read { offset, failure })?;
    Ok(match of_answer(&head.headers, media) {
        media @ Media::Protobuf(_) => {
            let record = Some(record.into());
            protobuf(media, &v1::ConsumeResponse { record })
        }
        _ => in_json(&json::ConsumeResponse {
            record: record.value,
        }),
    })
}

fn offset_in_query(query: Option<&str>) -> Result<Option<u64>> {
    let mut query = Query::parse(query);
    let offset = query.offset("offset")?;
    query.finish()?;
    Ok(offset)
}

/// The offset of a read, from its query, its body, or both.
fn offset(query: Option<u64>, media: Media, body: &[u8]) -> Result<u64> {
    let in_body = match media {
        // Protobuf encodes offset 0 as no bytes, so an empty body is one unless the query has the offset.
        Media::Protobuf(_) if body.is_empty() && query.is_some() => None,
        Media::Protobuf(_) => Some(decode::<v1::ConsumeRequest>(body)?.offset),
        _ if body.is_empty() => None,
        _ => Some(parse::<json::ConsumeRequest>(body, r#"{"offset": 0}"#)?.offset),
    };
    match (query, in_body) {
        (Some(query), Some(body)) if query != body => {
            Err(Error::ConflictingOffsets { query, body })
        }
        (Some(offset), _) | (None, Some(offset)) => Ok(offset),
        (None, None) => Err(Error::MissingOffset),
    }
}

fn is_offered(media: Media) -> bool {
    matches!(media, Media::Json | Media::Protobuf(_))
}

/// The type of a request: JSON, whatever the content type (`curl -d` sends a form's), unless it is protobuf's.
fn of_body(headers: &HeaderMap) -> Media {
    let name = headers.get(header::CONTENT_TYPE);
    let named = name.and_then(|name| Media::named(name.to_str().ok()?));
    named
        .filter(|media| is_offered(*media))
        .unwrap_or(Media::Json)
}

/// The type of the response: the one that `Accept` prefers, or else that of the request.
fn of_answer(headers: &HeaderMap, request: Media) -> Media {
    Media::accepted(headers, request, is_offered)
}

/// Checks the number of headers before decoding: an empty header takes 2 bytes encoded, 56 decoded.
fn check_headers(body: &[u8], max: usize) -> Result<()> {
    /// A record without its contents: `()` is a message that skips its fields.
    #[derive(PartialEq, Message)]
    struct Outline {
        #[prost(message, repeated, tag = "8")]
        headers: Vec<()>,
    }
    #[derive(PartialEq, Message)]
    struct Request {
        #[prost(message, optional, tag = "1")]
        record: Option<Outline>,
    }
    let record = decode::<Request>(body)?.record.unwrap_or_default();
    if record.headers.len() > max / HEADER_BYTES {
        return Err(Error::TooManyHeaders { max });
    }
    Ok(())
}

fn in_json(message: &impl Serialize) -> Response {
    let body = serde_json::to_vec(message).expect("numbers and text always serialize");
    answer(Media::Json, body)
}

fn protobuf(media: Media, message: &impl Message) -> Response {
    answer(media, message.encode_to_vec())
}

fn answer(media: Media, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, media.name())], body).into_response()
}
