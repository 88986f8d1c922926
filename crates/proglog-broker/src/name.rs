//! Names of logs.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest name, in bytes.
const LEN_MAX: usize = 100;

/// Names that Windows gives to devices, whatever follows after a dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
const NUMBERED_DEVICES: [&str; 2] = ["com", "lpt"];

/// The name of a log: 1 to 100 of `a-z 0-9 . _ -`, of which the first is a letter or a digit, without `..`, and without
/// a dot at its end. The device names of Windows, such as `con` or `lpt1`, are no names, either.
///
/// So a name is the name of a directory on every file system, and two names differ on each of them.
///
/// ```
/// use proglog_broker::LogName;
///
/// let name = "orders.eu-1".parse::<LogName>()?;
/// assert_eq!(name.as_str(), "orders.eu-1");
/// for invalid in ["", "Orders", "a/b", "../etc", ".hidden", "a..b", "a.", "nul", "com1.txt"] {
///     assert!(LogName::new(invalid).is_err(), "{invalid}");
/// }
/// # Ok::<(), proglog_broker::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogName(Arc<str>);

/// The error for text that is no [`LogName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name of a log: {reason}")]
#[non_exhaustive]
pub struct InvalidName {
    /// The text, up to its first 100 characters.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl LogName {
    /// The name of the log that always exists.
    pub const DEFAULT: &str = "default";

    /// Returns the name `text`.
    ///
    /// # Errors
    ///
    /// [`InvalidName`].
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        match defect(text) {
            None => Ok(Self(text.into())),
            Some(reason) => Err(InvalidName {
                text: text.chars().take(LEN_MAX).collect(),
                reason,
            }),
        }
    }

    /// Returns the name of the log that always exists.
    #[must_use]
    pub fn default_log() -> Self {
        Self(Self::DEFAULT.into())
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns what is wrong with a name.
fn defect(text: &str) -> Option<&'static str> {
    let is_in_alphabet =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let checks = [
        (text.is_empty(), "it is empty"),
        (text.len() > LEN_MAX, "it is longer than 100 bytes"),
        (
            !text.bytes().all(is_in_alphabet),
            "it has a character other than a-z, 0-9, '.', '_' and '-'",
        ),
        (
            text.starts_with(['.', '_', '-']),
            "it begins with neither a letter nor a digit",
        ),
        (text.contains(".."), "it has two dots in a row"),
        (text.ends_with('.'), "it ends with a dot"),
        (is_device(text), "Windows has a device of that name"),
    ];
    let defect = checks.into_iter().find(|(is_defect, _)| *is_defect);
    defect.map(|(_, reason)| reason)
}

fn is_device(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default();
    let is_numbered = |device: &str| {
        let number = stem.strip_prefix(device);
        number.is_some_and(|number| number.len() == 1 && ("1"..="9").contains(&number))
    };
    DEVICES.contains(&stem) || NUMBERED_DEVICES.iter().any(|device| is_numbered(device))
}

impl fmt::Display for LogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LogName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl TryFrom<String> for LogName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}

impl From<LogName> for String {
    fn from(name: LogName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl AsRef<str> for LogName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for LogName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_directory_everywhere() {
        let longest = "a".repeat(LEN_MAX);
        for text in [
            "a", "9", "default", "a.b_c-d", "com10", "com0", "comma", "nul-1", &longest,
        ] {
            assert_eq!(LogName::new(text).unwrap().as_str(), text);
        }
        let too_long = "a".repeat(LEN_MAX + 1);
        for text in [
            "", "A", "ä", "a b", "a/b", "a\\b", "a%2fb", "a\0", "..", ".", ".a", "_a", "-a",
            "a..b", "a.", "con", "aux.log", "com1", "lpt9.x", &too_long,
        ] {
            let error = LogName::new(text).unwrap_err();
            assert!(text.starts_with(&error.text), "{error}");
            assert!(serde_json::from_value::<LogName>(text.into()).is_err());
        }
        assert!(LogName::new(LogName::DEFAULT).is_ok());
    }
}
