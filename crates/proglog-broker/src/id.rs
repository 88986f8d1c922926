//! Ids of logs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The id of a log: 128 random bits, chosen when the log is made, written as 32 hexadecimal digits. A log that is
/// deleted and made again has another one, so that nothing of the old log is taken for the new one's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LogId(u128);

/// The error for text that is no [`LogId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id of a log has 32 hexadecimal digits, in lower case")]
#[non_exhaustive]
pub struct InvalidId;

impl LogId {
    /// Returns a new id.
    ///
    /// # Errors
    ///
    /// If the operating system has no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }

    /// Returns the id as a number.
    pub(crate) fn get(self) -> u128 {
        self.0
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl FromStr for LogId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 32 || !text.bytes().all(is_digit) {
            return Err(InvalidId);
        }
        u128::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| InvalidId)
    }
}

impl TryFrom<String> for LogId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<LogId> for String {
    fn from(id: LogId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_written_as_32_digits_and_read_again() {
        let id = LogId(0xabc);
        assert_eq!(id.to_string(), format!("{:0>32}", "abc"));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_ne!(LogId::random().unwrap(), LogId::random().unwrap());
        for text in [
            "",
            "abc",
            &"g".repeat(32),
            &"A".repeat(32),
            &"0".repeat(33),
            "+0000000000000000000000000000000",
        ] {
            assert_eq!(text.parse::<LogId>(), Err(InvalidId));
        }
    }
}
