//! The parameters of a read.

use std::time::Duration;

use proglog_api::json::Form;

use crate::error::Result;
use crate::rest::query::Query;
use crate::rest::start::Start;

pub(crate) const LIMIT: usize = 1_000;
pub(crate) const LIMIT_MAX: u64 = 10_000;
pub(crate) const BYTES: usize = 1 << 20;
pub(crate) const BYTES_MAX: u64 = 16 << 20;
pub(crate) const WAIT_MAX: u64 = 60;

/// The parameters of a read.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) start: Start,
    pub(crate) limit: usize,
    pub(crate) bytes: usize,
    pub(crate) wait: Duration,
    pub(crate) clamps: bool,
    pub(crate) form: Form,
    /// True to leave out damaged records, and list them.
    pub(crate) skips_damaged: bool,
    pub(crate) follows: bool,
}

impl Parameters {
    pub(crate) fn of(query: Option<&str>) -> Result<Self> {
        let mut query = Query::parse(query);
        let start = Start::take(&mut query)?;
        let limit = query.number("limit", 1, LIMIT_MAX)?;
        let bytes = query.number("bytes", 1, BYTES_MAX)?;
        let size = |given: Option<u64>, default| {
            given.map_or(default, |given| {
                usize::try_from(given).unwrap_or(usize::MAX)
            })
        };
        let damaged = query.parsed("damaged", "`skip`", |text| (text == "skip").then_some(()))?;
        let parameters = Self {
            start,
            limit: size(limit, LIMIT),
            bytes: size(bytes, BYTES),
            wait: Duration::from_secs(query.number("wait", 0, WAIT_MAX)?.unwrap_or(0)),
            clamps: query.flag("clamp")?,
            form: query.form()?,
            skips_damaged: damaged.is_some(),
            follows: query.flag("follow")?,
        };
        query.finish()?;
        Ok(parameters)
    }
}
