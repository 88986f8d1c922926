//! Names in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use proglog_broker::LogName;

use crate::error::{Error, Result};

/// The parts of a path that are names and offsets.
pub(crate) struct Names {
    pub(crate) log: LogName,
    /// What follows the name of the log: an offset, the name of a cursor, or the id of a producer.
    rest: Option<String>,
}

impl Names {
    /// The second name of a path that has two.
    pub(crate) fn second(&self) -> &str {
        self.rest.as_deref().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Names {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let params =
            params.map_err(|_| Error::MalformedName("the path is not UTF-8".to_owned()))?;
        let mut params = params.iter().map(|(_, value)| value);
        let log = LogName::new(params.next().unwrap_or_default());
        let log = log.map_err(|error| Error::MalformedName(error.to_string()))?;
        let rest = params.next().map(str::to_owned);
        Ok(Self { log, rest })
    }
}
