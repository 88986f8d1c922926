//! Reads of many records: pages, long polls and streams.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use proglog_api::json::Form;
use proglog_api::proglog::v1 as messages;
use proglog_broker::Handle;
use proglog_log::{ErrorKind, Offset, Offsets, StoredRecord};
use serde::Serialize;

use crate::error::{Error, Result};
use crate::rest::answer;
use crate::rest::follow;
use crate::rest::negotiate::Media;
use crate::rest::parameters::Parameters;
use crate::rest::path::Names;
use crate::rest::start::{Outside, Place, Start};
use crate::state::App;

const NEXT_OFFSET: HeaderName = HeaderName::from_static("proglog-next-offset");
const START_OFFSET: HeaderName = HeaderName::from_static("proglog-start-offset");
const END_OFFSET: HeaderName = HeaderName::from_static("proglog-end-offset");
const CLAMPED_FROM: HeaderName = HeaderName::from_static("proglog-clamped-from");

pub(crate) async fn read(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let headers = request.headers();
    let parameters = Parameters::of(request.uri().query())?;
    let media = Media::accepted(headers, Media::Json, |_| true);
    let log = app.log(&names.log).await?;
    match media {
        Media::Events => {
            let resumed = Start::resumed(headers)?;
            follow::answer(app, log, media, parameters, resumed).await
        }
        Media::Lines if parameters.follows => {
            follow::answer(app, log, media, parameters, None).await
        }
        _ if parameters.follows => Err(Error::ConflictingParameters(
            "`follow=true` needs `Accept: application/x-ndjson` or `text/event-stream`".into(),
        )),
        _ => page(&app, &log, media, &parameters).await,
    }
}

/// A page without its records: where the next ones are.
#[derive(Debug)]
pub(crate) struct Page {
    next: Offset,
    offsets: Offsets,
    clamped_from: Option<Offset>,
    /// Ranges of records that were left out.
    damaged: Vec<(u64, u64)>,
}

async fn page(app: &App, log: &Handle, media: Media, parameters: &Parameters) -> Result<Response> {
    let (page, records) = Page::find(app, log, parameters).await?;
    let mut response = match media {
        Media::Protobuf(_) => answer::protobuf(media, &page.message(records)),
        Media::Lines => page.in_lines(records, parameters.form),
        _ => page.in_json(records, parameters.form),
    };
    page.add_headers(response.headers_mut());
    Ok(answer::not_stored(response))
}

/// Waits until there is a record at `offset`, the server shuts down, or the time is over.
async fn wait_for(app: &App, log: &Handle, offset: Offset, time: Duration) {
    let mut ends = log.ends();
    let arrived = async {
        tokio::select! {
            // The other end is gone if the log is closed, which the read will say.
            _ = ends.wait_for(|offsets| offsets.end > offset) => {}
            () = app.draining.begun() => {}
        }
    };
    // The read that follows finds what there is.
    let _ = tokio::time::timeout(time, arrived).await;
}

impl Page {
    /// Reads the page that `parameters` ask for, and waits for a record if they do.
    pub(crate) async fn find(
        app: &App,
        log: &Handle,
        parameters: &Parameters,
    ) -> Result<(Self, Vec<StoredRecord>)> {
        let outside = if parameters.clamps {
            Outside::Clamped
        } else {
            Outside::Refused
        };
        let place = parameters.start.find(app, log, outside).await?;
        if !parameters.wait.is_zero() {
            wait_for(app, log, place.offset, parameters.wait).await;
        }
        Self::read(app, log, place, parameters).await
    }

