//! The service `log.v1.Log`, as in the book "Distributed Services with Go".

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response as HttpResponse;
use futures::StreamExt;
use futures::future::FutureExt;
use http_body_util::BodyExt;
use hyper::body::Frame;
use proglog_api::grpc::log::v1::log_server::Log;
use proglog_api::v1::{
    ConsumeRequest, ConsumeResponse, GetServersRequest, GetServersResponse, ProduceRequest,
    ProduceResponse, Record, Server,
};
use proglog_log::StoredRecord;
use prost::Message;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt, pb};

use super::pipeline::{Answer, Submit, in_order};
use super::responses::{Responses, until_drained};
use super::status;
use crate::error::Error;
use crate::state::App;

/// The number of the status of an offset that is out of range. It is not one of gRPC, and tonic cannot write it.
const OUT_OF_RANGE: u16 = 404;

/// The service on one log.
pub(super) struct Book {
    api: App,
}

impl Book {
    pub(super) fn new(api: App) -> Self {
        Self { api }
    }
}

#[tonic::async_trait]
impl Log for Book {
    async fn produce(
        &self,
        request: Request<ProduceRequest>,
    ) -> Result<Response<ProduceResponse>, Status> {
        let record = record_of(request.into_inner(), self.api.record_bytes_max);
        let record = record.map_err(|error| status::of(&error))?;
        let appended = self.api.append(record.into()).await;
        let offset = appended.map_err(|failure| status::of(&Error::Append(failure)))?;
        let offset = offset.get();
        Ok(Response::new(ProduceResponse { offset }))
    }

    async fn consume(
        &self,
        request: Request<ConsumeRequest>,
    ) -> Result<Response<ConsumeResponse>, Status> {
        let offset = request.into_inner().offset;
        let read = self.api.read(offset).await;
        let record = read.map_err(|failure| status_of_read(&Error::Read { offset, failure }))?;
        Ok(Response::new(consumed(record)))
    }

    type ConsumeStreamStream = Responses<ConsumeResponse>;

    async fn consume_stream(
        &self,
        request: Request<ConsumeRequest>,
    ) -> Result<Response<Self::ConsumeStreamStream>, Status> {
        let mut next = request.into_inner().offset;
        let records = self.api.follow(next).map(move |record| {
            let offset = next;
            next += 1;
            let record =
                record.map_err(|failure| status_of_read(&Error::Read { offset, failure }))?;
            Ok(consumed(record))
        });
        Ok(Response::new(until_drained(records, &self.api.draining)))
    }

    type ProduceStreamStream = Responses<ProduceResponse>;

    async fn produce_stream(
        &self,
        request: Request<Streaming<ProduceRequest>>,
    ) -> Result<Response<Self::ProduceStreamStream>, Status> {
        let app = self.api.clone();
        let appends = Appends { app };
        Ok(Response::new(in_order(
            &self.api,
            request.into_inner(),
            appends,
        )))
    }

    async fn get_servers(
        &self,
        _: Request<GetServersRequest>,
    ) -> Result<Response<GetServersResponse>, Status> {
        let server = Server {
            id: self.api.node.name.clone(),
            rpc_addr: self.api.node.address.clone(),
            is_leader: true,
        };
        let servers = vec![server];
        Ok(Response::new(GetServersResponse { servers }))
    }
}

/// Appends of a stream.
struct Appends {
    app: App,
}

#[tonic::async_trait]
impl Submit for Appends {
    type Request = ProduceRequest;
    type Response = ProduceResponse;

    async fn submit(&mut self, request: ProduceRequest) -> Result<Answer<ProduceResponse>, Error> {
        let record = record_of(request, self.app.record_bytes_max)?;
        let pending = self.app.submit(record.into()).await;
        let pending = pending.map_err(Error::Append)?;
        let app = self.app.clone();
        let answer = async move {
            let appended = app.acknowledge(pending, false).await;
            let offsets = appended.map_err(Error::Append)?.offsets;
            // It has no producer, and so is never a duplicate whose offsets are forgotten.
            let offsets = offsets.ok_or(proglog_broker::Error::Panicked)?;
            let offset = offsets.start.get();
            Ok(ProduceResponse { offset })
        };
        Ok(answer.boxed())
    }
}

/// The record of a request, if it may be appended.
fn record_of(request: ProduceRequest, max: usize) -> Result<Record, Error> {
    let missing = || Error::MalformedBody("the request has no record".into());
    let record = request.record.ok_or_else(missing)?;
    let len = record.value.len();
    if len > max {
        return Err(Error::RecordTooLarge { len, max });
    }
    Ok(record)
}

/// The response with a record. It leaves out what a record of the book lacks and the client has not set: the book's
/// clients compare whole records.
fn consumed(record: StoredRecord) -> ConsumeResponse {
    let record = Record {
        appended_at: 0,
        producer: None,
        ..record.into()
    };
    ConsumeResponse {
        record: Some(record),
    }
}

/// The status of a read that failed; out of range, it is that of the book.
fn status_of_read(error: &Error) -> Status {
    match error {
        Error::Read { offset, .. } if status::is_out_of_range(error) => out_of_range(*offset),
        error => status::of(error),
    }
}

/// The status of the book for an offset that has no record. [`number_statuses`] gives it its number: of this service, it
/// is the only one with code UNKNOWN and details.
fn out_of_range(offset: u64) -> Status {
    let text = format!("The requested offset is outside the log's range: {offset}");
    let mut details = ErrorDetails::new();
    details.set_localized_message("en-US", text);
    let message = format!("offset out of range: {offset}");
    let status = Status::with_error_details(Code::Unknown, message, details);
    // tonic has written a number that it knows into the details too.
    let mut details = pb::Status::decode(status.details()).unwrap_or_default();
    details.code = OUT_OF_RANGE.into();
    Status::with_details(
        Code::Unknown,
        status.message(),
        details.encode_to_vec().into(),
    )
}

/// Writes the number of the status for what is out of range, in headers or trailers.
pub(super) async fn number_statuses(response: HttpResponse) -> HttpResponse {
    let (mut head, body) = response.into_parts();
    number_status(&mut head.headers);
    let body = body.map_frame(|frame| match frame.into_trailers() {
        Ok(mut trailers) => {
            number_status(&mut trailers);
            Frame::trailers(trailers)
        }
        Err(frame) => frame,
    });
    HttpResponse::from_parts(head, Body::new(body))
}

fn number_status(headers: &mut HeaderMap) {
    let is_unknown = headers.get("grpc-status").is_some_and(|code| code == "2");
    if is_unknown && headers.contains_key("grpc-status-details-bin") {
        headers.insert("grpc-status", HeaderValue::from(OUT_OF_RANGE));
    }
}
