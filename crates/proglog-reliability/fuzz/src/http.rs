//! Requests to the server's router: each is answered as the table of errors says, and what was appended is
//! read back.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt;
use proglog_api::{json, v1};
use proglog_log::{MemoryLog, StoredRecord};
use prost::Message;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::input::Input;
use crate::memory;

/// The most requests of an input.
const REQUESTS_MAX: usize = 4;
/// The server's limit on values: small, so that it is met.
const RECORD_BYTES_MAX: usize = 200;
/// The statuses of a working server.
const STATUSES: [u16; 7] = [200, 400, 404, 405, 413, 415, 410];

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime can be made"),
    );
}

/// Runs the target.
pub fn run(data: &[u8]) {
    memory::bounded(|| RUNTIME.with_borrow(|runtime| runtime.block_on(serve(data))));
}

/// A server, and the values that were appended to it.
struct Server {
    router: Router,
    log: Arc<MemoryLog>,
    values: Vec<Bytes>,
}

struct Answer {
    status: StatusCode,
    media_type: String,
    body: Bytes,
}

async fn serve(data: &[u8]) {
    let log = Arc::new(MemoryLog::new());
    let options = proglog_server::ServerOptions::new().record_bytes_max(RECORD_BYTES_MAX);
    let mut server = Server {
        router: options.router(log.clone()),
        log,
        values: Vec::new(),
    };
    let mut input = Input::new(data);
    for _ in 0..REQUESTS_MAX {
        if input.is_empty() {
            break;
        }
        server.try_request(&mut input).await;
    }
    for offset in 0..server.values.len() {
        server.assert_reads_back(offset).await;
    }
}

impl Server {
    async fn try_request(&mut self, input: &mut Input<'_>) {
        let Some((request, body)) = request(input) else {
            return;
        };
        let method = request.method().clone();
        let answer = self.call(request).await;
        assert!(
            STATUSES.contains(&answer.status.as_u16()),
            "{}",
            answer.status
        );
        if answer.status != StatusCode::OK {
            if method != Method::HEAD {
                answer.assert_problem();
            }
        } else if method == Method::POST {
            self.appended(&answer, &body);
        } else if method == Method::GET {
            self.assert_known(&answer);
        } else {
            assert_eq!(method, Method::HEAD);
        }
        let end = self.log.end_offset().get();
        assert_eq!(
            end,
            self.values.len() as u64,
            "what was refused is not there"
        );
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let answered = self.router.clone().oneshot(request).await;
        let response: Response<Body> = answered.unwrap_or_else(|never| match never {});
        let (head, body) = response.into_parts();
        let media_type = head.headers.get(header::CONTENT_TYPE);
        let media_type = media_type.map_or("", |value| value.to_str().expect("it is text"));
        Answer {
            status: head.status,
            media_type: media_type.to_owned(),
            body: body.collect().await.expect("it is whole").to_bytes(),
        }
    }

    /// A record was taken out of `body`.
    fn appended(&mut self, answer: &Answer, body: &[u8]) {
        let offset = if answer.media_type == "application/json" {
            let message = serde_json::from_slice::<json::ProduceResponse>(&answer.body);
            message.expect("the answer is JSON").offset
        } else {
            let message = v1::ProduceResponse::decode(&*answer.body);
            message.expect("the answer is protobuf").offset
        };
        assert_eq!(offset, self.values.len() as u64, "offsets are dense");
        let record = self.log.read(offset).expect("it was appended");
        let in_json = serde_json::from_slice::<json::ProduceRequest>(body).ok();
        let in_json = in_json.map(|request| v1::Record::new(request.record));
        let in_protobuf = v1::ProduceRequest::decode(body).ok();
        let in_protobuf = in_protobuf.and_then(|request| request.record);
        let sent = [in_json, in_protobuf]
            .into_iter()
            .flatten()
            .map(|sent| StoredRecord::new(offset, record.appended_at(), sent));
        assert!(sent.into_iter().any(|sent| sent == record), "{record:?}");
        assert!(record.value.len() <= RECORD_BYTES_MAX);
        self.values.push(record.value);
    }

