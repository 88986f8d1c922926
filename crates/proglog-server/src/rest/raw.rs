//! Values as they are: any body is a record, and comes back with its type.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use proglog_log::{Batch, Header, Record, StoredRecord};

use crate::error::{Error, Result};
use crate::rest::body::{self, Limits, refuse};
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::{Query, time_of};
use crate::rest::record::Found;
use crate::rest::terms::{self, Terms};
use crate::state::App;

/// The name of the header of a record that has the media type of its value.
const CONTENT_TYPE: &str = "content-type";
/// The names of the headers of a request that become headers of the record begin with this.
const PREFIX: &str = "proglog-header-";

const OFFSET: HeaderName = HeaderName::from_static("proglog-offset");
const APPENDED_AT: HeaderName = HeaderName::from_static("proglog-appended-at");

pub(crate) async fn append(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let (head, body) = request.into_parts();
    let prepared = async {
        let mut query = Query::parse(head.uri.query());
        let mut record = Record::new(Bytes::new());
        record.key = query.take("key")?.map(|key| Bytes::from(key.into_owned()));
        let expected = "an integer of microseconds since 1970";
        let time = |text: &str| time_of(text.parse().ok()?);
        if let Some(time) = query.parsed("timestamp", expected, time)? {
            record = record.with_timestamp(time);
        }
        record.headers = headers(&head.headers)?;
        let terms = Terms::of(&app, &names, &mut query, &head.headers).await?;
        query.finish()?;
        Ok((terms, record))
    };
    let (terms, mut record) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => return Err(refuse(&head.headers, body, error, app.request_timeout).await),
    };
    let bytes_max = usize::try_from(terms.log.meta().config.record_bytes_max);
    let mut permit = app.broker().await?.admission().permit();
    let limits = Limits {
        bytes_max: bytes_max.unwrap_or(usize::MAX),
        time: app.request_timeout,
        permit: Some(&mut permit),
    };
    let body = body::read(&head.headers, body, limits).await?;
    // Otherwise a log in memory keeps the buffer of the connection with the record.
    record.value = Bytes::copy_from_slice(&body);
    let appended = terms.append(&app, Batch::from(record)).await?;
    Ok(terms::answer(&head.headers, Media::Json, &appended))
}

/// The headers of the record, from those of the request. Their names are in lower case.
fn headers(headers: &HeaderMap) -> Result<Vec<Header>> {
    let media_type = headers.get(header::CONTENT_TYPE);
    let mut found: Vec<_> = media_type
        .map(|value| Header::new(CONTENT_TYPE, value.as_bytes()))
        .into_iter()
        .collect();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if name.is_empty() {
            let what = "Proglog-Header- has to be followed by the name of a header";
            return Err(Error::MalformedHeader(what.into()));
        }
        found.push(Header::new(name, value.as_bytes()));
    }
    Ok(found)
}

pub(crate) async fn read(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let query = Query::parse(request.uri().query());
    let found = Found::read(&app, &names, query, request.headers()).await?;
    Ok(found.answer(|record| answer(&record)))
}

fn answer(record: &StoredRecord) -> Response {
    let mut response = Response::new(record.value.clone().into());
    let headers = response.headers_mut();
    let media_type = media_type(record);
    if !is_harmless(&media_type) {
        let attachment = HeaderValue::from_static("attachment");
        headers.insert(header::CONTENT_DISPOSITION, attachment);
    }
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(OFFSET, HeaderValue::from(record.offset.get()));
    headers.insert(APPENDED_AT, HeaderValue::from(appended_at(record)));
    let nosniff = HeaderValue::from_static("nosniff");
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, nosniff);
    let sandbox = HeaderValue::from_static("sandbox; default-src 'none'");
    headers.insert(header::CONTENT_SECURITY_POLICY, sandbox);
    response
}

/// The type that the value was sent with, if it is fit for a header.
fn media_type(record: &StoredRecord) -> HeaderValue {
    let header = record
        .headers
        .iter()
        .find(|header| header.name == CONTENT_TYPE);
    let named = header.and_then(|header| HeaderValue::from_bytes(&header.value).ok());
    named.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

/// Returns whether browsers may show a value of this type: no script in it runs.
fn is_harmless(media_type: &HeaderValue) -> bool {
    let name = media_type.to_str().unwrap_or_default();
    let name = name.split(';').next().unwrap_or_default().trim();
    ["application/json", "text/plain"]
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
}

/// When the record was appended, in microseconds since 1970.
fn appended_at(record: &StoredRecord) -> i64 {
    proglog_api::v1::Record::from(record.clone()).appended_at
}