    async fn read(
        app: &App,
        log: &Handle,
        place: Place,
        parameters: &Parameters,
    ) -> Result<(Self, Vec<StoredRecord>)> {
        let mut page = Self {
            next: place.offset,
            offsets: log.offsets(),
            clamped_from: place.clamped_from,
            damaged: Vec::new(),
        };
        let mut found = Vec::new();
        for _ in 0..parameters.limit {
            let read = log.read(page.next, parameters.limit, parameters.bytes);
            match app.in_time(read).await {
                Ok(records) => {
                    found = records;
                    break;
                }
                Err(failure)
                    if parameters.skips_damaged && failure.kind() == Some(ErrorKind::Corrupt) =>
                {
                    page.skip();
                }
                Err(failure) => {
                    let offset = page.next.get();
                    return Err(Error::Read { offset, failure });
                }
            }
        }
        if let Some(last) = found.last() {
            page.next = last.offset.saturating_add(1);
        }
        page.offsets = log.offsets();
        Ok((page, found))
    }

    /// Leaves out the next record.
    fn skip(&mut self) {
        let (next, after) = (self.next.get(), self.next.saturating_add(1));
        match self.damaged.last_mut() {
            Some((_, end)) if *end == next => *end = after.get(),
            _ => self.damaged.push((next, after.get())),
        }
        self.next = after;
    }

    fn add_headers(&self, headers: &mut HeaderMap) {
        let mut add = |name, offset: Offset| headers.insert(name, HeaderValue::from(offset.get()));
        add(NEXT_OFFSET, self.next);
        add(START_OFFSET, self.offsets.start);
        add(END_OFFSET, self.offsets.end);
        if let Some(asked) = self.clamped_from {
            add(CLAMPED_FROM, asked);
        }
    }

    fn in_json(&self, records: Vec<StoredRecord>, form: Form) -> Response {
        /// What follows after the records.
        #[derive(Serialize)]
        struct Rest<'a> {
            next_offset: u64,
            start_offset: u64,
            end_offset: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            clamped_from: Option<u64>,
            #[serde(skip_serializing_if = "<[_]>::is_empty")]
            damaged: &'a [(u64, u64)],
        }
        let rest = Rest {
            next_offset: self.next.get(),
            start_offset: self.offsets.start.get(),
            end_offset: self.offsets.end.get(),
            clamped_from: self.clamped_from.map(Offset::get),
            damaged: &self.damaged,
        };
        let rest = serde_json::to_vec(&rest).expect("numbers always serialize");
        let mut body = b"{\"records\":[".to_vec();
        write_records(records, form, b",", &mut body);
        body.extend_from_slice(b"],");
        body.extend_from_slice(&rest[1..]);
        answer::with_body(Media::Json, body)
    }

    fn in_lines(&self, records: Vec<StoredRecord>, form: Form) -> Response {
        let mut body = Vec::new();
        for (from, to) in &self.damaged {
            follow::write_damaged(*from, *to, &mut body);
        }
        let has_records = !records.is_empty();
        write_records(records, form, b"\n", &mut body);
        if has_records {
            body.push(b'\n');
        }
        answer::with_body(Media::Lines, body)
    }

    /// The message of the page and its records.
    pub(crate) fn message(&self, records: Vec<StoredRecord>) -> messages::ReadResponse {
        let records = records.into_iter().map(without_producer);
        let damaged = self.damaged.iter();
        messages::ReadResponse {
            records: records.collect(),
            next_offset: self.next.get(),
            start_offset: self.offsets.start.get(),
            end_offset: self.offsets.end.get(),
            damaged: damaged
                .map(|&(start, end)| messages::OffsetRange { start, end })
                .collect(),
        }
    }
}

fn write_records(records: Vec<StoredRecord>, form: Form, between: &[u8], body: &mut Vec<u8>) {
    for (at, record) in records.into_iter().enumerate() {
        if at > 0 {
            body.extend_from_slice(between);
        }
        form.write_record(&record.into(), body);
    }
}

/// The message of a record, as clients of the record calls get it.
pub(crate) fn without_producer(record: StoredRecord) -> proglog_api::v1::Record {
    proglog_api::v1::Record {
        producer: None,
        ..record.into()
    }
}
