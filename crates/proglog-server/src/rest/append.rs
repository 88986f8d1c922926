//! Appends of batches, in JSON and protobuf.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use proglog_api::json::AppendRequest;
use proglog_api::proglog::v1 as messages;
use proglog_api::v1;
use proglog_log::{Offset, Producer, Record};
use prost::Message;

use crate::error::{Error, Result};
use crate::rest::body::{self, Limits, check_encoding, decode, parse, refuse};
use crate::rest::lines;
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::Query;
use crate::rest::terms::{self, Terms, body_bytes_max};
use crate::state::App;

/// The bytes that a header counts towards the limit on records, as in the log.
const HEADER_BYTES: u64 = 32;
pub(crate) async fn append(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let terms = async {
        let media = Media::of_append(headers)?;
        check_encoding(headers)?;
        let mut query = Query::parse(head.uri.query());
        let terms = Terms::of(&app, &names, &mut query, headers).await?;
        query.finish()?;
        Ok((media, terms))
    };
    match terms.await {
        Ok((Media::Lines, terms)) => lines::append(&app, terms, body).await,
        Ok((media, terms)) => append_batch(&app, terms, media, headers, body).await,
        Err(error) => Err(refuse(headers, body, error, app.request_timeout).await),
    }
}

async fn append_batch(
    app: &App,
    mut terms: Terms,
    media: Media,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response> {
    let config = &terms.log.meta().config;
    let mut permit = app.broker().await?.admission().permit();
    let limits = Limits {
        bytes_max: body_bytes_max(config.batch_bytes_max),
        time: app.request_timeout,
        permit: Some(&mut permit),
    };
    let body = body::read(headers, body, limits).await?;
    let records = match media {
        Media::Protobuf(_) => of_protobuf(&mut terms, &body, config.batch_bytes_max)?,
        _ => of_json(&body)?,
    };
    if records.is_empty() {
        return Err(Error::MalformedBody(
            "a batch has at least one record".into(),
        ));
    }
    let batch = records.into_iter().map(Record::from).collect();
    let appended = terms.append(app, batch).await?;
    Ok(terms::answer(headers, media, &appended))
}

fn of_json(body: &[u8]) -> Result<Vec<v1::Record>> {
    let request: AppendRequest = parse(body, r#"{"records": [{"text": "hello"}]}"#)?;
    if request.len > AppendRequest::RECORDS_MAX {
        return Err(too_many());
    }
    Ok(request.records)
}

fn too_many() -> Error {
    Error::TooManyRecords {
        max: AppendRequest::RECORDS_MAX,
    }
}

/// Decodes a batch, and adds the terms in it.
fn of_protobuf(terms: &mut Terms, body: &[u8], batch_bytes_max: u64) -> Result<Vec<v1::Record>> {
    check_outline(body, batch_bytes_max)?;
    let request: messages::AppendRequest = decode(body)?;
    let log = terms.log.name().as_str();
    if !request.log.is_empty() && request.log != log {
        let what = format!("the path names the log {log}, the body another");
        return Err(Error::ConflictingParameters(what));
    }
    let producer = request.producer.map(|producer| {
        Producer::new(&producer.id, producer.epoch, producer.sequence)
            .map_err(|error| Error::MalformedProducer(error.to_string()))
    });
    let expected = request.expected_offset.map(Offset::new);
    terms.merge(expected, producer.transpose()?, request.sync)?;
    Ok(request.records)
}

/// Checks the numbers of records and headers before decoding: an empty one takes 2 bytes encoded, and many more decoded.
fn check_outline(body: &[u8], batch_bytes_max: u64) -> Result<()> {
    /// A request without its contents: `()` is a message that skips its fields, and takes no memory.
    #[derive(PartialEq, Message)]
    struct Count {
        #[prost(message, repeated, tag = "2")]
        records: Vec<()>,
    }
    #[derive(PartialEq, Message)]
    struct Outline {
        #[prost(message, repeated, tag = "2")]
        records: Vec<RecordOutline>,
    }
    #[derive(PartialEq, Message)]
    struct RecordOutline {
        #[prost(message, repeated, tag = "8")]
        headers: Vec<()>,
    }
    if decode::<Count>(body)?.records.len() > AppendRequest::RECORDS_MAX {
        return Err(too_many());
    }
    let headers = decode::<Outline>(body)?.records.into_iter();
    let headers = headers
        .map(|record| record.headers.len() as u64)
        .sum::<u64>();
    if headers > batch_bytes_max / HEADER_BYTES {
        let max = usize::try_from(batch_bytes_max).unwrap_or(usize::MAX);
        return Err(Error::TooManyHeaders { max });
    }
    Ok(())
}
