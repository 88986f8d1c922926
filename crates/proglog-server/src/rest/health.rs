//! What the server is, and how it is.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use proglog_broker::{LogName, State as LogState};
use serde::Serialize;

use crate::error::Result;
use crate::rest::answer;
use crate::rest::query::Query;
use crate::state::{App, FOLLOWERS_MAX};

#[derive(Debug, Serialize)]
struct Info {
    version: &'static str,
    limits: Limits,
    /// Who the client is: without authentication anybody.
    subject: &'static str,
}

#[derive(Debug, Serialize)]
struct Limits {
    connections: usize,
    followers: usize,
    request_timeout_ms: u64,
}

#[derive(Debug, Serialize)]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    degraded: Option<Vec<&'static str>>,
}

pub(crate) async fn info(State(app): State<App>, request: Request) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    let timeout = app.request_timeout.as_millis();
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        limits: Limits {
            connections: app.options.connections_max,
            followers: FOLLOWERS_MAX,
            request_timeout_ms: u64::try_from(timeout).unwrap_or(u64::MAX),
        },
        subject: "anonymous",
    };
    Ok(answer::not_stored(answer::json(&info)))
}

/// The process answers.
pub(crate) async fn live() -> Response {
    health(StatusCode::OK, "live", None)
}

/// Appends and reads are answered, perhaps with an error that concerns some of them alone.
pub(crate) async fn ready(State(app): State<App>) -> Response {
    if app.draining.has_begun() {
        return health(StatusCode::SERVICE_UNAVAILABLE, "draining", None);
    }
    let default = async {
        let broker = app.broker().await?;
        app.in_time(broker.describe(&LogName::default_log())).await
    };
    let state = default.await.map(|default| default.state);
    let mut degraded = Vec::new();
    match state {
        Ok(LogState::Open | LogState::Idle) => {}
        Ok(LogState::Poisoned) => degraded.push("log_poisoned"),
        _ => return health(StatusCode::SERVICE_UNAVAILABLE, "failed", None),
    }
    if app.is_disk_full() {
        degraded.push("disk_full");
    }
    health(StatusCode::OK, "ready", Some(degraded))
}

fn health(status: StatusCode, word: &'static str, degraded: Option<Vec<&'static str>>) -> Response {
    let health = Health {
        status: word,
        degraded,
    };
    answer::not_stored(answer::json_with(status, &health))
}
