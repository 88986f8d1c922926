//! Calls on a router without a connection.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures::stream;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The status and code of an error, after checking that it is a problem document.
    pub(crate) fn problem(&self) -> (u16, String) {
        let problem = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.header("cache-control"), "no-store");
        assert_eq!(problem["status"], self.status.as_u16());
        assert_eq!(problem["title"], self.status.canonical_reason().unwrap());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (
            self.status.as_u16(),
            problem["code"].as_str().unwrap().into(),
        )
    }
}

pub(crate) async fn call(
    router: &Router,
    (method, uri): (&str, &str),
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Answer {
    let request = Request::builder().method(method).uri(uri);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    let request = request.body(body.into()).unwrap();
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

pub(crate) async fn post(router: &Router, body: impl Into<Body>) -> Answer {
    call(router, ("POST", "/"), &[], body).await
}

pub(crate) async fn get(router: &Router, uri: &str, body: impl Into<Body>) -> Answer {
    call(router, ("GET", uri), &[], body).await
}

pub(crate) fn problem(status: u16, code: &str) -> (u16, String) {
    (status, code.into())
}

/// A body that arrives byte by byte.
pub(crate) fn in_drops(bytes: Bytes) -> Body {
    let drops = (0..bytes.len()).map(move |at| Ok::<_, Infallible>(bytes.slice(at..=at)));
    Body::from_stream(stream::iter(drops))
}
