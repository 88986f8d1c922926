//! Reads of one record.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proglog_api::v1;
use proglog_broker::{Handle, LogId};
use proglog_log::{Offset, StoredRecord};

use crate::error::{Error, Result};
use crate::rest::answer;
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::{Query, offset_in_path};
use crate::rest::read::without_producer;
use crate::state::App;

pub(crate) async fn read(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let mut query = Query::parse(request.uri().query());
    let form = query.form()?;
    let found = Found::read(&app, &names, query, request.headers()).await?;
    let media = Media::accepted(request.headers(), Media::Json, |media| {
        matches!(media, Media::Json | Media::Protobuf(_))
    });
    Ok(found.answer(|record| {
        if let Media::Protobuf(_) = media {
            let record = Some(without_producer(record));
            return answer::protobuf(media, &v1::ConsumeResponse { record });
        }
        let mut body = b"{\"record\":".to_vec();
        form.write_record(&record.into(), &mut body);
        body.push(b'}');
        answer::with_body(media, body)
    }))
}

/// A record that was found for a client that may have it already.
pub(crate) struct Found {
    /// `None` if the client has it.
    record: Option<StoredRecord>,
    tag: HeaderValue,
    /// True if the client names the log by its id, so that the answer holds for ever.
    is_immutable: bool,
}

impl Found {
    /// Reads the record that the path names. Takes the rest of the query.
    pub(crate) async fn read(
        app: &App,
        names: &Names,
        mut query: Query<'_>,
        headers: &HeaderMap,
    ) -> Result<Self> {
        let offset = offset_in_path(names.second())?;
        let expected = "32 hexadecimal digits in lower case";
        let id: Option<LogId> = query.parsed("log_id", expected, |text| text.parse().ok())?;
        query.finish()?;
        let log = app.log(&names.log).await?;
        if id.is_some_and(|id| id != log.id()) {
            return Err(Error::LogChanged { id: log.id() });
        }
        let tag = tag(&log, offset);
        // A record that can be read never changes.
        let is_known = log.offsets().contains(offset) && has_tag(headers, &tag);
        let record = if is_known {
            None
        } else {
            let read = app.in_time(log.read_one(offset)).await;
            let offset = offset.get();
            Some(read.map_err(|failure| Error::Read { offset, failure })?)
        };
        Ok(Self {
            record,
            tag,
            is_immutable: id.is_some(),
        })
    }

    /// The response, whose body and headers `write` makes.
    pub(crate) fn answer(self, write: impl FnOnce(StoredRecord) -> Response) -> Response {
        let mut response = match self.record {
            Some(record) => write(record),
            None => StatusCode::NOT_MODIFIED.into_response(),
        };
        let caching = if self.is_immutable {
            "private, max-age=31536000, immutable"
        } else {
            "no-cache"
        };
        let headers = response.headers_mut();
        headers.insert(header::ETAG, self.tag);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        response
    }
}

/// The tag of a record: the id of its log and its offset.
fn tag(log: &Handle, offset: Offset) -> HeaderValue {
    let tag = format!("\"{}-{offset}\"", log.id());
    HeaderValue::try_from(tag).expect("digits and quotes are fit for a header")
}

/// Returns whether the client has what has this tag.
fn has_tag(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let known = headers.get_all(header::IF_NONE_MATCH).into_iter();
    let known = known.filter_map(|tags| tags.to_str().ok());
    let mut known = known.flat_map(|tags| tags.split(',')).map(str::trim);
    known.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}
