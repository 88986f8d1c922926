//! Base64 text in the standard alphabet, with padding.

use base64::{DecodeError, Engine, display::Base64Display, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::Serializer;

/// Serializes `bytes` in pieces, without a copy of the whole text.
pub(super) fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// Decodes `text`. The error describes the fault and its byte in the text.
pub(super) fn decode(text: &str) -> Result<Bytes, String> {
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|error| explain(text, &error))
}

fn explain(text: &str, error: &DecodeError) -> String {
    match *error {
        DecodeError::InvalidByte(index, byte) => {
            // The byte may be within a character; name the whole character.
            let index = text.floor_char_boundary(index);
            let found = text[index..].chars().next().unwrap_or(char::from(byte));
            format!("unexpected {found:?} at byte {index}")
        }
        DecodeError::InvalidLastSymbol { offset, symbol, .. } => {
            let found = char::from(symbol);
            format!("{found:?} at byte {offset} ends it with bits beyond the last byte")
        }
        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => {
            let len = text.len();
            format!("the text ends at byte {len}, within a group of four characters")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_canonical_texts_are_read_and_every_error_is_true() {
        // `A` is six zero bits, `B` ends in a one, `*` is in no alphabet.
        let mut texts = vec![String::new()];
        for _ in 0..8 {
            let shorter = texts.clone();
            for symbol in ['A', 'B', '=', '*'] {
                texts.extend(shorter.iter().map(|text| format!("{text}{symbol}")));
            }
            texts.sort();
            texts.dedup();
        }
        assert_eq!(
            texts.len(),
            (0..=8).map(|len| 4_usize.pow(len)).sum::<usize>()
        );

        for text in texts {
            match decode(&text) {
                Ok(bytes) => assert_eq!(STANDARD.encode(bytes), text),
                Err(error) => assert!(is_true(&error, &text), "{text}: {error}"),
            }
        }
    }

    /// Returns whether `error` describes a fault that `text` has.
    fn is_true(error: &str, text: &str) -> bool {
        let place = error
            .split(' ')
            .skip_while(|word| *word != "byte")
            .nth(1)
            .unwrap();
        let place: usize = place.trim_end_matches(',').parse().unwrap();
        let named = error.split('\'').nth(1);
        if error.starts_with("unexpected") {
            named == text.get(place..=place) && matches!(named, Some("*" | "="))
        } else if error.ends_with("beyond the last byte") {
            named == text.get(place..=place) && named == Some("B")
        } else {
            error.ends_with("within a group of four characters")
                && place == text.len()
                && !place.is_multiple_of(4)
        }
    }

    #[test]
    fn a_multibyte_character_is_named_whole() {
        assert_eq!(
            decode("aGVs\u{e9}A==").unwrap_err(),
            "unexpected '\u{e9}' at byte 4"
        );
    }
}