    /// A record was read, and it is one of those that were appended.
    fn assert_known(&self, answer: &Answer) {
        if answer.media_type == "application/json" {
            let message = serde_json::from_slice::<json::ConsumeResponse>(&answer.body);
            let record = message.expect("the answer is JSON").record;
            assert!(self.values.contains(&record), "{record:?}");
        } else {
            let message = v1::ConsumeResponse::decode(&*answer.body);
            let record = message.ok().and_then(|message| message.record);
            let record = record.expect("the answer is protobuf");
            let at = usize::try_from(record.offset).expect("it is small");
            assert_eq!(self.values.get(at), Some(&record.value));
        }
    }

    async fn assert_reads_back(&self, offset: usize) {
        let request = Request::get(format!("/?offset={offset}")).body(Body::empty());
        let answer = self.call(request.expect("it is valid")).await;
        assert_eq!(answer.status, StatusCode::OK);
        let message = serde_json::from_slice::<json::ConsumeResponse>(&answer.body);
        assert_eq!(
            message.ok().map(|message| message.record).as_ref(),
            self.values.get(offset)
        );
    }
}

impl Answer {
    /// Its body says in JSON what is wrong.
    fn assert_problem(&self) {
        assert_eq!(
            self.media_type, "application/problem+json",
            "{}",
            self.status
        );
        let problem = serde_json::from_slice::<serde_json::Value>(&self.body);
        let problem = problem.expect("the answer is JSON");
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(
            problem["code"]
                .as_str()
                .is_some_and(|code| !code.is_empty())
        );
        let detail = problem["detail"].as_str().expect("it has words");
        assert!(!detail.is_empty() && detail.len() < 1000, "{detail}");
    }
}

/// A request, if the input makes a valid one, and its body.
fn request(input: &mut Input<'_>) -> Option<(Request<Body>, Bytes)> {
    let method = match input.byte() % 8 {
        0 | 1 => Method::POST,
        2 | 3 => Method::GET,
        4 => Method::HEAD,
        5 => Method::OPTIONS,
        6 => Method::PUT,
        _ => Method::from_bytes(input.piece()).ok()?,
    };
    let uri = match input.byte() % 4 {
        0 | 1 => Uri::from_static("/"),
        2 => format!("/?offset={}", input.byte()).parse().ok()?,
        _ => Uri::try_from(input.piece()).ok()?,
    };
    let mut request = Request::builder().method(method).uri(uri);
    for _ in 0..input.byte() % 4 {
        let (name, value) = header(input)?;
        request = request.header(name, value);
    }
    let body = body(input);
    let sent = match usize::from(input.byte()) {
        0 => Body::from(body.clone()),
        len => in_pieces(body.clone(), len),
    };
    let request = request.body(sent).ok()?;
    Some((request, body))
}

/// A body that comes in pieces of this length.
fn in_pieces(body: Bytes, len: usize) -> Body {
    let starts = (0..body.len()).step_by(len);
    let pieces = starts.map(move |at| {
        let end = body.len().min(at + len);
        Ok::<_, Infallible>(body.slice(at..end))
    });
    Body::from_stream(stream::iter(pieces))
}

fn header(input: &mut Input<'_>) -> Option<(HeaderName, HeaderValue)> {
    let name = match input.byte() % 6 {
        0 => header::CONTENT_TYPE,
        1 => header::ACCEPT,
        2 => header::CONTENT_ENCODING,
        3 => header::EXPECT,
        4 => header::CONTENT_LENGTH,
        _ => HeaderName::from_bytes(input.piece()).ok()?,
    };
    let value = match input.byte() % 4 {
        0 => HeaderValue::from_static("application/json"),
        1 => HeaderValue::from_static("application/protobuf"),
        2 => HeaderValue::from_static("identity"),
        _ => HeaderValue::from_bytes(input.piece()).ok()?,
    };
    Some((name, value))
}

fn body(input: &mut Input<'_>) -> Bytes {
    match input.byte() % 6 {
        0 => Bytes::new(),
        1 => {
            let value = STANDARD.encode(input.piece());
            format!(r#"{{"record": "{value}"}}"#).into()
        }
        2 => format!(r#"{{"offset": {}}}"#, input.byte()).into(),
        3 => {
            let record = v1::Record::decode(input.piece()).ok();
            v1::ProduceRequest { record }.encode_to_vec().into()
        }
        4 => Bytes::from(vec![b' '; input.number()]),
        _ => Bytes::copy_from_slice(input.piece()),
    }
}
