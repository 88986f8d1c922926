//! Media types of requests and responses.

use axum::http::{HeaderMap, header};

use crate::error::{Error, Result};

/// A media type of bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Media {
    Json,
    /// A JSON text a line.
    Lines,
    /// With the name that the client used.
    Protobuf(&'static str),
    /// Server-sent events.
    Events,
}

impl Media {
    const PROTOBUF: [&str; 2] = ["application/protobuf", "application/x-protobuf"];
    /// The types of requests to append.
    const OF_APPENDS: &str =
        "`application/json`, `application/x-ndjson` and `application/protobuf`";

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Lines => "application/x-ndjson",
            Self::Protobuf(name) => name,
            Self::Events => "text/event-stream",
        }
    }

    /// The type of a name, whatever its parameters.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let name = name.split(';').next()?.trim();
        let protobuf = Self::PROTOBUF.map(Self::Protobuf);
        let known = [Self::Json, Self::Lines, Self::Events].into_iter();
        let mut known = known.chain(protobuf);
        known.find(|known| name.eq_ignore_ascii_case(known.name()))
    }

    /// The type of a request to append: JSON without one.
    pub(crate) fn of_append(headers: &HeaderMap) -> Result<Self> {
        let Some(name) = headers.get(header::CONTENT_TYPE) else {
            return Ok(Self::Json);
        };
        match name.to_str().ok().and_then(Self::named) {
            Some(known @ (Self::Json | Self::Lines | Self::Protobuf(_))) => Ok(known),
            _ => Err(Error::UnsupportedType {
                known: Self::OF_APPENDS,
            }),
        }
    }

    /// The type of a request whose body is JSON, whatever it says, since `curl -d` says that it is a form.
    pub(crate) fn check_json(headers: &HeaderMap) -> Result<()> {
        let name = headers.get(header::CONTENT_TYPE);
        let known = name.and_then(|name| Self::named(name.to_str().ok()?));
        match known {
            Some(Self::Lines | Self::Protobuf(_) | Self::Events) => Err(Error::UnsupportedType {
                known: "`application/json`",
            }),
            Some(Self::Json) | None => Ok(()),
        }
    }

    /// The type that `Accept` prefers among those that are `offered`, or else `default`.
    pub(crate) fn accepted(
        headers: &HeaderMap,
        default: Self,
        offered: impl Fn(Self) -> bool,
    ) -> Self {
        let accepted = headers.get_all(header::ACCEPT).into_iter();
        let ranges = accepted
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','));
        let mut best = (0.0, default);
        for range in ranges {
            let Some(media) = Self::named(range).filter(|media| offered(*media)) else {
                continue;
            };
            let quality = quality(range);
            if quality > best.0 {
                best = (quality, media);
            }
        }
        best.1
    }
}

/// The weight of a range in an `Accept` header.
fn quality(range: &str) -> f32 {
    let mut parameters = range.split(';').skip(1).map(str::trim);
    let weight = parameters.find_map(|parameter| parameter.strip_prefix("q="));
    weight.map_or(1.0, |weight| weight.parse().unwrap_or(0.0))
}
