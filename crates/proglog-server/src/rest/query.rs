//! Query strings. An unknown or repeated parameter is an error, not ignored.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use proglog_api::json::Form;
use proglog_log::Offset;

use crate::error::{Error, Result};

/// The parameters of a query string that are not taken yet.
#[derive(Debug)]
pub(crate) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(crate) fn parse(query: Option<&'a str>) -> Self {
        Self(form_urlencoded::parse(query.unwrap_or_default().as_bytes()).collect())
    }

    /// Takes the parameter `name`, if it is there.
    pub(crate) fn take(&mut self, name: &str) -> Result<Option<Cow<'a, str>>> {
        let Some(at) = self.0.iter().position(|(found, _)| found == name) else {
            return Ok(None);
        };
        let (_, value) = self.0.remove(at);
        if self.0.iter().any(|(found, _)| found == name) {
            let what = format!("the query parameter `{name}` is repeated");
            return Err(Error::MalformedQuery(what));
        }
        Ok(Some(value))
    }

    /// Takes the parameter `name`, which is `expected`, in words.
    pub(crate) fn parsed<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(text) = self.take(name)? else {
            return Ok(None);
        };
        let parsed = parse(&text).ok_or_else(|| {
            let text = shortened(&text);
            Error::MalformedQuery(format!("`{name}` is {text:?}, not {expected}"))
        });
        parsed.map(Some)
    }

    pub(crate) fn offset(&mut self, name: &str) -> Result<Option<u64>> {
        let max = u64::MAX;
        self.parsed(name, &format!("an integer from 0 to {max}"), digits)
    }

    /// Takes a number from `min` to `max`.
    pub(crate) fn number(&mut self, name: &str, min: u64, max: u64) -> Result<Option<u64>> {
        self.parsed(name, &format!("an integer from {min} to {max}"), |text| {
            digits(text).filter(|number| (min..=max).contains(number))
        })
    }

    /// Takes a parameter that is true or false, and false if it is not there.
    pub(crate) fn flag(&mut self, name: &str) -> Result<bool> {
        let flag = self.parsed(name, "`true` or `false`", |text| text.parse().ok())?;
        Ok(flag.unwrap_or_default())
    }

    pub(crate) fn time(&mut self, name: &str) -> Result<Option<SystemTime>> {
        let expected = "microseconds since 1970 or a time of RFC 3339 such as 2026-12-01T12:00:00Z";
        self.parsed(name, expected, time)
    }

    /// Takes the form of records in JSON: base64 without one.
    pub(crate) fn form(&mut self) -> Result<Form> {
        let expected = "`base64`, `text` or `json`";
        let form = self.parsed("as", expected, |text| text.parse().ok())?;
        Ok(form.unwrap_or_default())
    }

    /// Checks that every parameter was taken.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let what = format!("unknown query parameter {:?}", shortened(name));
                Err(Error::MalformedQuery(what))
            }
        }
    }
}

/// Parses digits alone: `parse` would accept a sign.
pub(crate) fn digits<T: FromStr>(text: &str) -> Option<T> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    is_digits.then(|| text.parse().ok()).flatten()
}

/// Parses microseconds since 1970, or a time of RFC 3339.
pub(crate) fn time(text: &str) -> Option<SystemTime> {
    if let Ok(micros) = text.parse::<i64>() {
        return time_of(micros);
    }
    let time: jiff::Timestamp = text.parse().ok()?;
    time_of(time.as_microsecond())
}

/// The time so many microseconds after 1970, or before it.
pub(crate) fn time_of(micros: i64) -> Option<SystemTime> {
    let distance = Duration::from_micros(micros.unsigned_abs());
    if micros < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// Parses an offset in a path.
pub(crate) fn offset_in_path(text: &str) -> Result<Offset> {
    digits(text).map(Offset::new).ok_or_else(|| {
        let text = shortened(text);
        Error::MalformedName(format!("the path has {text:?} where an offset belongs"))
    })
}

/// The beginning of a client's input, short enough to repeat in an error.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(40)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_microseconds_or_rfc_3339() {
        let at = |micros| SystemTime::UNIX_EPOCH + Duration::from_micros(micros);
        for (text, expected) in [
            ("0", Some(at(0))),
            ("1796000000000001", Some(at(1_796_000_000_000_001))),
            (
                "-1",
                SystemTime::UNIX_EPOCH.checked_sub(Duration::from_micros(1)),
            ),
            ("1970-01-01T00:00:01Z", Some(at(1_000_000))),
            ("1970-01-01T02:00:00.5+02:00", Some(at(500_000))),
            ("1970-01-01", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
    }
}
