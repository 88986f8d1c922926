//! The service `proglog.v1.Records`.

use std::time::Duration;

use futures::future::FutureExt;
use futures::stream::{self, StreamExt};
use proglog_api::grpc::proglog::v1::records_server;
use proglog_api::json::{self, Form};
use proglog_api::proglog::v1::read_request::Start as StartMessage;
use proglog_api::proglog::v1::{
    AppendRequest, AppendResponse, Durability, OffsetRange, ReadRequest, ReadResponse,
};
use proglog_broker::{AppendPermit, Appended, Durability as LogDurability, Handle, LogName};
use proglog_log::{Append, Offset, Producer, Reason, Record};
use prost::Message;
use tonic::{Request, Response, Status, Streaming};

use super::follow::Follower;
use super::pipeline::{Answer, Submit, in_order};
use super::responses::Responses;
use super::status;
use crate::error::{Error, Result};
use crate::rest::parameters::{BYTES, BYTES_MAX, LIMIT, LIMIT_MAX, Parameters, WAIT_MAX};
use crate::rest::query::time_of;
use crate::rest::read::{Page, without_producer};
use crate::rest::start::{Outside, Start};
use crate::state::App;

/// The service on all logs.
pub(super) struct Records {
    app: App,
}

impl Records {
    pub(super) fn new(app: App) -> Self {
        Self { app }
    }
}

#[tonic::async_trait]
impl records_server::Records for Records {
    async fn append(
        &self,
        request: Request<AppendRequest>,
    ) -> Result<Response<AppendResponse>, Status> {
        let append = async {
            let mut writer = Writer::new(&self.app);
            let Batch {
                log,
                append,
                is_synced,
                permit: _held,
            } = writer.prepare(request.into_inner()).await?;
            let appended = self.app.append_to(&log, append, is_synced).await;
            Ok(response(&appended.map_err(Error::Append)?))
        };
        answered(append.await)
    }

    type AppendStreamStream = Responses<AppendResponse>;

    async fn append_stream(
        &self,
        request: Request<Streaming<AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let writer = Writer::new(&self.app);
        Ok(Response::new(in_order(
            &self.app,
            request.into_inner(),
            writer,
        )))
    }

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<ReadResponse>, Status> {
        let read = async {
            let (log, parameters) = parameters(&self.app, request.get_ref()).await?;
            let (page, records) = Page::find(&self.app, &log, &parameters).await?;
            Ok(page.message(records))
        };
        answered(read.await)
    }

    type FollowStream = Responses<ReadResponse>;

    async fn follow(
        &self,
        request: Request<ReadRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let follow = async {
            let (log, parameters) = parameters(&self.app, request.get_ref()).await?;
            let outside = if parameters.clamps {
                Outside::Clamped
            } else {
                Outside::Refused
            };
            let place = parameters.start.find(&self.app, &log, outside).await?;
            let follower = Follower::new(&self.app, log, place.offset)?;
            Ok(following(follower, parameters))
        };
        answered(follow.await)
    }
}

fn answered<T>(result: Result<T>) -> Result<Response<T>, Status> {
    result
        .map(Response::new)
        .map_err(|error| status::of(&error))
}

/// An append that is ready to be submitted.
struct Batch {
    log: Handle,
    append: Append,
    is_synced: bool,
    /// For the memory of the request.
    permit: AppendPermit,
}

/// Appends of a client.
struct Writer {
    app: App,
    /// The log that was appended to last.
    log: Option<Handle>,
}

impl Writer {
    fn new(app: &App) -> Self {
        Self {
            app: app.clone(),
            log: None,
        }
    }

    async fn prepare(&mut self, request: AppendRequest) -> Result<Batch> {
        let mut permit = self.app.broker().await?.admission().permit();
        let admitted = permit.grow_to(request.encoded_len()).await;
        admitted.map_err(|error| Error::Append(error.into()))?;
        if request.records.is_empty() {
            let what = "a batch has at least one record";
            return Err(Error::MalformedBody(what.into()));
        }
        if request.records.len() > json::AppendRequest::RECORDS_MAX {
            let max = json::AppendRequest::RECORDS_MAX;
            return Err(Error::TooManyRecords { max });
        }
        let producer = request.producer.map(|producer| {
            Producer::new(&producer.id, producer.epoch, producer.sequence)
                .map_err(|error| Error::MalformedProducer(error.to_string()))
        });
        let producer = producer.transpose()?;
        let log = self.log(&request.log).await?;
        let records = request.records.into_iter().map(Record::from);
        let mut append = Append::new(records.collect::<proglog_log::Batch>());
        append.expected = request.expected_offset.map(Offset::new);
        append.producer = producer;
        Ok(Batch {
            log,
            append,
            is_synced: request.sync,
            permit,
        })
    }

    /// The log of this name.
    async fn log(&mut self, name: &str) -> Result<Handle> {
        if let Some(log) = &self.log
            && log.name().as_str() == name
        {
            return Ok(log.clone());
        }
        let log = find_log(&self.app, name).await?;
        self.log = Some(log.clone());
        Ok(log)
    }
}

