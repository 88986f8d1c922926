//! Where a read begins.

use std::time::SystemTime;

use axum::http::HeaderMap;
use proglog_broker::Handle;
use proglog_log::{Offset, Offsets};

use crate::error::{Error, Result};
use crate::rest::query::{Query, digits, shortened};
use crate::state::App;

/// The first record of a read, as the client names it.
#[derive(Debug, Clone)]
pub(crate) enum Start {
    /// The oldest record.
    Oldest,
    /// The next one to be appended.
    End,
    At(Offset),
    /// The first one that was appended then or later.
    Time(SystemTime),
    /// So many before the end.
    Last(u64),
}

/// The first record of a read, as the log has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) offset: Offset,
    /// The offset that was asked for, if it is not in the log.
    pub(crate) clamped_from: Option<Offset>,
}

/// What happens to a start that is not in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outside {
    Refused,
    /// The read begins at the nearest offset that is there.
    Clamped,
    /// As `Clamped` below the start of the log, and as `Refused` past its end.
    Trimmed,
}

impl Start {
    /// Takes the parameters that name a start. At most one of them may be given.
    pub(crate) fn take(query: &mut Query<'_>) -> Result<Self> {
        let expected = "an integer from 0 to 18446744073709551615, `start` or `end`";
        let from = query.parsed("from", expected, |text| match text {
            "start" => Some(Self::Oldest),
            "end" => Some(Self::End),
            number => digits(number).map(Offset::new).map(Self::At),
        })?;
        let time = query.time("from_time")?.map(Self::Time);
        let last = query.offset("last")?.map(Self::Last);
        let mut given = [from, time, last].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(_), Some(_)) => {
                let what = "`from`, `from_time` and `last` exclude each other";
                Err(Error::ConflictingParameters(what.into()))
            }
            (start, _) => Ok(start.unwrap_or(Self::Oldest)),
        }
    }

    /// The start that `Last-Event-ID` names, which is that of a stream that is resumed.
    pub(crate) fn resumed(headers: &HeaderMap) -> Result<Option<Self>> {
        let Some(id) = headers.get("last-event-id") else {
            return Ok(None);
        };
        let id = id.to_str().unwrap_or_default();
        let next = digits::<u64>(id).and_then(|last| last.checked_add(1));
        let next = next.ok_or_else(|| {
            let what = format!("Last-Event-ID is {:?}, not an offset", shortened(id));
            Error::MalformedHeader(what)
        })?;
        Ok(Some(Self::At(Offset::new(next))))
    }

    /// Finds the start in `log`.
    pub(crate) async fn find(&self, app: &App, log: &Handle, outside: Outside) -> Result<Place> {
        let offset = match *self {
            Self::Oldest => log.offsets().start,
            Self::End => log.offsets().end,
            Self::At(offset) => offset,
            Self::Time(time) => app.in_time(log.offset_for_time(time)).await?,
            Self::Last(records) => {
                let Offsets { start, end } = log.offsets();
                end.saturating_sub(records).max(start)
            }
        };
        let offsets = log.offsets();
        let nearest = offset.clamp(offsets.start, offsets.end);
        let is_below = offset < offsets.start;
        let is_refused = match outside {
            Outside::Refused => nearest != offset,
            Outside::Clamped => false,
            Outside::Trimmed => nearest != offset && !is_below,
        };
        match is_refused {
            true if is_below => Err(Error::BelowStart { offset, offsets }),
            true => Err(Error::BeyondEnd { offset, offsets }),
            false => Ok(Place {
                offset: nearest,
                clamped_from: (nearest != offset).then_some(offset),
            }),
        }
    }
}
