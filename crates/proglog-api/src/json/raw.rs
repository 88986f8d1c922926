//! JSON that is kept as it was written.

/// The deepest nesting of arrays and objects. It is what `serde_json` reads.
const DEPTH_MAX: usize = 127;

/// Checks that parsers can read `json` again, which is valid as far as the grammar says. The error says what is wrong.
pub(super) fn check(json: &str) -> Result<(), &'static str> {
    let mut bytes = json.as_bytes();
    let mut depth = 0_usize;
    while let [byte, rest @ ..] = bytes {
        bytes = rest;
        match byte {
            b'"' => bytes = after_string(bytes)?,
            b'[' | b'{' if depth == DEPTH_MAX => {
                return Err("its arrays and objects are more than 127 deep");
            }
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Skips the rest of a string. Fails if it escapes half of a character outside of the basic plane, which no text can hold.
fn after_string(mut bytes: &[u8]) -> Result<&[u8], &'static str> {
    let lone = "it has a surrogate without its other half";
    loop {
        bytes = match bytes {
            [b'"', rest @ ..] => return Ok(rest),
            [b'\\', b'u', rest @ ..] => match code_unit(rest) {
                Some(0xd800..=0xdbff) => match rest.get(4..) {
                    Some([b'\\', b'u', low @ ..])
                        if code_unit(low).is_some_and(|unit| (0xdc00..=0xdfff).contains(&unit)) =>
                    {
                        &low[4..]
                    }
                    _ => return Err(lone),
                },
                Some(0xdc00..=0xdfff) => return Err(lone),
                _ => rest,
            },
            [b'\\', _, rest @ ..] | [_, rest @ ..] => rest,
            [] => return Ok(bytes),
        };
    }
}

/// Reads the four digits of an escape.
fn code_unit(bytes: &[u8]) -> Option<u16> {
    let digits = str::from_utf8(bytes.get(..4)?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_serde_json_reads_passes_and_what_it_does_not_fails() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for json in [
            r#"{"a":[1,"]}\"[",{}],"\ud83d\ude00":"\\ud800"}"#,
            r#""\ud83d\uDE00""#,
            r#""\ud83dx""#,
            r#""\ud83d""#,
            r#""\ud83d\n""#,
            r#""\ud83d\ud83d""#,
            r#""\ude00\ud83d""#,
            r#"{"\udc00":1}"#,
            "[[],[],{}]",
            &nested(DEPTH_MAX),
            &nested(DEPTH_MAX + 1),
            &format!("[{}]", vec!["[1]"; 200].join(",")),
        ] {
            let parses = serde_json::from_str::<serde_json::Value>(json).is_ok();
            assert_eq!(check(json).is_ok(), parses, "{json}");
        }
    }
}
