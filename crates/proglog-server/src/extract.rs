//! Extraction of calls from requests: their queries, and their bodies in JSON and protobuf.

use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use proglog_api::{json, v1};
use prost::Message;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::state::Api;

/// The largest body of a read.
const READ_BODY_BYTES_MAX: usize = 4 << 10;
/// The most of an unwanted body that is read and discarded, so that a client that sends its whole body
/// before it reads gets to see the response.
const DISCARDED_BYTES_MAX: usize = 16 << 20;
/// The bytes that a header counts towards the limit on records, as in the log.
const HEADER_BYTES: usize = 32;

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
        let max = api.record_bytes_max;
        if let Err(error) = Query::parse(request.uri().query(), false) {
            return Err(refuse(request, error, api.request_timeout).await);
        }
        let (head, body) = read_body(request, api.append_body_bytes_max, api).await?;
        let format = Format::of_body(&head.headers);
        let record = match format {
            Format::Json => {
                let request: json::ProduceRequest = parse(&body, r#"{"record": "<base64>"}"#)?;
                v1::Record::new(request.record)
            }
            Format::Protobuf(_) => {
                check_headers(&body, max)?;
                let request: v1::ProduceRequest = decode(&body)?;
                let missing = || Error::MalformedBody("the request has no record".into());
                request.record.ok_or_else(missing)?
            }
        };
        let len = record.value.len();
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
        let query = match Query::parse(request.uri().query(), true) {
            Ok(query) => query.offset,
            Err(error) => return Err(refuse(request, error, api.request_timeout).await),
        };
        let (head, body) = read_body(request, READ_BODY_BYTES_MAX, api).await?;
        let format = Format::of_body(&head.headers);
        let in_body = match format {
            Format::Json if body.is_empty() => None,
            // Protobuf encodes offset 0 as no bytes, so an empty body is one unless the query has the offset.
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

/// The encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    /// With the media type that the client used.
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

    /// The format of a request: JSON, whatever the content type (`curl -d` sends a form's), unless it
    /// is protobuf's.
    fn of_body(headers: &HeaderMap) -> Self {
        let content_type = headers.get(header::CONTENT_TYPE);
        let named = content_type.and_then(|value| Self::named(value.to_str().ok()?));
        named.unwrap_or(Self::Json)
    }

    /// The format of the response: the one that `Accept` prefers, or else that of the request.
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

/// The weight of a range in an `Accept` header.
fn quality(range: &str) -> f32 {
    let mut parameters = range.split(';').skip(1).map(str::trim);
    let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}

/// The parameters of the query string.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    offset: Option<u64>,
}

impl Query {
    /// Parses a query string. An unknown or repeated parameter is an error, not ignored.
    fn parse(query: Option<&str>, offset_known: bool) -> Result<Self, Error> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if name != "offset" || !offset_known {
                let what = format!("unknown query parameter {:?}", shortened(&name));
                return Err(Error::MalformedQuery(what));
            }
            if parsed.offset.is_some() {
                let what = "the query parameter `offset` is repeated";
                return Err(Error::MalformedQuery(what.into()));
            }
            parsed.offset = Some(parse_offset(&value)?);
        }
        Ok(parsed)
    }
}

fn parse_offset(text: &str) -> Result<u64, Error> {
    // Digits only: `parse` would accept a sign.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let offset = digits.then(|| text.parse().ok()).flatten();
    offset.ok_or_else(|| {
        let (max, text) = (u64::MAX, shortened(text));
        let what = format!("`offset` is {text:?}, not an integer from 0 to {max}");
        Error::MalformedQuery(what)
    })
}

/// The beginning of a client's input, short enough to repeat in an error.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

fn parse<T: DeserializeOwned>(body: &[u8], example: &str) -> Result<T, Error> {
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
fn decode<M: Message + Default>(body: &[u8]) -> Result<M, Error> {
    M::decode(body).map_err(|error| {
        let what = format!("the body is not the protobuf message of this call: {error}");
        Error::MalformedBody(what)
    })
}

/// Checks the number of headers before decoding: an empty header takes 2 bytes encoded, 56 decoded.
fn check_headers(body: &[u8], max: usize) -> Result<(), Error> {
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

/// Reads a body of at most `max` bytes within the request timeout.
async fn read_body(request: Request, max: usize, api: &Api) -> Result<(Parts, Vec<u8>), Error> {
    let encoding = request.headers().get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| encoding != "identity") {
        return Err(refuse(request, Error::UnsupportedEncoding, api.request_timeout).await);
    }
    let (head, mut body) = request.into_parts();
    // Refuse a client that waits for `100 Continue` before it sends.
    if head.headers.contains_key(header::EXPECT) && body.size_hint().lower() > max as u64 {
        return Err(Error::BodyTooLarge { max });
    }
    let begun = Instant::now();
    let collected = tokio::time::timeout(api.request_timeout, collect(&mut body, max)).await;
    match collected.unwrap_or(Err(Error::BodyTimeout)) {
        Ok(whole) => Ok((head, whole)),
        Err(error) => {
            if matches!(error, Error::BodyTooLarge { .. }) {
                let left = api.request_timeout.saturating_sub(begun.elapsed());
                discard(body, left).await;
            }
            Err(error)
        }
    }
}

/// Collects a body of at most `max` bytes into one growing buffer. Its frames may be of one byte each,
/// and keeping them would take a hundred bytes for each.
async fn collect(body: &mut Body, max: usize) -> Result<Vec<u8>, Error> {
    let mut whole = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Error::IncompleteBody)?;
        let data = frame.data_ref().map_or(&[][..], |data| data);
        if data.len() > max - whole.len() {
            return Err(Error::BodyTooLarge { max });
        }
        whole.extend_from_slice(data);
    }
    Ok(whole)
}

/// Returns `error` after discarding the body, for at most `timeout`, or at once if the client waits for `100 Continue`.
pub(crate) async fn refuse(request: Request, error: Error, timeout: Duration) -> Error {
    if !request.headers().contains_key(header::EXPECT) {
        discard(request.into_body(), timeout).await;
    }
    error
}

/// Reads and discards the rest of a body, up to [`DISCARDED_BYTES_MAX`] and for at most `time`. The
/// response does not depend on how this ends.
async fn discard(mut body: Body, time: Duration) {
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
