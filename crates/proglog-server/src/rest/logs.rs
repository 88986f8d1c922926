//! Logs: made, configured, described, listed and deleted.

use std::time::SystemTime;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use proglog_broker::{Description, LogConfig, LogName, State as LogState};
use proglog_log::{Damage, Recovery, SetAside};
use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Failure, Result};
use crate::rest::answer;
use crate::rest::body::{self, Limits, parse};
use crate::rest::negotiate::Media;
use crate::rest::path::Names;
use crate::rest::query::Query;
use crate::state::App;

const LIMIT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;

/// An example of a configuration, for errors.
const EXAMPLE: &str = r#"{"durability": "interval", "retention": {"records": 1000}}"#;

/// A log, as clients get it.
#[derive(Debug, Serialize)]
struct Log {
    name: LogName,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    state: &'static str,
    /// The code of the error of a log that has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<LogConfig>,
    /// In microseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<u64>,
    #[serde(flatten)]
    stat: Option<Stat>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recovery: Option<Found>,
}

/// Figures of a log.
#[derive(Debug, Serialize)]
struct Stat {
    start_offset: u64,
    end_offset: u64,
    recovery_point: u64,
    bytes: u64,
    segments: usize,
}

/// What opening a log has found.
#[derive(Debug, Serialize)]
struct Found {
    clean: bool,
    recovery_point: u64,
    set_aside: Option<SetAside>,
    damaged: Option<Damage>,
    zeros_removed: u64,
    header_restored: bool,
    indexes_rebuilt: usize,
    left_over: Vec<String>,
}

#[derive(Debug, Serialize)]
struct List {
    logs: Vec<Log>,
    has_more: bool,
}

pub(crate) async fn list(State(app): State<App>, request: Request) -> Result<Response> {
    let mut query = Query::parse(request.uri().query());
    let prefix = query.take("prefix")?.unwrap_or_default();
    let after = query.take("after")?;
    let limit = query.number("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT);
    query.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let broker = app.broker().await?;
    let (names, has_more) = broker.list(after.as_deref(), &prefix, limit)?;
    let mut logs = Vec::new();
    for name in names {
        match app.in_time(broker.describe(&name)).await {
            Ok(description) => logs.push(Log::new(description).without_details()),
            // Deleted meanwhile.
            Err(Failure::Broker(proglog_broker::Error::NotFound { .. })) => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(answer::not_stored(answer::json(&List { logs, has_more })))
}

pub(crate) async fn describe(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    describe_with(&app, &names.log, StatusCode::OK).await
}

async fn describe_with(app: &App, name: &LogName, status: StatusCode) -> Result<Response> {
    let broker = app.broker().await?;
    let description = app.in_time(broker.describe(name)).await?;
    let response = answer::json(&Log::new(description));
    Ok((status, answer::not_stored(response)).into_response())
}

pub(crate) async fn put(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    let body = read_body(&app, request).await?;
    let config = if body.is_empty() {
        LogConfig::default()
    } else {
        config_of(parse(&body, EXAMPLE)?)?
    };
    let broker = app.broker().await?;
    let put = app.in_time(broker.put(&names.log, config)).await?;
    let status = if put.created {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut response = describe_with(&app, &names.log, status).await?;
    if put.created {
        let path = format!("/v1/logs/{}", names.log);
        let path = path
            .try_into()
            .expect("a name of a log is fit for a header");
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

/// Changes the fields that the body has, as a merge patch (RFC 7396) does: `null` is the default.
pub(crate) async fn change(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    Query::parse(request.uri().query()).finish()?;
    let body = read_body(&app, request).await?;
    let patch: Value = parse(&body, EXAMPLE)?;
    // What fits one configuration fits all.
    patched(&LogConfig::default(), &patch)?;
    let change = move |config: &mut LogConfig| {
        if let Ok(changed) = patched(config, &patch) {
            *config = changed;
        }
    };
    let broker = app.broker().await?;
    app.in_time(broker.configure(&names.log, change)).await?;
    describe_with(&app, &names.log, StatusCode::OK).await
}

fn patched(config: &LogConfig, patch: &Value) -> Result<LogConfig> {
    let mut merged = serde_json::to_value(config).expect("numbers and text always serialize");
    merge(&mut merged, patch);
    config_of(merged)
}

/// Reads a configuration, of which each object has to be one: others could be read as their fields in order.
fn config_of(json: Value) -> Result<LogConfig> {
    let is_object = json.is_object() && !json["retention"].is_array();
    let config = if is_object {
        serde_json::from_value(json).map_err(|error| error.to_string())
    } else {
        Err("expected an object".into())
    };
    config.map_err(|error| {
        let what = format!("the body is not JSON such as `{EXAMPLE}`: {error}");
        Error::MalformedBody(what)
    })
}

fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(fields), Value::Object(changes)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name).or_insert(Value::Null), change);
        }
    }
}

pub(crate) async fn delete(
    State(app): State<App>,
    names: Names,
    request: Request,
) -> Result<Response> {
    let mut query = Query::parse(request.uri().query());
    let confirm = query.take("confirm")?;
    query.finish()?;
    if confirm.as_deref() != Some(names.log.as_str()) {
        return Err(Error::ConfirmationMissing);
    }
    let broker = app.broker().await?;
    app.in_time(broker.delete(&names.log)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn read_body(app: &App, request: Request) -> Result<bytes::Bytes> {
    Media::check_json(request.headers())?;
    let limits = Limits {
        bytes_max: body::SMALL,
        time: app.request_timeout,
        permit: None,
    };
    let (head, body) = request.into_parts();
    body::read(&head.headers, body, limits).await
}

impl Log {
    fn new(description: Description) -> Self {
        let meta = description.meta;
        let stat = description.stat.map(|stat| Stat {
            start_offset: stat.offsets.start.get(),
            end_offset: stat.offsets.end.get(),
            recovery_point: stat.recovery_point.get(),
            bytes: stat.bytes,
            segments: stat.segments,
        });
        let failure = description.failure.map(Failure::from).map(Error::Call);
        Self {
            name: description.name,
            id: meta.as_ref().map(|meta| meta.id.to_string()),
            state: match description.state {
                LogState::Open => "open",
                LogState::Idle => "idle",
                LogState::Poisoned => "poisoned",
                _ => "failed",
            },
            failure: failure.map(|error| error.status_and_code().1),
            created_at: meta.as_ref().map(|meta| micros(meta.created_at)),
            config: meta.map(|meta| meta.config.clone()),
            stat,
            recovery: description.recovery.map(Found::new),
        }
    }

    /// As it is in a list.
    fn without_details(self) -> Self {
        Self {
            recovery: None,
            ..self
        }
    }
}

impl Found {
    fn new(recovery: Recovery) -> Self {
        Self {
            clean: recovery.clean,
            recovery_point: recovery.recovery_point.get(),
            set_aside: recovery.set_aside,
            damaged: recovery.damaged,
            zeros_removed: recovery.zeros_removed,
            header_restored: recovery.header_restored,
            indexes_rebuilt: recovery.indexes_rebuilt,
            left_over: recovery.left_over,
        }
    }
}

/// The microseconds from 1970 to `time`.
fn micros(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    u64::try_from(since.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
}
