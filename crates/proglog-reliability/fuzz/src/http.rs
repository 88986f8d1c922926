//! Requests to the server's router: each is answered as the table of errors says, and what was appended is
//! read back.

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use arbitrary::{Arbitrary, Unstructured};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
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

use crate::damage::Damage;
use crate::record::record;

/// The most requests of an input.
const REQUESTS_MAX: usize = 4;
/// The server's limit on values: small, so that it is met.
const RECORD_BYTES_MAX: usize = 200;
/// The highest offset that is asked for; few inputs append more.
const OFFSET_MAX: u64 = 2;
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

#[derive(Debug, Arbitrary)]
pub(crate) struct Input<'a>(&'a [u8]);

pub(crate) fn check(input: &Input<'_>) {
    let input = Unstructured::new(input.0);
    RUNTIME.with_borrow(|runtime| runtime.block_on(serve(input)));
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

async fn serve(mut input: Unstructured<'_>) {
    let log = Arc::new(MemoryLog::new());
    let options = proglog_server::ServerOptions::new().record_bytes_max(RECORD_BYTES_MAX);
    let mut server = Server {
        router: options.router(log.clone()),
        log,
        values: Vec::new(),
    };
    for _ in 0..REQUESTS_MAX {
        if let Ok(Some((request, body))) = request(&mut input) {
            server.request(request, &body).await;
        }
        if input.is_empty() {
            break;
        }
    }
    for offset in 0..server.values.len() {
        server.assert_reads_back(offset).await;
    }
}

impl Server {
    async fn request(&mut self, request: Request<Body>, body: &[u8]) {
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
            self.appended(&answer, body);
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

/// Methods of requests. What is listed more often comes more often.
const METHODS: [&str; 12] = [
    "POST", "POST", "POST", "POST", "GET", "GET", "GET", "GET", "HEAD", "OPTIONS", "PUT", "?",
];
/// Starts of URIs, of which all but `/` are continued.
const URIS: [&str; 8] = [
    "/",
    "/",
    "/",
    "/",
    "/?offset=",
    "/?offset=",
    "/?a&offset=-",
    "/else",
];
const HEADERS: [&str; 6] = [
    "content-type",
    "accept",
    "content-encoding",
    "expect",
    "content-length",
    "a",
];
/// Values of headers; the empty one stands for any bytes.
const HEADER_VALUES: [&str; 5] = [
    "application/json",
    "application/protobuf",
    "identity",
    "5",
    "",
];

/// A request, if the input makes a valid one, and its body.
fn request(input: &mut Unstructured<'_>) -> arbitrary::Result<Option<(Request<Body>, Bytes)>> {
    let (method, uri) = (*input.choose(&METHODS)?, *input.choose(&URIS)?);
    let fitting = match method {
        "POST" => Content::Produce,
        "GET" if uri == "/" => Content::Consume,
        _ => Content::Nothing,
    };
    let uri = match uri {
        "/" => uri.to_owned(),
        _ if input.ratio(1, 4)? => format!("{uri}{}", input.arbitrary::<&str>()?),
        _ => format!("{uri}{}", input.int_in_range(0..=OFFSET_MAX)?),
    };
    let mut request = Request::builder().method(method).uri(uri);
    for _ in 0..*input.choose(&[0, 0, 1, 1, 3])? {
        let name = *input.choose(&HEADERS)?;
        request = match *input.choose(&HEADER_VALUES)? {
            "" => request.header(name, input.arbitrary::<&[u8]>()?),
            value => request.header(name, value),
        };
    }
    let body = body(input, fitting)?;
    let sent = match input.arbitrary::<u8>()? {
        0..128 => Body::from(body.clone()),
        len => in_pieces(body.clone(), usize::from(len - 127)),
    };
    Ok(request.body(sent).ok().map(|request| (request, body)))
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

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Content {
    Nothing,
    Produce,
    ProduceProtobuf,
    Consume,
    Spaces,
    Bytes,
}

/// A body, most often of a fitting message.
fn body(input: &mut Unstructured<'_>, fitting: Content) -> arbitrary::Result<Bytes> {
    let is_fitting = input.ratio(2, 3)?;
    let message = if is_fitting {
        fitting
    } else {
        input.arbitrary()?
    };
    let mut body = match message {
        Content::Nothing => Vec::new(),
        Content::Produce => {
            let value = STANDARD.encode(input.arbitrary::<&[u8]>()?);
            format!(r#"{{"record": "{value}"}}"#).into()
        }
        Content::ProduceProtobuf => {
            let record = Some(record(input)?);
            v1::ProduceRequest { record }.encode_to_vec()
        }
        Content::Consume => {
            let offset = input.int_in_range(0..=OFFSET_MAX)?;
            format!(r#"{{"offset": {offset}}}"#).into()
        }
        Content::Spaces => vec![b' '; input.arbitrary::<u16>()?.into()],
        Content::Bytes => input.arbitrary::<&[u8]>()?.to_vec(),
    };
    if input.ratio(1, 6)? {
        input.arbitrary::<Damage<'_>>()?.apply(&mut body, &[]);
    }
    Ok(body.into())
}
