//! What requests ask for, out of their queries and bodies, in JSON and in protobuf.

use std::time::Instant;

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use proglog_api::{json, v1};
use prost::Message;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::routes::Api;

/// The largest body of a read.
const READ_BODY_BYTES_MAX: usize = 4 << 10;
/// How much of a body that is too large is read and thrown away, so that a client that sends before
/// it listens gets to see the answer.
const DISCARDED_BYTES_MAX: usize = 16 << 20;

/// A request to append a record.
pub(crate) struct Produce {
    pub(crate) record: v1::Record,
    pub(crate) answer: Format,
}

/// A request to read a record.
pub(crate) struct Consume {
    pub(crate) offset: u64,
    pub(crate) answer: Format,
}

impl FromRequest<Api> for Produce {
    type Rejection = Error;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Error> {
        let (head, body) = request.into_parts();
        Query::parse(head.uri.query(), false)?;
        let body = read_body(body, &head.headers, api.append_body_bytes_max, api).await?;
        let format = Format::of_body(&head.headers);
        let record = match format {
            Format::Json => {
                let request: json::ProduceRequest = parse(&body, r#"{"record": "<base64>"}"#)?;
                v1::Record::new(request.record)
            }
            Format::Protobuf(_) => {
                let request: v1::ProduceRequest = decode(&body)?;
                let missing = || Error::MalformedBody("the request has no record".into());
                request.record.ok_or_else(missing)?
            }
        };
        let (len, max) = (record.value.len(), api.record_bytes_max);
        if len > max {
            return Err(Error::RecordTooLarge { len, max });
        }
        let answer = Format::of_answer(&head.headers, format);
        Ok(Self { record, answer })
    }
}

impl FromRequest<Api> for Consume {
    type Rejection = Error;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Error> {
        let (head, body) = request.into_parts();
        let query = Query::parse(head.uri.query(), true)?.offset;
        let body = read_body(body, &head.headers, READ_BODY_BYTES_MAX, api).await?;
        let format = Format::of_body(&head.headers);
        let in_body = match format {
            Format::Json if body.is_empty() => None,
            // Nothing is how protobuf writes offset 0, unless the query says what is wanted.
            Format::Protobuf(_) if body.is_empty() && query.is_some() => None,
            Format::Json => Some(parse::<json::ConsumeRequest>(&body, r#"{"offset": 0}"#)?.offset),
            Format::Protobuf(_) => Some(decode::<v1::ConsumeRequest>(&body)?.offset),
        };
        let offset = match (query, in_body) {
            (Some(query), Some(body)) if query != body => {
                return Err(Error::ConflictingOffsets { query, body });
            }
            (Some(offset), _) | (None, Some(offset)) => offset,
            (None, None) => return Err(Error::MissingOffset),
        };
        let answer = Format::of_answer(&head.headers, format);
        Ok(Self { offset, answer })
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    /// With the media type that the client calls it by.
    Protobuf(&'static str),
}

impl Format {
    const PROTOBUF: [&str; 2] = ["application/protobuf", "application/x-protobuf"];

    pub(crate) fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Protobuf(name) => name,
        }
    }

    /// A body is JSON, whatever its type (`curl -d` calls it a form), unless it says protobuf.
    fn of_body(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE);
        let named = content_type.and_then(|value| Self::named(value.to_str().ok()?));
        named.unwrap_or(Self::Json)
    }

    /// An answer is written as the client prefers, of the two; otherwise as the request was.
    fn of_answer(headers: &HeaderMap, request: Self) -> Self {
        let accepted = headers.get_all(header::ACCEPT).into_iter();
        let ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut best = (0.0, request);
        for (format, quality) in
            ranges.filter_map(|range| Some((Self::named(range)?, quality(range))))
        {
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    /// The format of a media type, whatever its parameters.
    fn named(media_type: &str) -> Option<Self> {
        let name = media_type.split(';').next()?.trim();
        if name.eq_ignore_ascii_case("application/json") {
            return Some(Self::Json);
        }
        let known = Self::PROTOBUF.into_iter();
        let same = known.filter(|known| name.eq_ignore_ascii_case(known));
        same.map(Self::Protobuf).next()
    }
}

/// The weight that a range in an `Accept` header carries.
fn quality(range: &str) -> f32 {
    let mut parameters = range.split(';').skip(1).map(str::trim);
    let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

/// What the query string says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    offset: Option<u64>,
}

impl Query {
    /// A parameter that is not known, or twice there, is an error: its sender would think it obeyed.
    fn parse(query: Option<&str>, offset_known: bool) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name != "offset" || !offset_known {
                let what = format!("unknown query parameter {:?}", shortened(&name));
                return Err(Error::MalformedQuery(what));
            }
            if parsed.offset.is_some() {
                let what = "the query parameter `offset` is there twice";
                return Err(Error::MalformedQuery(what.into()));
            }
            parsed.offset = Some(parse_offset(&value)?);
        }
        Ok(parsed)
    }
}

fn parse_offset(text: &str) -> Result<u64, Error> {
    // Digits alone: `parse` would take a sign too.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = digits.then(|| text.parse().ok()).flatten();
    offset.ok_or_else(|| {
        let (max, text) = (u64::MAX, shortened(text));
        let what = format!("`offset` is {text:?}, not an integer from 0 to {max}");
        Error::MalformedQuery(what)
    })
}

/// The beginning of what a client sent, to be shown to it.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Error> {
    if body.is_empty() {
        let what = format!("the body is empty; the call wants JSON such as `{example}`");
        return Err(Error::MalformedBody(what));
    }
    serde_json::from_slice(body).map_err(|error| {
        let what = format!("the body is not JSON such as `{example}`: {error}");
        Error::MalformedBody(what)
    })
}

/// Decodes from a slice and not from `Bytes`, so that a value is a copy of its own: a slice of the
/// body would keep the connection's read buffer alive for as long as a log in memory keeps it.
fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Error> {
    M::decode(body).map_err(|error| {
        let what = format!("the body is not the protobuf message of this call: {error}");
        Error::MalformedBody(what)
    })
}

/// Reads a body of up to `max` bytes, in the time that a request has.
async fn read_body(
    mut body: Body,
    headers: &HeaderMap,
    max: usize,
    api: &Api,
) -> Result<Bytes, Error> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(Error::UnsupportedEncoding);
    }
    // A client that waits for leave to send is refused before it sends.
    if headers.contains_key(header::EXPECT) && body.size_hint().lower() > max as u64 {
        return Err(Error::BodyTooLarge { max });
    }
    let begun = Instant::now();
    let limited = Limited::new(&mut body, max).collect();
    match tokio::time::timeout(api.request_timeout, limited).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            // However this ends, the answer is the same.
            let left = api.request_timeout.saturating_sub(begun.elapsed());
            let _ = tokio::time::timeout(left, discard(body)).await;
            Err(Error::BodyTooLarge { max })
        }
        Ok(Err(_)) => Err(Error::IncompleteBody),
        Err(_) => Err(Error::BodyTimeout),
    }
}

/// Reads what is left of a body, up to a limit, and throws it away.
async fn discard(mut body: Body) {
    let mut discarded = 0;
    while let Some(Ok(frame)) = body.frame().await {
        discarded += frame.data_ref().map_or(0, Bytes::len);
        if discarded > DISCARDED_BYTES_MAX {
            return;
        }
    }
}
