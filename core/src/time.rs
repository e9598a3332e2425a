//! Times as clients write them: RFC 3339 and nothing else, as what is more or less than that has been meant differently.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

const HINT: &str = "write it as 2026-11-26T07:00:00Z or 2026-11-26T07:00:00+09:00";

/// Reads `2026-11-26T07:00:00+09:00`.
///
/// # Errors
/// What to write instead.
pub fn parse_rfc3339(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no time: {HINT}");
    if !has_form(text) {
        return Err(wrong());
    }
    text.parse().map_err(|_| wrong())
}

/// The grammar of RFC 3339, section 5.6; whether there is such a day is found out elsewhere.
fn has_form(text: &str) -> bool {
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    let like = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => byte.eq_ignore_ascii_case(&b'T'),
                other => byte == other,
            })
    };
    let offset = match rest.strip_prefix('.') {
        None => rest,
        Some(fraction) => {
            let offset = fraction.trim_start_matches(|digit: char| digit.is_ascii_digit());
            if offset.len() == fraction.len() {
                return false;
            }
            offset
        }
    };
    let in_range = |offset: &str| &offset[1..3] <= "23" && &offset[4..] <= "59";
    like(date_time, "0000-00-00T00:00:00")
        && (offset.eq_ignore_ascii_case("Z")
            || (like(offset, "+00:00") || like(offset, "-00:00")) && in_range(offset))
}

/// For fields that may be left out.
pub(crate) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_rfc3339(&text).map_err(de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_rfc_has_is_read_and_nothing_else() {
        let utc = "2026-12-25T00:00:00Z".parse().unwrap();
        for text in [
            "2026-12-25T00:00:00Z",
            "2026-12-25t00:00:00.000z",
            "2026-12-25T09:00:00+09:00",
            "2026-12-24T23:30:00-00:30",
        ] {
            assert_eq!(parse_rfc3339(text), Ok(utc), "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "2026-12-25",
            "2026-12-25T00Z",
            "2026-12-25 00:00:00Z",
            "2026-12-25T00:00:00",
            "20261225T000000Z",
            "+002026-12-25T00:00:00Z",
            "2026-12-25T00:00:00,5Z",
            "2026-12-25T00:00:00.Z",
            "2026-12-25T00:00:00+0900",
            "2026-12-25T00:00:00+25:59",
            "2026-12-25T00:00:00+09:60",
            "2026-12-25T00:00:00Z[Europe/Berlin]",
            "2026-12-25T00:00:00+09:00[Europe/Berlin]",
            "2026-02-30T00:00:00Z",
            "2026-12-25T25:00:00Z",
            "9999-12-31T23:59:59Z",
            "２０２６-12-25T00:00:00Z",
            "2026-12-25T00:00:0é",
        ] {
            let error = parse_rfc3339(text).unwrap_err();
            assert!(error.contains("write it as"), "{text}");
        }
    }
}
