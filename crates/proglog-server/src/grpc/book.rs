//! The service `log.v1.Log`, as in the book "Distributed Services with Go".

use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response as HttpResponse;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt};
use futures::stream;
use http_body_util::BodyExt;
use hyper::body::Frame;
use proglog_api::grpc::log::v1::log_server::Log;
use proglog_api::v1::{
    ConsumeRequest, ConsumeResponse, GetServersRequest, GetServersResponse, ProduceRequest,
    ProduceResponse, Record, Server,
};
use proglog_log::StoredRecord;
use prost::Message;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_types::{ErrorDetails, StatusExt, pb};

use super::responses::{Responses, until_drained};
use super::status;
use crate::error::Error;
use crate::state::App;

/// The most requests of a stream that are under way.
const REQUESTS_MAX: usize = 64;

/// The most bytes of them; a larger request is under way alone.
const REQUEST_BYTES_MAX: u32 = 4 << 20;

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
        let record = record_of(request.into_inner(), self.api.record_bytes_max)?;
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
        Ok(Response::new(produce_in_order(
            self.api.clone(),
            request.into_inner(),
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

/// Appends the records of `requests` in their order. The log takes each before the next request is looked at, and
/// their acknowledgements are waited for together. The first failure ends it.
fn produce_in_order(api: App, requests: Streaming<ProduceRequest>) -> Responses<ProduceResponse> {
    type Answer = BoxFuture<'static, Result<ProduceResponse, Status>>;
    let begun = api.draining.begun().boxed();
    let bytes = Arc::new(Semaphore::new(REQUEST_BYTES_MAX as usize));
    let answers = stream::unfold(Some((requests, begun)), move |left| {
        let (api, bytes) = (api.clone(), Arc::clone(&bytes));
        async move {
            let (mut requests, mut begun) = left?;
            let request = tokio::select! {
                biased;
                () = &mut begun => Err(status::draining()),
                request = requests.message() => request,
            };
            let submitted = match request {
                Ok(None) => return None,
                Ok(Some(request)) => submit(&api, &bytes, request).await,
                Err(status) => Err(status),
            };
            Some(match submitted {
                Ok(answer) => (answer.boxed(), Some((requests, begun))),
                Err(status) => (async { Err(status) }.boxed() as Answer, None),
            })
        }
    });
    answers.buffered(REQUESTS_MAX).fuse().boxed()
}

/// Submits the record of a request. Returns what answers the request.
async fn submit(
    api: &App,
    bytes: &Arc<Semaphore>,
    request: ProduceRequest,
) -> Result<impl Future<Output = Result<ProduceResponse, Status>> + Send + 'static, Status> {
    let len = u32::try_from(request.encoded_len()).unwrap_or(u32::MAX);
    let len = len.clamp(1, REQUEST_BYTES_MAX);
    let permit = Arc::clone(bytes).acquire_many_owned(len).await;
    let permit = permit.expect("the semaphore is never closed");
    let record = record_of(request, api.record_bytes_max)?;
    let failed = |failure| status::of(&Error::Append(failure));
    let ticket = api.submit(record.into()).await.map_err(failed)?;
    let api = api.clone();
    Ok(async move {
        let _held = permit;
        let offset = api.acknowledge(ticket).await.map_err(failed)?.get();
        Ok(ProduceResponse { offset })
    })
}

/// The record of a request, if it may be appended.
fn record_of(request: ProduceRequest, max: usize) -> Result<Record, Status> {
    let Some(record) = request.record else {
        let error = Error::MalformedBody("the request has no record".into());
        return Err(status::of(&error));
    };
    let len = record.value.len();
    if len > max {
        return Err(status::of(&Error::RecordTooLarge { len, max }));
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
