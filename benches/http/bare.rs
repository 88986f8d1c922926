//! The limit: a server that decodes requests and encodes responses as proglog does, and does nothing else.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use benches::payload;
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use crate::works::RECORD_LEN;

#[derive(Deserialize)]
struct Produce<'a> {
    record: &'a str,
}

#[derive(Serialize)]
struct Produced {
    offset: u64,
}

#[derive(Deserialize)]
struct Consume {
    offset: u64,
}

#[derive(Serialize)]
struct Consumed {
    record: String,
}

/// The offset to give next, and the one record that there is.
struct Memory {
    next: AtomicU64,
    record: Vec<u8>,
}

/// Serves until the process is killed. A `directory` is not needed.
pub(crate) async fn serve(listener: TcpListener, _directory: &Path) -> io::Result<()> {
    let memory = Memory {
        next: AtomicU64::new(0),
        record: payload(RECORD_LEN).to_vec(),
    };
    let router = Router::new()
        .route("/", get(consume).post(produce))
        .with_state(Arc::new(memory));
    let listener = listener.tap_io(|stream| {
        // Slower without it, and no less right.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, router).await
}

async fn produce(State(memory): State<Arc<Memory>>, body: Bytes) -> Response {
    let decoded = serde_json::from_slice::<Produce<'_>>(&body).ok();
    let Some(record) = decoded.and_then(|body| BASE64_STANDARD.decode(body.record).ok()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    std::hint::black_box(record);
    let offset = memory.next.fetch_add(1, Ordering::Relaxed);
    json(&Produced { offset })
}

async fn consume(State(memory): State<Arc<Memory>>, query: Query<Consume>) -> Response {
    std::hint::black_box(query.offset);
    // As from a file: into memory of its own.
    let record = std::hint::black_box(memory.record.clone());
    json(&Consumed {
        record: BASE64_STANDARD.encode(record),
    })
}

fn json(body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