#[tonic::async_trait]
impl Submit for Writer {
    type Request = AppendRequest;
    type Response = AppendResponse;

    async fn submit(&mut self, request: AppendRequest) -> Result<Answer<AppendResponse>> {
        let Batch {
            log,
            append,
            is_synced,
            permit,
        } = self.prepare(request).await?;
        let pending = self.app.submit_to(&log, append).await;
        let pending = pending.map_err(Error::Append)?;
        let app = self.app.clone();
        let answer = async move {
            let _held = permit;
            let appended = app.acknowledge(pending, is_synced).await;
            Ok(response(&appended.map_err(Error::Append)?))
        };
        Ok(answer.boxed())
    }
}

fn response(appended: &Appended) -> AppendResponse {
    let offsets = appended.offsets;
    let durability = match appended.durability {
        LogDurability::Synced => Durability::Synced,
        LogDurability::Interval => Durability::Interval,
        // Later ones: nothing is promised.
        _ => Durability::Buffered,
    };
    AppendResponse {
        start_offset: offsets.map_or(0, |offsets| offsets.start.get()),
        end_offset: offsets.map_or(0, |offsets| offsets.end.get()),
        duplicate: appended.is_duplicate,
        durability: durability.into(),
    }
}

async fn find_log(app: &App, name: &str) -> Result<Handle> {
    let name = LogName::new(name).map_err(|error| Error::MalformedName(error.to_string()))?;
    Ok(app.log(&name).await?)
}

/// The log and the parameters of a read.
async fn parameters(app: &App, request: &ReadRequest) -> Result<(Handle, Parameters)> {
    let bounded = |name: &str, given: u32, default: usize, max: u64| {
        if u64::from(given) > max {
            let what = format!("`{name}` is {given}, and at most {max}");
            return Err(Error::MalformedBody(what));
        }
        Ok(match given {
            0 => default,
            given => usize::try_from(given).unwrap_or(usize::MAX),
        })
    };
    let limit = bounded("limit", request.limit, LIMIT, LIMIT_MAX)?;
    let bytes = bounded("bytes", request.bytes, BYTES, BYTES_MAX)?;
    bounded("wait_ms", request.wait_ms, 0, 1_000 * WAIT_MAX)?;
    let start = match request.start {
        None | Some(StartMessage::End(false)) => Start::Oldest,
        Some(StartMessage::End(true)) => Start::End,
        Some(StartMessage::Offset(offset)) => Start::At(Offset::new(offset)),
        Some(StartMessage::Last(records)) => Start::Last(records),
        Some(StartMessage::Time(micros)) => {
            let time = time_of(micros);
            let what = || format!("`time` is {micros}, which is out of range");
            Start::Time(time.ok_or_else(|| Error::MalformedBody(what()))?)
        }
    };
    let parameters = Parameters {
        start,
        limit,
        bytes,
        wait: Duration::from_millis(request.wait_ms.into()),
        clamps: request.clamp,
        form: Form::Base64,
        skips_damaged: request.skip_damaged,
        follows: false,
    };
    Ok((find_log(app, &request.log).await?, parameters))
}

/// The pages of a follower. The first failure that it does not go on after ends them.
fn following(follower: Follower, parameters: Parameters) -> Responses<ReadResponse> {
    let pages = stream::unfold(Some((follower, parameters)), async |state| {
        let (mut follower, parameters) = state?;
        let page = next_page(&mut follower, &parameters).await;
        match page {
            Ok(page) => Some((Ok(page), Some((follower, parameters)))),
            Err(Error::Draining) => Some((Err(status::draining()), None)),
            Err(error) => Some((Err(status::of(&error)), None)),
        }
    });
    pages.fuse().boxed()
}

/// The next records, or a damaged one that is left out.
async fn next_page(follower: &mut Follower, parameters: &Parameters) -> Result<ReadResponse> {
    let mut page = ReadResponse::default();
    loop {
        let read = follower.records(parameters.limit, parameters.bytes).await;
        match read {
            Ok(records) => page.records = records.into_iter().map(without_producer).collect(),
            Err(error) => match reason(&error) {
                Some(&Reason::Trimmed { start, .. }) if parameters.clamps => {
                    follower.next = start;
                    continue;
                }
                Some(Reason::Corrupt { .. }) if parameters.skips_damaged => {
                    let start = follower.next.get();
                    follower.next = follower.next.saturating_add(1);
                    let end = follower.next.get();
                    page.damaged.push(OffsetRange { start, end });
                }
                _ => return Err(error),
            },
        }
        let offsets = follower.log.offsets();
        page.next_offset = follower.next.get();
        (page.start_offset, page.end_offset) = (offsets.start.get(), offsets.end.get());
        return Ok(page);
    }
}

/// The reason why a read has failed, if the log gave one.
fn reason(error: &Error) -> Option<&Reason> {
    match error {
        Error::Read { failure, .. } => failure.of_log().map(|error| &error.reason),
        _ => None,
    }
}
