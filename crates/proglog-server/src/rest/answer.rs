//! Bodies and headers of successful responses.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use proglog_api::json;
use proglog_api::proglog::v1 as messages;
use proglog_broker::Durability;
use prost::Message;
use serde::Serialize;

use crate::rest::negotiate::Media;

pub(crate) const DURABILITY: HeaderName = HeaderName::from_static("proglog-durability");

/// A response with a body of this type.
pub(crate) fn with_body(media: Media, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    let name = HeaderValue::from_static(media.name());
    response.headers_mut().insert(header::CONTENT_TYPE, name);
    response
}

pub(crate) fn json(message: &impl Serialize) -> Response {
    let body = serde_json::to_vec(message).expect("numbers and text always serialize");
    with_body(Media::Json, body)
}

pub(crate) fn json_with(status: StatusCode, message: &impl Serialize) -> Response {
    (status, json(message)).into_response()
}

pub(crate) fn protobuf(media: Media, message: &impl Message) -> Response {
    with_body(media, message.encode_to_vec())
}

/// Forbids to keep a response that changes with the log.
pub(crate) fn not_stored(mut response: Response) -> Response {
    let no_store = HeaderValue::from_static("no-store");
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, no_store);
    response
}

pub(crate) fn set_durability(response: &mut Response, durability: json::Durability) {
    let name = match durability {
        json::Durability::Synced => "synced",
        json::Durability::Interval => "interval",
        json::Durability::Buffered => "buffered",
        _ => return,
    };
    response
        .headers_mut()
        .insert(DURABILITY, HeaderValue::from_static(name));
}

/// The durability in JSON.
pub(crate) fn durability(durability: Durability) -> json::Durability {
    match durability {
        Durability::Synced => json::Durability::Synced,
        Durability::Interval => json::Durability::Interval,
        // Later ones: nothing is promised.
        _ => json::Durability::Buffered,
    }
}

/// The durability in protobuf.
pub(crate) fn durability_message(durability: json::Durability) -> messages::Durability {
    match durability {
        json::Durability::Synced => messages::Durability::Synced,
        json::Durability::Interval => messages::Durability::Interval,
        json::Durability::Buffered => messages::Durability::Buffered,
        _ => messages::Durability::Unspecified,
    }
}
