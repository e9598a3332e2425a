//! Times as people read them at a glance: two units at most, at most seven characters up to 999 days.

use std::time::Duration;

use jiff::Timestamp;

/// The units of a time of a second or more, in seconds, longest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Shortens a duration to its two leading units: `850ms`, `12s`, `3m12s`, `2h5m`, `4d3h`.
pub fn compact(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds == 0 {
        return match duration.as_millis() {
            0 => "0s".to_owned(),
            millis => format!("{millis}ms"),
        };
    }
    let first = UNITS.iter().position(|(_, unit)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let mut rest = seconds;
    let mut text = String::new();
    for (name, unit) in UNITS.iter().skip(first).take(2) {
        if rest >= *unit {
            text += &format!("{}{name}", rest / unit);
            rest %= unit;
        }
    }
    text
}

/// How long ago `then` was. Nothing, if the clocks disagree and it lies ahead. Whole seconds: a time that grows
/// needs no milliseconds.
pub fn ago(now: Timestamp, then: Timestamp) -> Duration {
    let elapsed = Duration::try_from(now.duration_since(then)).unwrap_or_default();
    Duration::from_secs(elapsed.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_units_at_most() {
        for (millis, text) in [
            (0, "0s"),
            (1, "1ms"),
            (999, "999ms"),
            (1_999, "1s"),
            (60_000, "1m"),
            (192_000, "3m12s"),
            (3_600_000, "1h"),
            (3_605_000, "1h"),
            (7_500_000, "2h5m"),
            (356_400_000, "4d3h"),
            (999 * 86_400_000 + 23 * 3_600_000, "999d23h"),
        ] {
            assert_eq!(compact(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_clock_that_is_ahead_does_no_harm() {
        let (early, late) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(5).unwrap());
        assert_eq!(ago(late, early), Duration::from_secs(5));
        assert_eq!(ago(early, late), Duration::ZERO);
    }
}
